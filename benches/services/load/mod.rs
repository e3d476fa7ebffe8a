//! The loads: clients that are not ours.

mod fanout;
mod redis;
mod wrk;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use oneloop_bench::peers::{Unavailable, is_on_path};

pub(crate) use fanout::Fanout;
pub(crate) use redis::RedisBenchmark;
pub(crate) use wrk::Wrk;

/// A load on a server.
#[derive(Debug)]
pub(crate) enum Load {
    /// HTTP requests.
    Wrk(Wrk),
    /// Commands of Redis.
    RedisBenchmark(RedisBenchmark),
    /// Messages of one publisher to many subscribers.
    Fanout(Fanout),
}

impl Load {
    /// Checks that its client is installed.
    pub(crate) fn check(&self) -> Result<(), Unavailable> {
        match self {
            Self::Wrk(_) => require("wrk", "wrk"),
            Self::RedisBenchmark(_) => require("redis-benchmark", "redis"),
            Self::Fanout(_) => Ok(()), // a client of our own
        }
    }

    /// Runs the load for about `duration`. Returns the units of work done: requests, commands.
    ///
    /// # Errors
    /// If the client reports an error, for example a wrong answer.
    pub(crate) fn run(&self, server: SocketAddr, duration: Duration) -> io::Result<f64> {
        match self {
            Self::Wrk(wrk) => wrk.run(server, duration),
            Self::RedisBenchmark(redis) => redis.run(server, duration),
            Self::Fanout(fanout) => fanout.run(server, duration),
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
