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
    let title = command.get_name().to_uppercase();
    let man = Man::new(command).title(title).date(DATE);
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
    let text = String::from_utf8(text).map_err(io::Error::other)?;
    Ok(tidy(&text).into())
}

/// Brings a page into the form that `mandoc -T lint` wants: short lines, no space at their ends, no
/// empty paragraphs, each macro once.
fn tidy(page: &str) -> String {
    let page = page.replace("\n.br\n\n.br\n", "\n.sp\n");
    let page = page.replace("\n.RS\n.RE\n", "\n");
    let mut tidied = String::new();
    let (mut is_filled, mut before) = (true, "");
    for line in page.lines().map(str::trim_end) {
        match line {
            ".nf" => is_filled = false,
            ".fi" => is_filled = true,
            _ => {}
        }
        // Each section defines the apostrophe again.
        let is_repeated = line.starts_with(".ie ") || line.starts_with(".el ");
        if is_repeated && tidied.contains(line) {
            continue;
        }
        let is_text = !line.starts_with('.') && before != ".TP";
        match is_filled && is_text {
            true => fill(line, &mut tidied),
            false => tidied.extend([line, "\n"]),
        }
        before = line;
    }
    tidied
}

/// Appends a paragraph, in lines of at most 80 bytes as far as words allow.
fn fill(paragraph: &str, page: &mut String) {
    let mut length = 0;
    for word in paragraph.split(' ') {
        // At the start of a line these would be a request.
        let stays = word.starts_with(['.', '\'']);
        if length > 0 && length + 1 + word.len() > 80 && !stays {
            page.push('\n');
            length = 0;
        }
        if length > 0 {
            page.push(' ');
            length += 1;
        }
        page.push_str(word);
        length += word.len();
    }
    page.push('\n');
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

/// The date of the pages. A page that had the date of its making would change each day.
const DATE: &str = "2026-11-24";
