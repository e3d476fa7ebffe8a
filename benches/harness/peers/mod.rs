//! Our server and those compared with it, as processes to start, measure and stop.
//!
//! All of them implement the greeting protocol in line framing. Peers in C or Go are built under
//! `target/peers` if the tools are installed; those in Rust are programs of this package. If a peer
//! is not available, [`Peer::start`] returns a sentence about the missing package, and a benchmark
//! continues without it.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;

mod build;
mod contest;
mod process;

pub use build::is_on_path;
pub use contest::{Contest, connections_max, pin_clients, start_pinned};
pub use process::{Memory, Running};

/// One server to compare.
#[derive(Clone, Debug)]
pub struct Peer {
    name: &'static str,
    recipe: Recipe,
}

/// The source of a peer's program, in this folder.
#[derive(Clone, Debug)]
enum Recipe {
    C {
        source: &'static str,
        library: Option<Library>,
    },
    Go {
        folder: &'static str,
    },
    Python {
        source: &'static str,
    },
    Rust {
        name: &'static str,
        source: &'static str,
    },
    Program {
        path: PathBuf,
        arguments: Vec<String>,
    },
    Example {
        name: &'static str,
        /// The program that runs it, with its arguments; empty if it runs by itself.
        tool: Vec<String>,
        /// Returns the arguments after its address.
        more: fn() -> Vec<String>,
    },
    Foreign(Foreign),
}

/// A program of others, which does not print its address.
#[derive(Clone, Copy, Debug)]
pub struct Foreign {
    /// Its name on the path.
    pub program: &'static str,
    /// The Debian package that contains it.
    pub package: &'static str,
    /// Returns the arguments with which it listens at an address, and stays in the foreground as
    /// one process.
    pub arguments: fn(SocketAddr) -> io::Result<Vec<String>>,
}

/// A C library that a peer needs.
#[derive(Clone, Copy, Debug)]
struct Library {
    header: &'static str,
    flag: &'static str,
    package: &'static str,
}

/// Error returned when a peer does not run.
#[derive(Debug)]
pub enum Unavailable {
    /// A requirement is not installed. The sentence names the package.
    Skipped(String),
    /// It failed to start. The sentence gives the cause.
    Failed(String),
}

/// The processors that a peer may use.
#[derive(Clone, Copy, Debug)]
pub enum Pin {
    Anywhere,
    /// This core alone, if `taskset` is installed: see [`Running::pinned_to`].
    Core(usize),
}

impl Peer {
    /// A raw epoll loop in C: the practical limit.
    pub const C_EPOLL: Self = Self {
        name: "c_epoll",
        recipe: Recipe::C {
            source: "c_epoll.c",
            library: None,
        },
    };

    /// libevent's bufferevents.
    pub const LIBEVENT: Self = Self {
        name: "libevent",
        recipe: Recipe::C {
            source: "libevent.c",
            library: Some(Library {
                header: "event2/event.h",
                flag: "-levent",
                package: "libevent-dev",
            }),
        },
    };

    /// libuv's streams.
    pub const LIBUV: Self = Self {
        name: "libuv",
        recipe: Recipe::C {
            source: "libuv.c",
            library: Some(Library {
                header: "uv.h",
                flag: "-luv",
                package: "libuv1-dev",
            }),
        },
    };

    /// Go's net package on one processor.
    pub const GO: Self = Self {
        name: "go",
        recipe: Recipe::Go { folder: "go" },
    };

    /// The tutorial's design: a thread per connection in Python.
    pub const TUTORIAL: Self = Self {
        name: "tutorial",
        recipe: Recipe::Python {
            source: "tutorial.py",
        },
    };

    /// A thread per connection in Rust.
    pub const THREADS: Self = Self {
        name: "threads",
        recipe: Recipe::Rust {
            name: "peer-threads",
            source: "threads.rs",
        },
    };

    /// tokio's current-thread runtime, a task per connection.
    pub const TOKIO: Self = Self {
        name: "tokio",
        recipe: Recipe::Rust {
            name: "peer-tokio",
            source: "tokio.rs",
        },
    };

    /// The shape of mio's own example.
    pub const MIO_EXAMPLE: Self = Self {
        name: "mio_example",
        recipe: Recipe::Rust {
            name: "peer-mio-example",
            source: "mio_example.rs",
        },
    };

    /// All peers except ours.
    pub const OTHERS: [Self; 8] = [
        Self::C_EPOLL,
        Self::LIBEVENT,
        Self::LIBUV,
        Self::GO,
        Self::TUTORIAL,
        Self::THREADS,
        Self::TOKIO,
        Self::MIO_EXAMPLE,
    ];

