//! Builds and runs some of the tests in a copy of the tree.

use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::mutant::Suite;

/// The test program that a suite is a part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Program {
    Unit(&'static str),
    Simulation,
    /// The simulation with the feature `tls`.
    SimulationOfTls,
    /// The program `simulate`, which is built in less time.
    Simulate,
    Sockets(&'static str),
}

/// The outcome of a run of tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Run {
    Passed,
    Failed,
    /// Killed after [`PATIENCE`].
    Hung,
}

impl Suite {
    pub(crate) fn program(self) -> Program {
        match self {
            Self::Unit(package, _) => Program::Unit(package),
            Self::Scenario(_) => Program::Simulation,
            Self::Tls(_) => Program::SimulationOfTls,
            Self::Seeds(_) | Self::Relay(_) => Program::Simulate,
            Self::Sockets(test, _) => Program::Sockets(test),
        }
    }

    /// Returns the arguments of its program.
    fn arguments(self) -> Vec<String> {
        let seeds = |service: &[&str], seeds: u32| {
            let seeds = ["--turns", "1000", "--seeds", &seeds.to_string()];
            [service, &seeds]
                .concat()
                .into_iter()
                .map(String::from)
                .collect()
        };
        match self {
            Self::Unit(_, filter) | Self::Scenario(filter) | Self::Sockets(_, filter) => {
                vec![filter.into()]
            }
            Self::Tls(filter) => vec![format!("layers::tls::{filter}")],
            Self::Seeds(each) => seeds(&[], each * SERVICES),
            Self::Relay(each) => seeds(&["--service", "relay"], each),
        }
    }

    /// Runs the suite with the programs built in `tree`.
    ///
    /// # Errors
    /// If the program cannot be started.
    pub(crate) fn run(self, executable: &Path, tree: &Path) -> io::Result<Run> {
        let mut command = Command::new(executable);
        command.args(self.arguments()).current_dir(tree);
        command.stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = in_own_group(&mut command).spawn()?;
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(if status.success() {
                    Run::Passed
                } else {
                    Run::Failed
                });
            }
            if Instant::now() > until {
                end(&mut child)?;
                return Ok(Run::Hung);
            }
            thread::sleep(GLANCE);
        }
    }
}

impl Program {
    /// Builds the program from `tree` into `target`. Returns `None` if it does not build.
    ///
    /// # Errors
    /// If cargo cannot be started, or names no program.
    pub(crate) fn build(self, tree: &Path, target: &Path) -> io::Result<Option<PathBuf>> {
        let mut command = Command::new(env!("CARGO"));
        match self {
            Self::Simulate => command.arg("build"),
            _ => command.args(["test", "--no-run"]),
        };
        command.args(["--locked", "--profile", self.profile()]);
        command.args(["--message-format", "json-render-diagnostics"]);
        match self {
            Self::Simulate => command.args(["--package", "oneloop-swarm", "--bin", "simulate"]),
            Self::Unit(package) => command.args(["--package", package, "--lib"]),
            Self::Simulation => command.args(SIMULATION),
            Self::SimulationOfTls => command.args(SIMULATION).args(["--features", "tls"]),
            Self::Sockets(test) => command.args(["--package", "oneloop-programs", "--test", test]),
        };
        command.current_dir(tree).env("CARGO_TARGET_DIR", target);
        command.env("CARGO_TERM_COLOR", "never");
        for name in NOT_PASSED_ON {
            command.env_remove(name);
        }
        command.stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn()?;
        let lines = BufReader::new(child.stdout.take().expect("stdout is piped")).lines();
        let mut executable = None;
        for line in lines {
            executable = self.executable_of(&line?).or(executable);
        }
        if !child.wait()?.success() {
            return Ok(None);
        }
        match executable {
            Some(path) => Ok(Some(path)),
            None => Err(io::Error::other(format!("cargo built no {self:?}"))),
        }
    }

    /// Returns the profile of its build. Only the swarm runs longer than its build takes.
    fn profile(self) -> &'static str {
        match self {
            Self::Simulate => "mutants",
            _ => "mutants-unoptimized",
        }
    }

    /// Returns the program if a message of cargo names it.
    fn executable_of(self, message: &str) -> Option<PathBuf> {
        let message: serde_json::Value = serde_json::from_str(message).ok()?;
        let is_test = message["profile"]["test"].as_bool()?;
        let path = message["executable"].as_str()?;
        (is_test == (self != Self::Simulate)).then(|| path.into())
    }
}

/// Puts a program into its own process group, so that it is killed with its children.
fn in_own_group(command: &mut Command) -> &mut Command {
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(command, 0);
    command
}

/// Kills a program and its children.
fn end(child: &mut Child) -> io::Result<()> {
    #[cfg(unix)]
    {
        let group = nix::unistd::Pid::from_raw(child.id().cast_signed());
        nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGKILL)?;
    }
    #[cfg(not(unix))]
    child.kill()?;
    child.wait().map(drop)
}

/// The test program of the scenarios.
const SIMULATION: [&str; 4] = ["--package", "oneloop-swarm", "--test", "simulation"];
/// The services of the swarm, which take turns in its seeds.
const SERVICES: u32 = 3;
/// Longest run of a suite: no suite takes half as long when it passes.
const PATIENCE: Duration = Duration::from_secs(180);
const GLANCE: Duration = Duration::from_millis(20);
/// Variables that cargo sets for its children. A nested cargo would take them for its own settings.
const NOT_PASSED_ON: [&str; 3] = ["CARGO_MANIFEST_DIR", "CARGO_BUILD_TARGET_DIR", "RUSTFLAGS"];
