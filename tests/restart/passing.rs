//! A service manager that passes sockets: a shell that gives them the numbers 3 and 4.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};

use crate::common::server;

/// Returns the command of a server to which `sockets` are passed under `names`.
pub(crate) fn passing<const N: usize>(
    sockets: [OwnedFd; N],
    names: Option<&str>,
    flags: &[&str],
) -> Command {
    let plain = server::command(&[&["--listen", "fd://x"], flags].concat());
    let mut shell = Command::new("sh");
    // The process is the same after `exec`.
    shell
        .arg("-c")
        .arg("exec 3<&0 4<&1 0</dev/null 1>/dev/null; export LISTEN_PID=$$; exec \"$0\" \"$@\"")
        .arg(plain.get_program())
        .args(plain.get_args().skip(2))
        .env("LISTEN_FDS", N.to_string());
    match names {
        Some(names) => shell.env("LISTEN_FDNAMES", names),
        None => shell.env_remove("LISTEN_FDNAMES"),
    };
    for (variable, _) in plain.get_envs() {
        shell.env_remove(variable);
    }
    let mut sockets = sockets.into_iter().map(Stdio::from);
    shell.stdin(sockets.next().unwrap_or_else(Stdio::null));
    shell.stdout(sockets.next().unwrap_or_else(Stdio::null));
    shell
}

/// Returns a socket that listens on a free port.
pub(crate) fn free_port() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    (listener, address)
}

/// Returns another descriptor of a socket.
pub(crate) fn copy(listener: &TcpListener) -> OwnedFd {
    listener.try_clone().expect("a descriptor").into()
}