    /// Returns our server at `path`, with `more` arguments after those that make it a peer.
    pub fn ours(path: impl Into<PathBuf>, more: &[&str]) -> Self {
        Self::program("oneloop", path, &[OUR_ARGUMENTS, more].concat())
    }

    /// Returns our server under a tool that observes it, such as `strace`.
    pub fn ours_under(tool: &'static str, arguments: &[&str], path: &str) -> Self {
        Self::program(tool, tool, &[arguments, &[path], OUR_ARGUMENTS].concat())
    }

    /// Returns another program, which prints `listening on ADDRESS:PORT` in a line of its output.
    pub fn program(name: &'static str, path: impl Into<PathBuf>, arguments: &[&str]) -> Self {
        let path = path.into();
        let arguments = arguments.iter().map(ToString::to_string).collect();
        Self {
            name,
            recipe: Recipe::Program { path, arguments },
        }
    }

    /// Returns an example of the library. It takes its address as the first argument.
    pub const fn example(name: &'static str) -> Self {
        Self::example_with(name, Vec::new)
    }

    /// Returns an example that takes `more` arguments after its address.
    pub const fn example_with(name: &'static str, more: fn() -> Vec<String>) -> Self {
        let tool = Vec::new();
        let recipe = Recipe::Example { name, tool, more };
        Self { name, recipe }
    }

    /// Returns the example under a tool that observes it. Another peer stays as it is.
    #[must_use]
    pub fn under(mut self, by: &[&str]) -> Self {
        if let Recipe::Example { tool, .. } = &mut self.recipe {
            *tool = by.iter().map(ToString::to_string).collect();
        }
        self
    }

    /// Returns a program of others.
    pub const fn foreign(name: &'static str, program: Foreign) -> Self {
        let recipe = Recipe::Foreign(program);
        Self { name, recipe }
    }

    /// Returns a short name for tables.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Returns the number of connections that the peer can be expected to serve.
    pub fn connections_max(&self) -> usize {
        match self.recipe {
            // Python's threads share one lock.
            Recipe::Python { .. } => 1_000,
            // More threads exceed the limits of many systems.
            Recipe::Rust {
                name: "peer-threads",
                ..
            } => 10_000,
            _ => usize::MAX,
        }
    }

    /// Builds the peer if necessary, and starts it on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// If the peer is not available on this machine, or does not listen within 20 s.
    pub fn start(&self, pin: Pin) -> Result<Running, Unavailable> {
        match &self.recipe {
            Recipe::Foreign(foreign) => foreign.start(self.name, pin),
            _ => Running::start(self.name, &self.command()?, pin),
        }
    }

    /// Returns the program and its arguments.
    fn command(&self) -> Result<Vec<String>, Unavailable> {
        let program = match &self.recipe {
            Recipe::C { source, library } => build::c(self.name, source, *library)?,
            Recipe::Go { folder } => build::go(self.name, folder)?,
            Recipe::Rust { name, source } => build::program(name, source)?,
            Recipe::Python { source } => return build::python(source),
            Recipe::Example { name, tool, more } => {
                let program = build::example(name)?.display().to_string();
                return Ok([tool, &[program, ANY_PORT.to_owned()][..], &more()].concat());
            }
            Recipe::Foreign(_) => unreachable!("it is started with an address"),
            Recipe::Program { path, arguments } => {
                return Ok([&[path.display().to_string()], &arguments[..]].concat());
            }
        };
        Ok(vec![program.display().to_string(), ANY_PORT.to_owned()])
    }
}

impl Foreign {
    fn start(&self, name: &'static str, pin: Pin) -> Result<Running, Unavailable> {
        if !is_on_path(self.program) {
            return Err(build::missing(&format!("`{}`", self.program), self.package));
        }
        let failed = |error: io::Error| Unavailable::Failed(format!("{name}: {error}"));
        let address = free_address().map_err(failed)?;
        let arguments = (self.arguments)(address).map_err(failed)?;
        let command = [&[self.program.to_owned()], &arguments[..]].concat();
        Running::start_at(address, name, &command, pin)
    }
}

/// Returns an address with a port that was free a moment ago.
fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind(ANY_PORT)?.local_addr()
}

impl std::fmt::Display for Unavailable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Skipped(why) => write!(f, "skipped: {why}"),
            Self::Failed(why) => write!(f, "failed: {why}"),
        }
    }
}

impl std::error::Error for Unavailable {}

const ANY_PORT: &str = "127.0.0.1:0";

const OUR_ARGUMENTS: &[&str] = &[
    "--listen",
    ANY_PORT,
    "--framing",
    "line",
    "--log-level",
    "warn",
];
