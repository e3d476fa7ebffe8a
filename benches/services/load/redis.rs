//! Commands by `redis-benchmark`.

use std::io;
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

/// One of the tests of `redis-benchmark`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RedisBenchmark {
    pub(crate) test: &'static str,
    /// The number of commands in one write.
    pub(crate) depth: usize,
    pub(crate) value_bytes: usize,
    /// The commands that are sent for each second of the load's duration.
    pub(crate) per_second: u64,
}

impl RedisBenchmark {
    /// Returns the number of commands.
    pub(super) fn run(&self, server: SocketAddr, duration: Duration) -> io::Result<f64> {
        if self.test == "get" {
            // What it gets must be there.
            let set = Self {
                test: "set",
                per_second: 100,
                ..*self
            };
            set.send(server, set.per_second)?;
        }
        let commands = self.per_second * duration.as_secs().max(1);
        self.send(server, commands)?;
        Ok(commands as f64)
    }

    fn send(&self, server: SocketAddr, commands: u64) -> io::Result<()> {
        let output = Command::new("redis-benchmark")
            .args([
                "-h",
                &server.ip().to_string(),
                "-p",
                &server.port().to_string(),
            ])
            .args(["-c", "50", "-q", "-t", self.test])
            .args(["-n", &commands.to_string()])
            .args(["-P", &self.depth.to_string()])
            .args(["-d", &self.value_bytes.to_string()])
            .output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        match output.status.success() && text.contains("requests per second") {
            true => Ok(()),
            false => Err(io::Error::other(format!("redis-benchmark: {output:?}"))),
        }
    }
}
