//! The table of comparisons.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::{fs, str};

use oneloop_bench::peers::{Foreign, Peer};

use crate::load::{Fanout, Load, RedisBenchmark, Wrk};
use crate::upstream;

/// One load on an example and on its peer.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) ours: Peer,
    pub(crate) theirs: Peer,
    /// The server that both forward to, if they do.
    pub(crate) upstream: Option<Peer>,
    pub(crate) load: Load,
    /// The target: the example's run time per unit of work, divided by the peer's.
    pub(crate) at_most: f64,
}

/// Returns all comparisons.
pub(crate) fn all() -> Vec<Row> {
    [http(), resp(), forward()].into_iter().flatten().collect()
}

fn http() -> Vec<Row> {
    let row = |name, at_most, load| Row {
        name,
        ours: Peer::example("http"),
        theirs: NGINX,
        upstream: None,
        load: Load::Wrk(load),
        at_most,
    };
    let wrk = Wrk {
        path: "/",
        connections: 100,
        depth: 1,
        body_bytes: 128,
    };
    vec![
        row("http 128 B", 0.80, wrk),
        row("http 128 B, 16 pipelined", 0.12, Wrk { depth: 16, ..wrk }),
        row(
            "http 64 KB",
            0.75,
            Wrk {
                path: "/64k",
                body_bytes: 64 << 10,
                ..wrk
            },
        ),
        row(
            "http 10 MB",
            0.75,
            Wrk {
                path: "/10m",
                body_bytes: 10 << 20,
                connections: 8,
                ..wrk
            },
        ),
    ]
}

/// Requests to nginx through a forwarder.
fn forward() -> Vec<Row> {
    let row = |name, at_most, load| Row {
        name,
        ours: Peer::example_with("forward", || vec![upstream::address().to_string()]),
        theirs: HAPROXY,
        upstream: Some(NGINX),
        load: Load::Wrk(load),
        at_most,
    };
    let small = Wrk {
        path: "/",
        connections: 100,
        depth: 1,
        body_bytes: 128,
    };
    let bulk = Wrk {
        path: "/10m",
        body_bytes: 10 << 20,
        connections: 8,
        ..small
    };
    vec![
        row("forward 128 B", 0.80, small),
        row("forward 10 MB", 1.00, bulk),
    ]
}

/// One thread, in the mode that does not look at the bytes.
const HAPROXY: Peer = Peer::foreign(
    "haproxy",
    Foreign {
        program: "haproxy",
        package: "haproxy",
        arguments: haproxy,
    },
);

fn haproxy(address: SocketAddr) -> io::Result<Vec<String>> {
    let upstream = upstream::address();
    let configuration = format!(
        "global
    maxconn 2000
    nbthread 1
defaults
    mode tcp
    timeout connect 10s
    timeout client 600s
    timeout server 600s
listen forward
    bind {address}
    server upstream {upstream}
"
    );
    let file = scratch_folder(address)?.join("haproxy.cfg");
    fs::write(&file, configuration)?;
    let arguments = ["-db", "-f", &file.display().to_string()];
    Ok(arguments.map(String::from).to_vec())
}

fn resp() -> Vec<Row> {
    let row = |name, at_most, load| Row {
        name,
        ours: Peer::example("resp"),
        theirs: REDIS,
        upstream: None,
        load,
        at_most,
    };
    let command = |test, depth| {
        Load::RedisBenchmark(RedisBenchmark {
            test,
            depth,
            value_bytes: 3,
            per_second: 20_000 * depth as u64 / 2,
        })
    };
    let megabyte = |test| {
        Load::RedisBenchmark(RedisBenchmark {
            test,
            depth: 1,
            value_bytes: 1_000_000,
            per_second: 200,
        })
    };
    let fanout = |depth| {
        Load::Fanout(Fanout {
            listeners: 500,
            depth,
        })
    };
    vec![
        row("resp PING", 0.90, command("ping_mbulk", 1)),
        row("resp SET", 0.90, command("set", 1)),
        row("resp GET", 0.90, command("get", 1)),
        row("resp INCR", 0.90, command("incr", 1)),
        row("resp LPUSH", 0.90, command("lpush", 1)),
        row("resp PING, 16 pipelined", 0.62, command("ping_mbulk", 16)),
        row("resp SET, 16 pipelined", 0.62, command("set", 16)),
        row("resp GET, 16 pipelined", 0.62, command("get", 16)),
        row("resp INCR, 16 pipelined", 0.62, command("incr", 16)),
        row("resp LPUSH, 16 pipelined", 0.62, command("lpush", 16)),
        row("resp SET 1 MB", 0.95, megabyte("set")),
        row("resp GET 1 MB", 0.95, megabyte("get")),
        row("resp PUBLISH to 500", 0.60, fanout(1)),
        row("resp PUBLISH to 500, 16 pipelined", 0.60, fanout(16)),
    ]
}

/// Without persistence.
const REDIS: Peer = Peer::foreign(
    "redis",
    Foreign {
        program: "redis-server",
        package: "redis",
        arguments: redis,
    },
);

fn redis(address: SocketAddr) -> io::Result<Vec<String>> {
    let (ip, port) = (address.ip().to_string(), address.port().to_string());
    let arguments = [
        "--bind",
        &ip,
        "--port",
        &port,
        "--save",
        "",
        "--appendonly",
        "no",
    ];
    Ok(arguments.map(String::from).to_vec())
}

/// One worker; `/` is answered from memory, the other pages are files, sent with sendfile.
const NGINX: Peer = Peer::foreign(
    "nginx",
    Foreign {
        program: "nginx",
        package: "nginx",
        arguments: nginx,
    },
);

fn nginx(address: SocketAddr) -> io::Result<Vec<String>> {
    let folder = scratch_folder(address)?;
    let body = |bytes: usize| (0..bytes).map(|at| b'a' + (at % 23) as u8);
    fs::write(folder.join("64k"), body(64 << 10).collect::<Vec<_>>())?;
    fs::write(folder.join("10m"), body(10 << 20).collect::<Vec<_>>())?;
    let small: Vec<u8> = body(128).collect();
    let small = str::from_utf8(&small).expect("letters");
    let path = folder.display();
    let kinds = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let temporary = kinds.map(|kind| format!("{kind}_temp_path {path}/{kind};"));
    let configuration = format!(
        "daemon off; master_process off; worker_processes 1; pid {path}/pid; error_log stderr;
        events {{ worker_connections 1024; }}
        http {{
            access_log off; sendfile on; default_type text/plain; keepalive_requests 1000000000;
            {}
            server {{
                listen {address} backlog=4096; root {path};
                location = / {{ return 200 \"{small}\"; }}
            }}
        }}",
        temporary.concat(),
    );
    let file = folder.join("nginx.conf");
    fs::write(&file, configuration)?;
    let arguments = ["-c", &file.display().to_string(), "-p", &path.to_string()];
    Ok(arguments.map(String::from).to_vec())
}

/// Returns a new folder for the files of a server at `address`.
pub(crate) fn scratch_folder(address: SocketAddr) -> io::Result<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("services-scratch");
    let folder = folder.join(address.port().to_string());
    fs::create_dir_all(&folder)?;
    Ok(folder)
}
