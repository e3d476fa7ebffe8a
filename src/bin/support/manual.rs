//! Manual pages and completions, made from a command line's own definition.

use std::io::{self, Write};
use std::process;

use clap::{Args, Command, ValueEnum};
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

/// The option of every program that writes its manual. It is not there without the feature
/// `manual`, which those who only run a program need not build.
#[derive(Clone, Copy, Debug, Args)]
pub struct Manual {
    /// Writes a manual page, or completions for a shell.
    #[arg(long, value_name = "WHAT", exclusive = true, hide = true)]
    generate: Option<Generate>,
}

impl Manual {
    /// Writes the document that the command line asks for and ends the program; returns if it asks
    /// for none.
    pub fn run_if_asked(self, command: impl FnOnce() -> Command) {
        if let Some(generate) = self.generate {
            generate.run(command());
        }
    }
}

/// A document that is made from the definition of a command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Generate {
    /// A manual page.
    Man,
    /// Completions for bash.
    Bash,
    /// Completions for zsh.
    Zsh,
    /// Completions for fish.
    Fish,
}

impl Generate {
    /// Writes it to standard output, and ends the program.
    fn run(self, command: Command) -> ! {
        let text = match self {
            Self::Man => man(command),
            Self::Bash => completions(command, Shell::Bash),
            Self::Zsh => completions(command, Shell::Zsh),
            Self::Fish => completions(command, Shell::Fish),
        };
        let written = text.and_then(|text| io::stdout().write_all(&text));
        process::exit(i32::from(written.is_err()));
    }
}

fn completions(mut command: Command, shell: Shell) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    let name = command.get_name().to_owned();
    clap_complete::generate(shell, &mut command, name, &mut text);
    Ok(text)
}

/// Makes a manual page. The texts before and after the help have a layout of their own, so they
/// become sections without filling.
fn man(command: Command) -> io::Result<Vec<u8>> {
    let styled = |text: Option<&clap::builder::StyledStr>| text.map(ToString::to_string);
    let sections = [
        styled(command.get_before_help()),
        styled(command.get_after_help()),
    ];
    // A page that names a commit would change with every commit.
    let command = command.version(env!("CARGO_PKG_VERSION"));
    let man = Man::new(command);
    let mut text = Vec::new();
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    man.render_options_section(&mut text)?;
    for section in sections.into_iter().flatten() {
        render_section(&section, &mut text)?;
    }
    man.render_version_section(&mut text)?;
    Ok(text)
}

/// Makes sections of a text: a line like `Exit codes:` is a heading.
fn render_section(section: &str, text: &mut Vec<u8>) -> io::Result<()> {
    let mut roff = Roff::new();
    let mut lines = section.lines();
    let mut in_block = false;
    if !section.lines().next().is_some_and(is_heading) {
        roff.control("SH", ["NOTES"]);
    }
    for line in &mut lines {
        if is_heading(line) {
            if in_block {
                roff.control("fi", []);
            }
            let heading = line.trim_end_matches(':').to_uppercase();
            roff.control("SH", [heading.as_str()]);
            roff.control("nf", []);
            in_block = true;
        } else {
            roff.text([roman(line)]);
        }
    }
    if in_block {
        roff.control("fi", []);
    }
    roff.to_writer(text)
}

fn is_heading(line: &str) -> bool {
    line.ends_with(':') && !line.starts_with(' ')
}
