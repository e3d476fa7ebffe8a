//! A known mistake, as a replacement of text.

#![allow(dead_code, reason = "shared by a test and an example; none uses all")]

use std::fs;
use std::io;
use std::path::Path;

/// A mistake that tests must find.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mutant {
    pub(crate) name: &'static str,
    /// The file that it changes, relative to the root of the repository.
    pub(crate) file: &'static str,
    /// Text that occurs exactly once in the file.
    pub(crate) find: &'static str,
    pub(crate) replace: &'static str,
    /// The cheapest tests that must find it.
    pub(crate) suite: Suite,
}

/// Some of the tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Suite {
    /// The unit tests of the package `.0` whose path contains `.1`.
    Unit(&'static str, &'static str),
    /// The scenarios of `tests/simulation` whose path contains this.
    Scenario(&'static str),
    /// The scenarios inside TLS whose path contains this. Building them takes a C compiler.
    Tls(&'static str),
    /// So many seeds of each service of the swarm.
    Seeds(u32),
    /// So many seeds of the relay alone.
    Relay(u32),
    /// The tests on real sockets in `tests/<.0>` whose path contains `.1`.
    Sockets(&'static str, &'static str),
}

impl Mutant {
    /// Returns the text of its file with the mistake in it.
    ///
    /// # Errors
    /// If the file cannot be read, or `find` does not occur exactly once.
    pub(crate) fn apply(&self, root: &Path) -> io::Result<String> {
        let text = fs::read_to_string(root.join(self.file))?;
        match text.matches(self.find).count() {
            1 => Ok(text.replacen(self.find, self.replace, 1)),
            times => Err(io::Error::other(format!(
                "{}: its text occurs {times} times in {}:\n{}",
                self.name, self.file, self.find
            ))),
        }
    }
}
