//! Reading the configuration again while the server runs: all of it or nothing.

use oneloop::{Reactor, Service};

use crate::args::Args;
use crate::chain::Controls;
use crate::config::Options;
use crate::logging;
use greet_support::descriptors::Allowance;

/// The configuration as it was read last.
pub(crate) struct Reload {
    options: Options,
    /// The descriptors that limit the connections, as found at the start.
    allowance: Allowance,
}

impl Reload {
    pub(crate) fn new(args: &Args, allowance: Allowance) -> Self {
        Self {
            options: args.options().clone(),
            allowance,
        }
    }

    /// Reads the configuration again and takes it over. Returns it.
    ///
    /// # Errors
    /// The problem, for the operator. Then nothing has changed.
    pub(crate) fn run(
        &mut self,
        reactor: &mut Reactor<impl Service>,
        controls: &Controls,
    ) -> Result<Args, String> {
        let args = Args::read_again()?;
        let changed = changed(&self.options, args.options());
        if let Some(fixed) = changed.iter().find(|name| !CHANGEABLE.contains(name)) {
            return Err(format!("{fixed} cannot change without a restart"));
        }
        let renewal = controls.encryption.read_again()?;
        let limits = args.limits(self.allowance);
        let set = reactor.set_limits(limits);
        set.map_err(|error| error.to_string())?;
        controls.greeting.set(args.greeting());
        logging::set_level(args.log_level());
        let certificate = match renewal {
            Some(renewal) => {
                renewal.apply();
                " with the certificate"
            }
            None => "",
        };
        let changed = match changed.join(", ") {
            none if none.is_empty() => "nothing has changed".into(),
            names => format!("changed: {names}"),
        };
        logging::note(&format!(
            "the configuration was read again{certificate}; {changed}"
        ));
        self.options = args.options().clone();
        Ok(args)
    }
}

/// Returns the names of the options whose values differ.
fn changed<'a>(before: &'a Options, after: &'a Options) -> Vec<&'a str> {
    let mut names: Vec<_> = before.keys().chain(after.keys()).collect();
    names.sort_unstable();
    names.dedup();
    let differs = |name: &&&String| before.get(**name) != after.get(**name);
    names
        .iter()
        .filter(differs)
        .map(|name| name.as_str())
        .collect()
}

/// The options that can change while the server runs.
const CHANGEABLE: &[&str] = &[
    "drain",
    "grace",
    "log-level",
    "max-connections",
    "max-per-ip",
    "name-timeout",
    "quiet-gap",
    "successor-timeout",
    "when-full",
    "write-timeout",
];

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn options_that_differ_are_found() {
        let options = |pairs: &[(&str, &str)]| -> Options {
            let pairs = pairs.iter();
            pairs
                .map(|(name, value)| ((*name).to_owned(), vec![(*value).into()]))
                .collect()
        };
        let before = options(&[("a", "1"), ("b", "1"), ("c", "1")]);
        let after = options(&[("a", "1"), ("b", "2"), ("d", "1")]);
        assert_eq!(changed(&before, &after), ["b", "c", "d"]);
    }

    #[test]
    fn changeable_options_exist() {
        let command = Args::command();
        let names: Vec<_> = command
            .get_arguments()
            .filter_map(|arg| arg.get_long())
            .collect();
        for name in CHANGEABLE {
            assert!(names.contains(name), "{name}");
        }
    }
}
