//! The server behind the real HAProxy and the real nginx, with the PROXY protocol. What needs a
//! program that is not installed is skipped.
//!
//! HAProxy listens on a socket that the test has bound and passes on as its standard input, so that
//! its port is free.

#![cfg(target_os = "linux")]

mod common;

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use common::process::Process;
use common::{Client, FULL, Server, eventually};
use oneloop::net::Os;
use oneloop_load::{Framing, Go, Plan, Scenario};

/// A running proxy. Dropping it kills it.
struct Proxy {
    address: SocketAddr,
    _process: Process,
    _config: ConfigFile,
}

/// A configuration in a file, removed when dropped.
struct ConfigFile(PathBuf);

impl ConfigFile {
    fn new(name: &str, text: &str) -> Self {
        let folder = std::env::temp_dir();
        let path = folder.join(format!("oneloop-{}-{name}", std::process::id()));
        std::fs::write(&path, text).expect("writing a configuration");
        Self(path)
    }
}

impl Drop for ConfigFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Proxy {
    /// Starts HAProxy before servers with these options each; `None` if it is not installed.
    fn haproxy(name: &str, servers: &[&Server], options: &str) -> Option<Self> {
        let servers = servers
            .iter()
            .enumerate()
            .map(|(number, server)| format!("  server s{number} {} {options}\n", server.address()));
        let servers: String = servers.collect();
        let text = format!(
            "defaults\n  mode tcp\n  timeout connect 10s\n  timeout client 60s\n  timeout server 60s\n\
             \x20 retries 3\n  option redispatch\n\
             listen greet\n  unique-id-format %pid-%rt\n  bind fd@0\n{servers}"
        );
        let config = ConfigFile::new(&format!("{name}.haproxy"), &text);
        let mut command = program("haproxy")?;
        command.arg("-db").arg("-f").arg(&config.0);
        Some(Self::start(command, config, socket()))
    }

    /// Starts nginx before a server; `None` if it is not installed, or without its stream module.
    ///
    /// It crashes with a socket that it inherits, so it binds a port that was free just before.
    fn nginx(name: &str, server: &Server) -> Option<Self> {
        nginx()?;
        Some(eventually("nginx has a port", || {
            let address = socket().local_addr().expect("it is bound");
            let text = format!(
                "include /etc/nginx/modules-enabled/*.conf;\ndaemon off;\nmaster_process off;\n\
                 error_log stderr warn;\npid /dev/null;\nevents {{}}\n\
                 stream {{ server {{ listen {address}; proxy_pass {}; proxy_protocol on; }} }}\n",
                server.address()
            );
            let config = ConfigFile::new(&format!("{name}.nginx"), &text);
            let mut command = Command::new("nginx");
            command.args(["-e", "stderr", "-c"]).arg(&config.0);
            command.stdin(Stdio::null()).stderr(Stdio::null());
            let mut process = Process::spawn(&mut command);
            let listens = eventually("nginx listens or has ended", || {
                match process.try_wait().expect("waiting") {
                    Some(_) => Some(false),
                    None => Client::try_connect(address).ok().map(|_| true),
                }
            });
            listens.then_some(Self {
                address,
                _process: process,
                _config: config,
            })
        }))
    }

    fn start(mut command: Command, config: ConfigFile, socket: TcpListener) -> Self {
        let address = socket.local_addr().expect("it is bound");
        command.stdin(Stdio::from(OwnedFd::from(socket)));
        command.stdout(Stdio::null()).stderr(Stdio::null());
        Self {
            address,
            _process: Process::spawn(&mut command),
            _config: config,
        }
    }
}

fn socket() -> TcpListener {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port")
}

/// Returns a command that runs a program, if it is installed. Prints a sentence if not.
fn program(name: &str) -> Option<Command> {
    let found = Command::new(name)
        .arg("-v")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if found.is_err() {
        println!("skipped: there is no {name}");
        return None;
    }
    Some(Command::new(name))
}

/// Returns nginx, if its module for streams is there.
fn nginx() -> Option<Command> {
    let nginx = program("nginx")?;
    let probe = ConfigFile::new(
        &format!("{:?}.probe", std::thread::current().id()),
        "include /etc/nginx/modules-enabled/*.conf;\npid /dev/null;\nevents {}\nstream {}\n",
    );
    let mut test = Command::new("nginx");
    test.args(["-t", "-q", "-e", "stderr", "-c"]).arg(&probe.0);
    let output = test.output().expect("it starts");
    if !output.status.success() {
        println!("skipped: nginx has no stream module (libnginx-mod-stream)");
        return None;
    }
    Some(nginx)
}

fn server(version: &str, more: &[&str]) -> Server {
    let mut flags = vec!["--proxy-protocol", version, "--proxy-from", "127.0.0.1"];
    flags.extend(more);
    Server::start(&flags)
}

