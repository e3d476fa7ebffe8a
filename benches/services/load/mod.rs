//! The loads: clients that are not ours.

mod wrk;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use oneloop_bench::peers::{Unavailable, is_on_path};

pub(crate) use wrk::Wrk;

/// A load on a server.
#[derive(Debug)]
pub(crate) enum Load {
    /// HTTP requests.
    Wrk(Wrk),
}

impl Load {
    /// Checks that its client is installed.
    pub(crate) fn check(&self) -> Result<(), Unavailable> {
        match self {
            Self::Wrk(_) => require("wrk", "wrk"),
        }
    }

    /// Runs the load for about `duration`. Returns the units of work done: requests, commands.
    ///
    /// # Errors
    /// If the client reports an error, for example a wrong answer.
    pub(crate) fn run(&self, server: SocketAddr, duration: Duration) -> io::Result<f64> {
        match self {
            Self::Wrk(wrk) => wrk.run(server, duration),
        }
    }
}

fn require(program: &str, package: &str) -> Result<(), Unavailable> {
    if is_on_path(program) {
        return Ok(());
    }
    Err(Unavailable::Skipped(format!(
        "`{program}` not found; install it, on Debian with `apt-get install {package}`"
    )))
}
