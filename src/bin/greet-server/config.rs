//! The configuration file: options of the command line, one on each line.
//!
//! ```text
//! # a comment
//! max-connections = 5000
//! listen = 127.0.0.1:6000, [::1]:6000
//! ```
//!
//! The command line precedes the environment, and the environment the file. Each value is checked by
//! the parser of the command line, so that an option is the same wherever it is given.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgAction, ArgMatches, Command};

/// The values of all options, by name, as they were written.
pub(crate) type Options = BTreeMap<String, Vec<OsString>>;

/// A line of the file.
struct Entry {
    line: usize,
    option: String,
    value: String,
}

/// Parses a command line, and the file that it names with `--config`.
///
/// # Errors
/// The first error, with the file and the line if it is there.
pub(crate) fn matches(
    command: &Command,
    arguments: Vec<OsString>,
) -> Result<ArgMatches, clap::Error> {
    // Without regard to errors: it may lack what the file has.
    let tolerant = command.clone().ignore_errors(true);
    let Ok(given) = tolerant.try_get_matches_from(&arguments) else {
        return command.clone().try_get_matches_from(arguments);
    };
    let Some(path) = given.get_one::<PathBuf>(FILE) else {
        return command.clone().try_get_matches_from(arguments);
    };
    let in_file = |problem| {
        let message = format!("{}{problem}", path.display());
        command.clone().error(ErrorKind::InvalidValue, message)
    };
    let entries = read(path).map_err(in_file)?;
    let mut with_file = arguments;
    // Before the others, so that no option takes them for its values.
    let mut at = 1;
    for entry in entries {
        let from_file = entry.arguments(command);
        let from_file = from_file.map_err(|problem| in_file(entry.at(&problem)))?;
        if !is_given(command, &given, &entry.option)
            && let Some(argument) = from_file
        {
            with_file.insert(at, argument);
            at += 1;
        }
    }
    command.clone().try_get_matches_from(with_file)
}

/// Returns the values of all options.
pub(crate) fn options(command: &Command, matches: &ArgMatches) -> Options {
    let arguments = command.get_arguments().filter(|arg| !arg.is_hide_set());
    let option = |arg: &clap::Arg| {
        let values = matches.get_raw(arg.get_id().as_str())?;
        let name = arg.get_long()?.to_owned();
        Some((name, values.map(ToOwned::to_owned).collect()))
    };
    arguments.filter_map(option).collect()
}

fn read(path: &Path) -> Result<Vec<Entry>, String> {
    let text = fs::read_to_string(path).map_err(|error| format!(": {error}"))?;
    let lines = text.lines().enumerate();
    let entries = lines.filter_map(|(index, line)| Entry::parse(index + 1, line.trim()));
    entries.collect()
}

impl Entry {
    /// Parses a line; returns `None` if it is empty or a comment.
    fn parse(line: usize, text: &str) -> Option<Result<Self, String>> {
        if text.is_empty() || text.starts_with('#') {
            return None;
        }
        let Some((option, value)) = text.split_once('=') else {
            return Some(Err(format!(", line {line}: expected `option = value`")));
        };
        let value = value.trim();
        let unquoted = value
            .strip_prefix('"')
            .and_then(|rest| rest.strip_suffix('"'));
        Some(Ok(Self {
            line,
            option: option.trim().to_owned(),
            value: unquoted.unwrap_or(value).to_owned(),
        }))
    }

    fn at(&self, problem: &str) -> String {
        format!(", line {}: {problem}", self.line)
    }

    /// Returns the argument of the command line that means the same; none for a switch that is off.
    fn arguments(&self, command: &Command) -> Result<Option<OsString>, String> {
        let option = &self.option;
        let found = find(command, option).ok_or_else(|| format!("there is no option {option}"))?;
        if !matches!(found.get_action(), ArgAction::SetTrue) {
            let argument = OsString::from(format!("--{option}={}", self.value));
            check(command, &argument)?;
            return Ok(Some(argument));
        }
        match self.value.as_str() {
            "true" | "yes" | "on" => Ok(Some(format!("--{option}").into())),
            "false" | "no" | "off" => Ok(None),
            _ => Err(format!("{option} is yes or no")),
        }
    }
}

/// Returns the option of this name that a file may have.
fn find<'a>(command: &'a Command, option: &str) -> Option<&'a clap::Arg> {
    let mut arguments = command.get_arguments();
    let found = arguments.find(|arg| arg.get_long() == Some(option))?;
    // The others are not options of the server: help, for example.
    (found.get_env().is_some() && option != FILE).then_some(found)
}