/// Holds a conversation through a proxy, and returns the client's own address.
#[track_caller]
fn converse(proxy: SocketAddr) -> SocketAddr {
    let mut client = Client::connect_from("127.7.7.7", proxy).expect("connecting");
    let address = client.0.local_addr().expect("an address");
    client.expect_welcome();
    client.round_trip("somebody");
    client.leave();
    address
}

/// Requires lines in the log with the client's address, and the proxy's beside it.
#[track_caller]
fn assert_logged(server: &Server, client: SocketAddr) {
    for line in [
        format!("Accept new connection from {client} "),
        format!("Connection from {client} is closed (finished) "),
    ] {
        let line = server.log().wait_for(&line, 0);
        assert!(line.contains(" via=127.0.0.1:"), "{line}");
    }
    assert_no_warning(server);
}

#[track_caller]
fn assert_no_warning(server: &Server) {
    let lines = server.log().lines();
    let warnings: Vec<_> = lines
        .iter()
        .filter(|line| line.contains(" WARN "))
        .collect();
    assert!(warnings.is_empty(), "{warnings:?}");
}

#[test]
fn client_of_haproxy_is_logged_with_its_address() {
    for (version, options) in [
        ("v1", "send-proxy"),
        ("v2", "send-proxy-v2"),
        ("v2", "send-proxy-v2 proxy-v2-options unique-id,crc32c"),
        ("any", "send-proxy-v2 check inter 50ms"),
        ("any", "send-proxy check inter 50ms"),
    ] {
        let server = server(version, &[]);
        let Some(proxy) = Proxy::haproxy("log", &[&server], options) else {
            return;
        };
        assert_logged(&server, converse(proxy.address));
    }
}

#[test]
fn client_of_nginx_is_logged_with_its_address() {
    let server = server("v1", &["--log-level", "debug"]);
    let Some(proxy) = Proxy::nginx("log", &server) else {
        return;
    };
    assert_logged(&server, converse(proxy.address));
}

#[test]
fn client_over_ipv6_is_logged_with_its_address() {
    for (version, options) in [("v1", "send-proxy"), ("v2", "send-proxy-v2")] {
        let Ok(socket) = TcpListener::bind("[::1]:0") else {
            println!("skipped: there is no IPv6");
            return;
        };
        let server = server(version, &[]);
        let Some(command) = program("haproxy") else {
            return;
        };
        let text = format!(
            "defaults\n  mode tcp\n  timeout connect 10s\n  timeout client 60s\n  timeout server 60s\n\
             listen greet\n  bind fd@0\n  server s {} {options}\n",
            server.address()
        );
        let config = ConfigFile::new("ipv6.haproxy", &text);
        let mut command = command;
        command.arg("-db").arg("-f").arg(&config.0);
        let proxy = Proxy::start(command, config, socket);
        let mut client = Client::connect(proxy.address);
        client.expect_welcome();
        let address = client.0.local_addr().expect("an address");
        let line = format!("Accept new connection from {address} ");
        server.log().wait_for(&line, 0);
    }
}

#[test]
fn checks_of_haproxy_cause_no_warning() {
    for options in [
        "send-proxy check inter 20ms",
        "send-proxy-v2 check inter 20ms",
        "send-proxy-v2 proxy-v2-options unique-id,crc32c check inter 20ms",
    ] {
        let server = server("any", &["--log-level", "debug"]);
        let Some(_proxy) = Proxy::haproxy("checks", &[&server], options) else {
            return;
        };
        eventually("checks are counted", || {
            (server.report().ended("probe of a proxy") >= 20).then_some(())
        });
        let report = server.report();
        assert_eq!(
            report.ended_in_all(),
            report.ended("probe of a proxy"),
            "{options}"
        );
        assert_no_warning(&server);
        let lines = server.log().lines();
        let probes = lines.iter().filter(|line| line.contains("onnection from"));
        assert!(probes.clone().count() >= 20);
        assert!(
            probes.clone().all(|line| line.contains(" DEBUG ")),
            "{options}"
        );
    }
}

#[test]
fn clients_of_one_proxy_have_a_limit_each() {
    let server = server("any", &["--max-per-ip", "1"]);
    let options = "send-proxy-v2 check inter 50ms";
    let Some(proxy) = Proxy::haproxy("limits", &[&server], options) else {
        return;
    };
    let connect = |from| Client::connect_from(from, proxy.address).expect("connecting");
    let mut first = connect("127.7.7.1");
    first.expect_welcome();
    connect("127.7.7.1").expect_last(FULL);
    let mut other = connect("127.7.7.2");
    other.expect_welcome();
    first.leave();
    eventually("its place is free", || {
        let again = connect("127.7.7.1");
        let mut byte = [0];
        let _ = again.0.peek(&mut byte);
        (byte[0] == common::WELCOME.as_bytes()[0]).then_some(())
    });
    assert_no_warning(&server);
}

