//! The servers that ours is compared with, and ours, as processes to start, measure and stop.
//!
//! All of them speak the greeting protocol in line framing on the wire. A [`Peer`] knows how its
//! program is had: written in C or Go, it is built under `target/peers` when the tools are there;
//! written in Rust, it is an example of this package. [`Peer::start`] says in one sentence what to
//! install when it cannot be had, so that a benchmark can go on without it.

#![allow(
    dead_code,
    unused_imports,
    reason = "included by path; each benchmark and test uses a part of it"
)]

use std::path::PathBuf;

mod build;
mod contest;
mod process;

pub use build::is_on_path;
pub use contest::{CLIENTS_CORE, Contest, start_pinned};
pub use process::{Memory, Running};

/// One server to compare.
#[derive(Clone, Debug)]
pub struct Peer {
    name: &'static str,
    recipe: Recipe,
}

/// Where a peer's program comes from. Sources are in this folder.
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
}

/// A C library that a peer needs.
#[derive(Clone, Copy, Debug)]
struct Library {
    header: &'static str,
    flag: &'static str,
    package: &'static str,
}

/// Why a peer does not run.
#[derive(Debug)]
pub enum Unavailable {
    /// Something that it needs is not on this machine. The sentence says what to install.
    Skipped(String),
    /// It should have started. The sentence says what failed.
    Failed(String),
}

/// Which processor a peer may run on.
#[derive(Clone, Copy, Debug)]
pub enum Pin {
    Anywhere,
    /// This core alone, when `taskset` is there to say so: see [`Running::pinned_to`].
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

    /// Every peer but ours.
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

    /// Our own server, at `path`; `more` follows the arguments that make it one of the peers.
    pub fn ours(path: impl Into<PathBuf>, more: &[&str]) -> Self {
        Self::program("oneloop", path, &[OUR_ARGUMENTS, more].concat())
    }

    /// Our own server under a tool that looks at it, such as `strace`.
    pub fn ours_under(tool: &'static str, arguments: &[&str], path: &str) -> Self {
        Self::program(tool, tool, &[arguments, &[path], OUR_ARGUMENTS].concat())
    }

    /// Any other program that says `listening on ADDRESS:PORT` in a line of its output.
    pub fn program(name: &'static str, path: impl Into<PathBuf>, arguments: &[&str]) -> Self {
        let path = path.into();
        let arguments = arguments.iter().map(ToString::to_string).collect();
        Self {
            name,
            recipe: Recipe::Program { path, arguments },
        }
    }

    /// A short name for tables.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// How many connections it is worth trying with.
    pub fn connections_max(&self) -> usize {
        match self.recipe {
            // Python's threads all want the one lock.
            Recipe::Python { .. } => 1_000,
            // More threads than that are more than many systems allow.
            Recipe::Rust {
                name: "peer-threads",
                ..
            } => 10_000,
            _ => usize::MAX,
        }
    }

    /// Builds the peer if need be, and starts it on a free port of 127.0.0.1.
    ///
    /// # Errors
    ///
    /// When it cannot be had on this machine, and when it does not listen within 20 s.
    pub fn start(&self, pin: Pin) -> Result<Running, Unavailable> {
        Running::start(self.name, &self.command()?, pin)
    }

    /// The program and its arguments.
    fn command(&self) -> Result<Vec<String>, Unavailable> {
        let program = match &self.recipe {
            Recipe::C { source, library } => build::c(self.name, source, *library)?,
            Recipe::Go { folder } => build::go(self.name, folder)?,
            Recipe::Rust { name, source } => build::program(name, source)?,
            Recipe::Python { source } => return build::python(source),
            Recipe::Program { path, arguments } => {
                return Ok([&[path.display().to_string()], &arguments[..]].concat());
            }
        };
        Ok(vec![program.display().to_string(), ANY_PORT.to_owned()])
    }
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
