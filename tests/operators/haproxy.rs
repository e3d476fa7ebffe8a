//! A real HAProxy takes a server out on the line of its agent.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::common::process::Process;
use crate::common::{Client, PATIENCE, Server, WELCOME, eventually};
use crate::tools::runs;

#[test]
fn agent_takes_a_leaving_server_out_of_haproxy() {
    if !runs(Command::new("haproxy").arg("-v")) {
        return println!("skipped: there is no haproxy");
    }
    let mut leaving = Server::start(&["--agent", "127.0.0.1:0", "--drain", "60s"]);
    let staying = Server::start(&["--agent", "127.0.0.1:0"]);
    let haproxy = HaProxy::start(&[&leaving, &staying]);
    eventually("both agents have answered", || {
        let states = [haproxy.state("a"), haproxy.state("b")];
        (states == ["UP", "UP"]).then_some(())
    });
    let weight: u32 = haproxy.field("a", "weight").parse().expect("a number");
    assert!((1..=100).contains(&weight), "{weight}");
    // It does not read, so that the server drains for a while.
    let mut deaf = Client::connect_narrow(leaving.address(), 4096);
    let moment = Some(Duration::from_millis(500));
    deaf.0.set_write_timeout(moment).expect("a time limit");
    deaf.send_all_it_takes(&b"name\n".repeat(1024), 4 << 20);
    leaving.signal(Signal::SIGTERM);
    eventually("the agent takes the server out", || {
        (haproxy.state("a") == "DRAIN (agent)").then_some(())
    });
    for _ in 0..20 {
        haproxy.greet();
    }
    assert_eq!(haproxy.state("b"), "UP");
    assert_eq!(haproxy.field("b", "stot"), "20");
    drop(deaf);
    assert_eq!(leaving.exit().code(), Some(0));
    assert_eq!(staying.report().count("connections_open"), 0);
}

/// A HAProxy before some servers, that ends with the test.
struct HaProxy {
    _process: Process,
    folder: PathBuf,
}

impl HaProxy {
    #[track_caller]
    fn start(servers: &[&Server]) -> Self {
        let folder = std::env::temp_dir().join(format!("oneloop-haproxy-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let (stats, front) = (folder.join("stats"), folder.join("front"));
        let mut config = format!(
            "global\n  stats socket {} mode 600 level admin\n\
             defaults\n  mode tcp\n  timeout connect 5s\n  timeout client 30s\n  timeout server 30s\n\
             frontend front\n  bind unix@{}\n  default_backend greeters\n\
             backend greeters\n",
            stats.display(),
            front.display()
        );
        for (name, server) in ["a", "b"].iter().zip(servers) {
            let line = server.log().wait_for("Agent checks for operators on ", 0);
            let (_, port) = line.rsplit_once(':').expect("a port");
            let server = server.address();
            config += &format!(
                "  server {name} {server} weight 100 check inter 500ms agent-check agent-port {port} agent-inter 100ms\n"
            );
        }
        let file = folder.join("haproxy.cfg");
        fs::write(&file, config).expect("a file");
        let process = Process::spawn(
            Command::new("haproxy")
                .args(["-db", "-f"])
                .arg(&file)
                .stdout(Stdio::null())
                .stderr(Stdio::null()),
        );
        let haproxy = Self {
            _process: process,
            folder,
        };
        eventually("HAProxy listens", || {
            UnixStream::connect(haproxy.folder.join("stats")).ok()
        });
        haproxy
    }

    /// Takes the welcome of one of the servers.
    #[track_caller]
    fn greet(&self) {
        let mut stream = UnixStream::connect(self.folder.join("front")).expect("connecting");
        stream
            .set_read_timeout(Some(PATIENCE))
            .expect("a time limit");
        let mut welcome = vec![0; WELCOME.len()];
        stream.read_exact(&mut welcome).expect("a welcome");
        assert_eq!(welcome, WELCOME.as_bytes());
        stream.write_all(b"exit\n").expect("sending");
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).expect("the end");
    }

    fn state(&self, server: &str) -> String {
        self.field(server, "status")
    }

    /// Returns a field of a server in HAProxy's statistics.
    fn field(&self, server: &str, name: &str) -> String {
        let mut stream = UnixStream::connect(self.folder.join("stats")).expect("connecting");
        stream.write_all(b"show stat\n").expect("sending");
        let mut table = String::new();
        stream.read_to_string(&mut table).expect("a table");
        let mut rows = table
            .lines()
            .map(|line| line.trim_start_matches("# ").split(','));
        let column = rows
            .next()
            .and_then(|mut names| names.position(|of| of == name));
        let column = column.expect("a column");
        let row = rows
            .map(Vec::from_iter)
            .find(|row| row.get(1) == Some(&server));
        row.map_or_else(String::new, |row| row[column].to_owned())
    }
}

impl Drop for HaProxy {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}