#[test]
fn connection_past_the_proxy_is_closed() {
    let server = server("any", &[]);
    let header = b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n";
    let mut foreign = Client::connect_from("127.7.7.7", server.address()).expect("connecting");
    foreign.send(header);
    foreign.expect_end();
    let line = server
        .log()
        .wait_for("not in the networks of the proxies", 0);
    assert!(line.contains(" from 127.7.7.7:"), "{line}");
    let mut proxy = Client::connect_from("127.0.0.1", server.address()).expect("connecting");
    proxy.send(header);
    proxy.expect_welcome();
    server.log().wait_for("from 192.0.2.1:1 ", 0);
    assert_eq!(server.report().ended("refused by the service"), 1);
}

#[test]
fn connection_without_a_header_is_closed_at_its_first_wrong_byte() {
    let server = server("v2", &[]);
    let mut client = Client::connect(server.address());
    client.send("P");
    client.expect_end();
    server
        .log()
        .wait_for("does not begin with a PROXY header", 0);
}

#[test]
fn server_with_half_of_its_proxies_does_not_start() {
    for (flags, missing) in [
        (
            ["--proxy-protocol", "v2"],
            "--proxy-protocol needs --proxy-from",
        ),
        (
            ["--proxy-from", "::1"],
            "--proxy-from needs --proxy-protocol",
        ),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_greet-server"))
            .args(flags)
            .output()
            .expect("it runs");
        assert_eq!(output.status.code(), Some(2));
        let error = String::from_utf8(output.stderr).expect("text");
        assert!(error.contains(missing), "{error}");
    }
}

/// Whole conversations of clients from several addresses, through HAProxy, with two servers behind
/// it that are checked all the time.
#[test]
fn conversations_through_haproxy_are_logged_with_the_clients_addresses() {
    let servers = [(); 2].map(|()| server("v2", &[]));
    let options = "send-proxy-v2 proxy-v2-options crc32c check inter 100ms";
    let Some(proxy) = Proxy::haproxy("load", &servers.each_ref()[..], options) else {
        return;
    };
    let sources: Vec<IpAddr> = (1..=8).map(|host| [127, 7, 0, host].into()).collect();
    let plan = Plan {
        target: proxy.address,
        sources: sources.clone(),
        scenario: Scenario::Churn { names: 3 },
        connections: 40,
        asked: 40,
        framing: Framing::Line,
        duration: Duration::from_secs(3600),
        warm_up: Duration::ZERO,
        ramp: Duration::ZERO,
        timeout: Duration::from_secs(60),
        grace: Duration::from_secs(60),
    };
    let outcome =
        oneloop_load::run(
            &plan,
            Os::new().expect("a poller"),
            None,
            |progress| match progress.completed >= CONVERSATIONS || progress.faults > 0 {
                true => Go::Stop,
                false => Go::On,
            },
        );
    let outcome = outcome.expect("the loop runs");
    assert!(outcome.is_clean(), "{:?}", outcome.faults);
    assert!(outcome.completed >= CONVERSATIONS);
    drop(proxy);
    let mut logged = HashMap::new();
    for server in &servers {
        eventually("all connections have ended", || {
            (server.report().open() == 0).then_some(())
        });
        assert_no_warning(server);
        assert!(server.report().ended("probe of a proxy") > 0);
        for line in server.log().lines() {
            let Some((_, rest)) = line.split_once("Accept new connection from ") else {
                continue;
            };
            let address: SocketAddr = rest.split(' ').next().expect("one").parse().expect(rest);
            assert!(rest.contains(" via=127.0.0.1:"), "{line}");
            *logged.entry(address.ip()).or_insert(0_u64) += 1;
        }
    }
    let mut addresses: Vec<_> = logged.keys().copied().collect();
    addresses.sort();
    assert_eq!(addresses, sources);
    assert!(logged.values().sum::<u64>() >= CONVERSATIONS);
}

#[test]
fn example_configurations_are_valid() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operations");
    if let Some(mut haproxy) = program("haproxy") {
        let output = haproxy
            .args(["-c", "-f"])
            .arg(folder.join("haproxy.cfg"))
            .output();
        let output = output.expect("it starts");
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{text}");
        assert!(!text.contains("WARNING"), "{text}");
    }
    if let Some(mut nginx) = nginx() {
        let output = nginx
            .args(["-t", "-e", "stderr", "-c"])
            .arg(folder.join("nginx.conf"))
            .output()
            .expect("it starts");
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{text}");
        assert!(!text.contains("[warn]"), "{text}");
    }
}

/// In a debug build, and on a machine that does other things, enough to take some seconds.
const CONVERSATIONS: u64 = if cfg!(debug_assertions) {
    2_000
} else {
    10_000
};
