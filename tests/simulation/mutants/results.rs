//! The outcome of each mutant.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use crate::mutant::Mutant;

/// The outcome of one mutant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Found,
    /// Its suite did not end.
    Hangs,
    Survived,
    /// It proves nothing: the table must be corrected.
    DoesNotBuild,
}

/// The known outcomes for one tree, in memory and in a file.
#[derive(Debug)]
pub(crate) struct Results {
    file: File,
    known: HashMap<String, (Outcome, f64)>,
}

impl Results {
    /// Opens the file of an earlier run of the same tree, or begins a new one.
    ///
    /// # Errors
    /// If the file cannot be read or written.
    pub(crate) fn open(path: &Path, tree: u64, fresh: bool) -> io::Result<Self> {
        let head = format!("tree {tree:016x}");
        let before = fs::read_to_string(path).unwrap_or_default();
        let same = !fresh && before.lines().next() == Some(&head);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut file = File::options()
            .create(true)
            .append(same)
            .write(true)
            .truncate(!same)
            .open(path)?;
        let mut known = HashMap::new();
        if same {
            known.extend(before.lines().skip(1).filter_map(parse));
        } else {
            writeln!(file, "{head}")?;
        }
        Ok(Self { file, known })
    }

    /// Returns true if this mutant was found in this tree before.
    pub(crate) fn has(&self, mutant: &Mutant) -> bool {
        let outcome = self.known.get(mutant.name).map(|&(outcome, _)| outcome);
        outcome.is_some_and(Outcome::is_good)
    }

    /// Adds the outcome of a mutant.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(crate) fn add(
        &mut self,
        mutant: &Mutant,
        outcome: Outcome,
        seconds: f64,
    ) -> io::Result<()> {
        let name = mutant.name.to_owned();
        writeln!(self.file, "{name} {outcome:?} {seconds:.1}")?;
        self.known.insert(name, (outcome, seconds));
        Ok(())
    }

    /// Prints the table. Fails unless every mutant was found.
    pub(crate) fn report(&self, mutants: &[Mutant]) -> ExitCode {
        println!("| mutant | suite | outcome | seconds |\n|---|---|---|--:|");
        let mut found = 0;
        for mutant in mutants {
            let Mutant { name, suite, .. } = mutant;
            match self.known.get(*name) {
                Some((outcome, seconds)) => {
                    println!("| `{name}` | {suite:?} | {outcome} | {seconds:.1} |");
                    found += usize::from(outcome.is_good());
                }
                None => println!("| `{name}` | {suite:?} | NOT JUDGED | |"),
            }
        }
        let all = mutants.len();
        println!("\n{found} of {all} mutants found");
        if found == all {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }
}

impl Outcome {
    fn is_good(self) -> bool {
        matches!(self, Self::Found | Self::Hangs)
    }
}

fn parse(line: &str) -> Option<(String, (Outcome, f64))> {
    let mut words = line.split(' ');
    let (name, outcome, seconds) = (words.next()?, words.next()?, words.next()?);
    let outcome = match outcome {
        "Found" => Outcome::Found,
        "Hangs" => Outcome::Hangs,
        "Survived" => Outcome::Survived,
        _ => Outcome::DoesNotBuild,
    };
    Some((name.to_owned(), (outcome, seconds.parse().ok()?)))
}
