//! HTTP requests by `wrk`.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// GETs of one page on some connections.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wrk {
    pub(crate) path: &'static str,
    pub(crate) connections: usize,
    /// The number of requests in one write.
    pub(crate) depth: usize,
    pub(crate) body_bytes: u64,
}

impl Wrk {
    /// Returns the number of answers, computed from the bytes received: answers that are incomplete
    /// at the end count in part.
    pub(super) fn run(&self, server: SocketAddr, duration: Duration) -> io::Result<f64> {
        let output = Command::new("wrk")
            .args(["--threads", "1", "--timeout", "20s"])
            .args(["--connections", &self.connections.to_string()])
            .args(["--duration", &format!("{}s", duration.as_secs())])
            .arg("--script")
            .arg(self.script()?)
            .arg(format!("http://{server}{}", self.path))
            .output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let failed = || io::Error::other(format!("wrk: {text}"));
        let counts = text.lines().find_map(|line| line.strip_prefix("counted "));
        let counts: Option<Vec<u64>> = counts
            .into_iter()
            .flat_map(str::split_whitespace)
            .map(|number| number.parse().ok())
            .collect();
        match counts.as_deref() {
            Some(&[requests, bytes, 0]) if requests > 0 => {
                let heads = bytes.saturating_sub(requests * self.body_bytes) / requests;
                let heads = heads.min(HEAD_BYTES_MAX);
                Ok(bytes as f64 / (self.body_bytes + heads) as f64)
            }
            _ => Err(failed()),
        }
    }

    /// Writes a script that pipelines requests and prints all counts.
    fn script(&self) -> io::Result<PathBuf> {
        let depth = self.depth;
        let script = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("wrk-{depth}.lua"));
        fs::write(
            &script,
            format!(
                "init = function()
    local requests = {{}}
    for number = 1, {depth} do requests[number] = wrk.format() end
    all = table.concat(requests)
end
request = function() return all end
done = function(summary)
    local e = summary.errors
    local errors = e.connect + e.read + e.write + e.status + e.timeout
    print(string.format('counted %d %d %d', summary.requests, summary.bytes, errors))
end
"
            ),
        )?;
        Ok(script)
    }
}

/// A head is shorter. Bytes of incomplete answers are not one.
const HEAD_BYTES_MAX: u64 = 1000;