/// Returns `true` if the command line or the environment has the option.
fn is_given(command: &Command, given: &ArgMatches, option: &str) -> bool {
    let id = find(command, option).map(|arg| arg.get_id().as_str());
    let source = id.and_then(|id| given.value_source(id));
    matches!(
        source,
        Some(ValueSource::CommandLine | ValueSource::EnvVariable)
    )
}

/// Checks the value alone, to name its line.
fn check(command: &Command, argument: &OsString) -> Result<(), String> {
    let name = OsString::from(command.get_name());
    let Err(error) = command.clone().try_get_matches_from([&name, argument]) else {
        return Ok(());
    };
    match error.kind() {
        // Other lines may have what this one requires.
        ErrorKind::MissingRequiredArgument => Ok(()),
        _ => Err(sentence(&error)),
    }
}

/// Returns an error of the command line in one sentence.
pub(crate) fn sentence(error: &clap::Error) -> String {
    let text = error.to_string();
    // The usage follows after an empty line.
    let lines = text.lines().take_while(|line| !line.trim().is_empty());
    let text = lines.map(str::trim).collect::<Vec<_>>().join(" ");
    text.strip_prefix("error: ").unwrap_or(&text).to_owned()
}

/// The option that names the file.
const FILE: &str = "config";

#[cfg(test)]
mod tests {
    use clap::Arg;

    use super::*;

    fn command() -> Command {
        let option = |name: &'static str| Arg::new(name).long(name).env("NO_SUCH_VARIABLE");
        let number = clap::value_parser!(u32);
        Command::new("server")
            .arg(option("config").value_parser(clap::value_parser!(PathBuf)))
            .arg(option("most").value_parser(number).default_value("7"))
            .arg(option("listen").action(ArgAction::Append))
            .arg(option("level").requires("most"))
            .arg(option("share").action(ArgAction::SetTrue))
    }

    /// Returns the options of a command line whose file has this text.
    fn parse(test: &str, text: &str, arguments: &[&str]) -> Result<ArgMatches, String> {
        let name = format!("greet-{}-config-{test}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::write(&path, text).expect("room for a file");
        let mut line: Vec<OsString> = vec!["server".into(), "--config".into(), path.clone().into()];
        line.extend(arguments.iter().map(OsString::from));
        let matches = matches(&command(), line);
        fs::remove_file(&path).expect("our own file");
        matches.map_err(|error| sentence(&error))
    }

    #[test]
    fn file_has_the_options_that_are_not_given() {
        let text = "# both\n\nmost = 5\n listen=a\nlisten = \"b c\"\nshare = yes\n";
        let matches = parse("options", text, &[]).expect("a good file");
        assert_eq!(matches.get_one::<u32>("most"), Some(&5));
        let listen: Vec<_> = matches.get_many::<String>("listen").expect("two").collect();
        assert_eq!(listen, ["a", "b c"]);
        assert!(matches.get_flag("share"));
        let matches = parse("given", text, &["--most", "6", "--listen", "x"]).expect("a good file");
        assert_eq!(matches.get_one::<u32>("most"), Some(&6));
        let listen: Vec<_> = matches.get_many::<String>("listen").expect("one").collect();
        assert_eq!(listen, ["x"]);
    }

    #[test]
    fn error_names_the_line() {
        for (test, text, problem) in [
            (
                "unknown",
                "\nleast = 5\n",
                "line 2: there is no option least",
            ),
            ("value", "most = many\n", "line 1: invalid value 'many'"),
            ("text", "most\n", "line 1: expected `option = value`"),
            ("switch", "share = maybe\n", "line 1: share is yes or no"),
            (
                "itself",
                "config = other\n",
                "line 1: there is no option config",
            ),
        ] {
            let error = parse(test, text, &[]).expect_err(text);
            assert!(error.contains(problem), "{error}");
            assert_eq!(error.lines().count(), 1);
        }
        let twice = parse("twice", "most = 1\nmost = 2\n", &[]);
        assert!(twice.expect_err("twice").contains("multiple times"));
    }

    #[test]
    fn missing_file_is_an_error() {
        let line = ["server", "--config", "/no/such/file"].map(OsString::from);
        let error = matches(&command(), line.into()).expect_err("there is none");
        assert!(sentence(&error).starts_with("/no/such/file: "), "{error}");
    }

    #[test]
    fn values_of_all_options_can_be_compared() {
        let matches = parse("compared", "most = 5\n", &["--listen", "x"]).expect("a good file");
        let options = options(&command(), &matches);
        assert_eq!(options["most"], ["5"]);
        assert_eq!(options["listen"], ["x"]);
    }
}
