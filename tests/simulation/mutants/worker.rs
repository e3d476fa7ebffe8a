//! A copy of the tree, in which the mutants are judged one after the other.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::build::{Program, Run};
use crate::copy::Tree;
use crate::mutant::Mutant;
use crate::results::Outcome;

/// A copy of the tree and its build.
#[derive(Debug)]
pub(crate) struct Worker<'a> {
    tree: &'a Tree,
    copy: PathBuf,
    target: PathBuf,
}

impl<'a> Worker<'a> {
    /// Makes the copy, or brings an older one up to date.
    ///
    /// # Errors
    /// If files cannot be written.
    pub(crate) fn new(folder: &Path, number: usize, tree: &'a Tree) -> io::Result<Self> {
        let folder = folder.join(number.to_string());
        let worker = Self {
            tree,
            copy: folder.join("tree"),
            target: folder.join("target"),
        };
        tree.write(&worker.copy)?;
        Ok(worker)
    }

    /// Makes another copy, with the dependencies that `first` has built already.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub(crate) fn like(
        first: &Worker<'_>,
        folder: &Path,
        number: usize,
        tree: &'a Tree,
    ) -> io::Result<Self> {
        let worker = Self::new(folder, number, tree)?;
        if !worker.target.exists() {
            let copied = Command::new("cp")
                .arg("-a")
                .args([&first.target, &worker.target])
                .status()?;
            if !copied.success() {
                return Err(io::Error::other("cannot copy what is built"));
            }
        }
        Ok(worker)
    }

    /// Builds and runs each mutant's suite once without a mutant.
    ///
    /// # Errors
    /// If a suite does not pass.
    pub(crate) fn build_all(&mut self, mutants: &[&Mutant]) -> io::Result<()> {
        let mut passed = Vec::new();
        for mutant in mutants {
            if passed.contains(&mutant.suite) {
                continue;
            }
            let outcome = self.try_suite(mutant)?;
            if outcome != Outcome::Survived {
                let suite = mutant.suite;
                let wrong = format!("without a mutant, {suite:?} does not pass: {outcome:?}");
                return Err(io::Error::other(wrong));
            }
            passed.push(mutant.suite);
        }
        Ok(())
    }

    /// Plants a mutant and runs its suite.
    ///
    /// # Errors
    /// If it cannot be planted, or nothing can be run.
    pub(crate) fn judge(&mut self, mutant: &Mutant) -> io::Result<Outcome> {
        fs::write(self.copy.join(mutant.file), mutant.apply(&self.copy)?)?;
        let outcome = self.try_suite(mutant);
        self.tree.restore(&self.copy, mutant.file)?;
        outcome
    }

    fn try_suite(&self, mutant: &Mutant) -> io::Result<Outcome> {
        let program: Program = mutant.suite.program();
        let Some(executable) = program.build(&self.copy, &self.target)? else {
            return Ok(Outcome::DoesNotBuild);
        };
        Ok(match mutant.suite.run(&executable, &self.copy)? {
            Run::Passed => Outcome::Survived,
            Run::Failed => Outcome::Found,
            Run::Hung => Outcome::Hangs,
        })
    }
}
