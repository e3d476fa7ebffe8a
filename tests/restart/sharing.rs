//! Several processes on one port (`--reuse-port`).

use std::fs;
use std::process::Command;

use nix::sched::{CloneFlags, unshare};

use super::load::Load;
use crate::common::{Client, Server};

const SWITCH: &str = "/proc/sys/net/ipv4/tcp_migrate_req";

/// Moves this thread, and the processes that it starts, into a network of their own. There it
/// can set the kernel's switch without changing anything outside. Returns false if it may not.
fn enter_a_network(switch: &str) -> bool {
    let entered = unshare(CloneFlags::CLONE_NEWNET).is_ok();
    let is_up = || {
        Command::new("ip")
            .args(["link", "set", "lo", "up"])
            .status()
    };
    entered && is_up().is_ok_and(|status| status.success()) && fs::write(SWITCH, switch).is_ok()
}

fn start(listen: &str) -> Server {
    let flags = ["--listen", listen, "--reuse-port", "--framing", "line"];
    Server::start(&[&flags[..], &["--log-level", "warn"]].concat())
}

#[test]
fn processes_share_a_port_only_if_both_want_to() {
    let one = start("127.0.0.1:0");
    let address = one.address().to_string();
    let other = start(&address);
    let mut served = [0; 2];
    // Which one accepts is the kernel's choice, by a hash of the ports.
    for _ in 0..500 {
        Client::welcomed(one.address()).leave();
        served = [&one, &other].map(|server| server.report().count("accepted"));
        if served.iter().all(|&count| count > 0) {
            break;
        }
    }
    assert!(served.iter().all(|&count| count > 0), "{served:?}");
}

#[test]
fn switch_that_is_off_is_reported() {
    for (switch, warnings) in [("0", 1), ("1", 0)] {
        if !enter_a_network(switch) {
            println!("skipped: a network of its own needs root and `ip`");
            return;
        }
        let server = start("127.0.0.1:0");
        assert_eq!(server.log().count("net.ipv4.tcp_migrate_req"), warnings);
    }
}

#[test]
fn five_restarts_of_processes_on_one_port_lose_no_connection() {
    if !enter_a_network("1") {
        println!("skipped: a network of its own needs root and `ip`");
        return;
    }
    let first = start("127.0.0.1:0");
    let address = first.address();
    let listen = address.to_string();
    let mut servers = [first, start(&listen)];
    let load = Load::start(address, 1000);
    for number in 0..5 {
        load.wait_for(500);
        let server = &mut servers[number % 2];
        assert_eq!(server.terminate(), Some(0));
        *server = start(&listen);
    }
    load.wait_for(500);
    let tally = load.finish("five restarts of two processes");
    tally.assert_no_failures();
}
