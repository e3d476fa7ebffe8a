//! A real Prometheus scrapes the server while it serves ten thousand clients.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::common::process::Process;
use crate::common::{Server, eventually};
use crate::http::Target;
use crate::tools::has;

/// Connections of the load, unless the limit on descriptors allows fewer.
const CONNECTIONS: u64 = 10_000;

#[test]
fn prometheus_scrapes_a_server_of_ten_thousand_clients() {
    if !has("prometheus") {
        return;
    }
    let (limit, _) = rlimit::getrlimit(rlimit::Resource::NOFILE).expect("a limit");
    let limit = rlimit::increase_nofile_limit(u64::MAX).unwrap_or(limit);
    let connections = CONNECTIONS.min(limit.saturating_sub(400));
    let server = Server::start(&["--admin", "127.0.0.1:0", "--log-level", "warn"]);
    let line = server.log().wait_for("for operators on ", 0);
    let admin = line.rsplit(' ').next().expect("an address");
    let prometheus = Prometheus::start(admin);
    let mut load = Process::spawn(
        Command::new(env!("CARGO_BIN_EXE_greet-load"))
            .arg(server.address().to_string())
            .args(["--connections", &connections.to_string()])
            .args(["--rate", "2000", "--duration", "8s", "--no-pin", "--quiet"])
            .args(["--timeout", "20s", "--grace", "20s"])
            .stdout(Stdio::null())
            .stderr(Stdio::null()),
    );
    eventually("a scrape sees all clients", || {
        let most = prometheus.one("max_over_time(sum(oneloop_connections_open)[1m:1s])");
        most.is_some_and(|most| most >= connections as f64)
            .then_some(())
    });
    assert!(load.wait().expect("waiting for the load").success());
    eventually("a scrape sees the last client leave", || {
        let open = prometheus.one("sum(oneloop_connections_open{listener=\"main\"})");
        (open == Some(0.0)).then_some(())
    });
    let scrapes = prometheus.one("count_over_time(up[5m])").expect("scrapes");
    assert!(scrapes >= 4.0, "{scrapes} scrapes");
    assert_eq!(prometheus.one("min_over_time(up[5m])"), Some(1.0));
    let rest = "sum(oneloop_connections_accepted_total) - sum(oneloop_connections_ended_total) \
                - sum(oneloop_connections_open) - sum(oneloop_connections_refusing)";
    for extreme in ["max", "min"] {
        let query = format!("{extreme}_over_time(({rest})[5m:1s])");
        assert_eq!(prometheus.one(&query), Some(0.0), "{query}");
    }
    let accepted = prometheus.one("sum(oneloop_connections_accepted_total{listener=\"main\"})");
    assert!(accepted >= Some(connections as f64));
}

/// A Prometheus with one target, that ends with the test.
struct Prometheus {
    _process: Process,
    folder: std::path::PathBuf,
    address: SocketAddr,
}

impl Prometheus {
    #[track_caller]
    fn start(target: &str) -> Self {
        let name = format!("oneloop-prometheus-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).expect("a folder");
        // It cannot report the port of port 0: a port that was free a moment ago will do.
        let free = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = free.local_addr().expect("an address");
        drop(free);
        let config = folder.join("prometheus.yml");
        let text = format!(
            "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\n\
             scrape_configs: [{{job_name: greet-server, static_configs: [{{targets: ['{target}']}}]}}]\n"
        );
        fs::write(&config, text).expect("a file");
        let process = Process::spawn(
            Command::new("prometheus")
                .arg(format!("--config.file={}", config.display()))
                .arg(format!(
                    "--storage.tsdb.path={}",
                    folder.join("data").display()
                ))
                .arg(format!("--web.listen-address={address}"))
                .stdout(Stdio::null())
                .stderr(Stdio::null()),
        );
        let prometheus = Self {
            _process: process,
            folder,
            address,
        };
        eventually("Prometheus is ready", || {
            std::net::TcpStream::connect_timeout(&address, Duration::from_secs(1)).ok()
        });
        eventually("it has scraped once", || {
            (prometheus.one("up") == Some(1.0)).then_some(())
        });
        prometheus
    }

    /// Returns the value of a query with one result.
    fn one(&self, query: &str) -> Option<f64> {
        let escaped: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let answer = Target::Tcp(self.address).get(&format!("/api/v1/query?query={escaped}"));
        let answer: Value = serde_json::from_str(&answer.body).ok()?;
        let value = answer["data"]["result"][0]["value"][1].as_str()?;
        value.parse().ok()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}
