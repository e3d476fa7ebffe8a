//! Group F, the start: addresses that cannot be bound, and the advice on them.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU16, Ordering};

use socket2::{Domain, Socket, Type};

use crate::common::{Client, Server};

/// Runs a server that is not expected to start, with a clean environment.
#[track_caller]
fn refused(flags: &[&str], code: i32) -> String {
    let said = run(Command::new(env!("CARGO_BIN_EXE_greet-server")).args(flags));
    assert_eq!(said.0, Some(code), "{}", said.1);
    assert!(!said.1.contains("Waiting for connection"), "{}", said.1);
    said.1
}

fn run(command: &mut Command) -> (Option<i32>, String) {
    for (variable, _) in std::env::vars_os() {
        if variable.to_string_lossy().starts_with("GREET_") {
            command.env_remove(variable);
        }
    }
    let Output { status, stderr, .. } = command.output().expect("starting greet-server");
    (status.code(), String::from_utf8(stderr).expect("text"))
}

#[test]
fn f7_port_in_time_wait_is_held_by_no_program() {
    // As the tutorial's server does: bound without SO_REUSEADDR, closes before its client.
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    socket.bind(&any_port.into()).unwrap();
    socket.listen(5).unwrap();
    let listener = TcpListener::from(socket);
    let address = listener.local_addr().unwrap();
    let client = TcpStream::connect(address).unwrap();
    drop(listener.accept().unwrap());
    let mut client = Client(client);
    client.expect_end();
    drop((client, listener));

    let said = refused(&["--listen", &address.to_string()], 1);
    assert!(said.contains("no program has this port"), "{said}");
    assert!(said.contains("TIME-WAIT"), "{said}");
    assert!(!said.contains("another program"), "{said}");
}

#[test]
fn f7_port_of_another_program_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    for own in [address.to_string(), format!("0.0.0.0:{}", address.port())] {
        let said = refused(&["--listen", &own], 1);
        assert!(
            said.contains("another program listens on this port"),
            "{said}"
        );
        assert!(
            said.contains(&format!("ss -ltnp sport = :{}", address.port())),
            "{said}"
        );
    }
}

#[test]
fn f7_port_of_a_connection_is_reported_as_such() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let said = refused(&["--listen", &client.local_addr().unwrap().to_string()], 1);
    assert!(said.contains("a connection of another program"), "{said}");
}

#[test]
fn f7_address_given_twice_is_reported_as_such() {
    let port = free_port();
    let twice = format!("127.0.0.1:{port},127.0.0.1:{port}");
    let said = refused(&["--listen", &twice], 1);
    assert!(said.contains("has this address twice"), "{said}");

    let included = format!("0.0.0.0:{port},127.0.0.1:{port}");
    let said = refused(&["--listen", &included], 1);
    assert!(said.contains("listens on 0.0.0.0"), "{said}");
}

#[test]
fn f7_server_waits_only_when_all_are_bound() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    refused(&["--listen", "127.0.0.1:0", "--listen", &taken], 1);
}

#[test]
fn f7_foreign_host_is_refused_with_advice() {
    let said = refused(&["--listen", "192.0.2.1:0"], 1);
    assert!(said.contains("this machine has no such address"), "{said}");

    // Too long for a name, so that the resolver refuses it without a query.
    let said = refused(&["--listen", &format!("{}:0", "x".repeat(300))], 1);
    assert!(
        said.contains("--listen takes an address of this machine"),
        "{said}"
    );

    let said = refused(&["--listen", "host:http"], 2);
    assert!(said.contains("1 to 65535"), "{said}");
}

#[test]
fn f7_an_address_with_a_zone_is_an_address() {
    // The machine need not have it.
    let said = refused(&["--listen", "[fe80::dead:beef%lo]:0"], 1);
    assert!(
        said.contains("Cannot listen on [fe80::dead:beef%"),
        "{said}"
    );
}

#[test]
fn f7_every_form_of_an_address_is_listened_on() {
    let port = free_port().to_string();
    for flags in [
        vec!["--listen", &port],
        vec!["--listen", &format!(":{port}")],
        vec!["--listen", "127.0.0.1", &port],
        vec!["--listen", &format!("127.0.0.1 {port}")],
    ] {
        let mut server = Server::start(&flags);
        assert_eq!(server.address().to_string(), format!("127.0.0.1:{port}"));
        Client::acquainted(server.address()).leave();
        assert_eq!(server.terminate(), Some(0));
    }
}

#[test]
fn f7_a_name_listens_on_an_address_of_its_own() {
    let server = Server::start(&["--listen", "localhost:0"]);
    assert!(server.address().ip().is_loopback());
    Client::acquainted(server.address()).leave();
}

#[test]
fn f7_a_listener_for_ipv6_alone_is_named_as_such() {
    if TcpListener::bind("[::1]:0").is_err() {
        println!("skipped: there is no IPv6");
        return;
    }
    for (listen, missing) in [("[::1]:0", "127.0.0.1"), ("[::]:0", "0.0.0.0")] {
        let server = Server::start(&["--listen", listen]);
        let port = server.address().port();
        server.log().wait_for("accepts IPv6 alone", 0);
        server
            .log()
            .wait_for(&format!("add --listen {missing}:{port}"), 0);
        server.log().wait_for(&format!("nc ::1 {port} "), 0);
        // The advice is true.
        let ipv4 = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        assert!(Client::try_connect(ipv4).is_err());
        Client::acquainted(SocketAddr::new("::1".parse().unwrap(), port)).leave();
    }
}

#[test]
fn f7_unknown_log_level_lists_the_known_ones() {
    let said = refused(&["--log-level", "loud"], 2);
    assert!(
        said.contains("off, error, warn, info, debug, trace"),
        "{said}"
    );
}

#[test]
fn f7_too_few_descriptors_name_the_hard_limit() {
    let mut shell = Command::new("sh");
    shell
        .args(["-c", "ulimit -n 6; exec \"$0\" --listen 127.0.0.1:0"])
        .arg(env!("CARGO_BIN_EXE_greet-server"));
    let (code, said) = run(&mut shell);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("hard limit, which is 6 "), "{said}");
    assert!(said.contains("ulimit -Hn"), "{said}");
}

#[test]
fn f7_hard_limit_is_named_when_it_limits() {
    let server = Server::start_after("ulimit -n 64", &["--max-connections", "5000"]);
    let line = server
        .log()
        .wait_for("the hard limit on file descriptors", 0);
    assert!(line.contains(", 64, allows "), "{line}");
    assert!(line.contains("not 5000"), "{line}");
}

/// Returns a free port which stays free: systems take those of connections from 32,768 on.
fn free_port() -> u16 {
    static TRIED: AtomicU16 = AtomicU16::new(0);
    let first = 10_000 + (std::process::id() % 20_000) as u16;
    loop {
        let port = first + TRIED.fetch_add(1, Ordering::Relaxed);
        if TcpListener::bind(("0.0.0.0", port)).is_ok() {
            return port;
        }
    }
}
