//! What a service manager is notified of, with a datagram socket in its place.

use std::io::ErrorKind;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process::Stdio;
use std::time::Duration;

use super::folder::Folder;
use crate::common::{Client, PATIENCE, Server, eventually, server};

/// A service manager that reads its socket, or does not.
pub(crate) struct Manager(UnixDatagram);

impl Manager {
    pub(crate) fn at(folder: &Folder) -> Self {
        let socket = UnixDatagram::bind(folder.path("notify")).expect("a path");
        socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
        Self(socket)
    }

    fn try_next(&self) -> Option<String> {
        let mut message = [0; 4096];
        match self.0.recv(&mut message) {
            Ok(bytes) => Some(String::from_utf8_lossy(&message[..bytes]).into_owned()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            Err(error) if error.kind() == ErrorKind::Interrupted => self.try_next(),
            Err(error) => panic!("{error}"),
        }
    }

    #[track_caller]
    pub(crate) fn next(&self) -> String {
        self.try_next().expect("a message in time")
    }

    /// Returns the next message with this field, and how many came before.
    #[track_caller]
    pub(crate) fn next_with(&self, field: &str) -> (String, usize) {
        let mut before = 0;
        loop {
            let message = self.next();
            if message.lines().any(|line| line.starts_with(field)) {
                return (message, before);
            }
            before += 1;
            assert!(before < 10_000, "no {field}");
        }
    }

    /// Throws away the messages that have arrived.
    fn empty(&self) {
        self.0.set_nonblocking(true).expect("a socket");
        while self.try_next().is_some() {}
        self.0.set_nonblocking(false).expect("a socket");
    }
}

/// Starts a server with this service manager.
pub(crate) fn start(folder: &Folder, variables: &[(&str, &str)]) -> Server {
    let mut command = server::command(&[]);
    command.env("NOTIFY_SOCKET", folder.path("notify"));
    command
        .env_remove("WATCHDOG_PID")
        .env_remove("WATCHDOG_USEC");
    command.envs(variables.iter().copied());
    command.stdin(Stdio::null()).stdout(Stdio::null());
    Server::run(command, 1)
}

#[test]
fn manager_learns_when_the_service_is_ready_and_when_it_stops() {
    let folder = Folder::new("ready");
    let manager = Manager::at(&folder);
    let mut server = start(&folder, &[]);
    assert_eq!(manager.next(), "READY=1");
    let mut client = Client::welcomed(server.address());
    assert!(manager.next().starts_with("STATUS=Serving: "));
    server.signal(nix::sys::signal::Signal::SIGTERM);
    let (stopping, _) = manager.next_with("STOPPING=1");
    // The drain's ten seconds, and a margin.
    assert_eq!(stopping, "STOPPING=1\nEXTEND_TIMEOUT_USEC=25000000");
    client.expect_last("Good bye!\n");
    drop(client);
    assert_eq!(server.exit().code(), Some(0));
}

#[test]
fn manager_with_an_abstract_name_is_notified() {
    let name = format!("greet-{}-notify", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).expect("a name");
    let manager = Manager(UnixDatagram::bind_addr(&address).expect("a free name"));
    manager
        .0
        .set_read_timeout(Some(PATIENCE))
        .expect("a socket");
    let mut command = server::command(&[]);
    command.env("NOTIFY_SOCKET", format!("@{name}"));
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let _server = Server::run(command, 1);
    assert_eq!(manager.next(), "READY=1");
}

#[test]
fn stopped_loop_sends_no_pings() {
    let folder = Folder::new("watchdog");
    let manager = Manager::at(&folder);
    // A ping each 25 ms.
    let server = start(&folder, &[("WATCHDOG_USEC", "50000")]);
    (0..5).for_each(|_| drop(manager.next_with("WATCHDOG=1")));
    server.freeze();
    manager.empty();
    let ten_pings = Some(Duration::from_millis(250));
    manager.0.set_read_timeout(ten_pings).expect("a socket");
    assert_eq!(manager.try_next(), None, "the process is stopped");
    manager
        .0
        .set_read_timeout(Some(PATIENCE))
        .expect("a socket");
    server.thaw();
    manager.next_with("WATCHDOG=1");
}

#[test]
fn watchdog_of_another_process_gets_no_pings() {
    let folder = Folder::new("another");
    let manager = Manager::at(&folder);
    let variables = [("WATCHDOG_USEC", "1000"), ("WATCHDOG_PID", "1")];
    let mut server = start(&folder, &variables);
    manager.next_with("STATUS=");
    server.signal(nix::sys::signal::Signal::SIGTERM);
    let (_, pings) = manager.next_with("STOPPING=1");
    assert_eq!(pings, 0);
    assert_eq!(server.exit().code(), Some(0));
}

#[test]
fn manager_that_does_not_read_stops_nothing() {
    let folder = Folder::new("deaf");
    let _manager = Manager::at(&folder);
    let server = start(&folder, &[("WATCHDOG_USEC", "2000")]);
    eventually("the queue is full", || {
        (server.report().count("notify_failures") > 100).then_some(())
    });
    Client::welcomed(server.address()).round_trip("Ada");
    assert_eq!(server.threads(), 1);
}

#[test]
fn manager_that_is_gone_stops_nothing() {
    let folder = Folder::new("gone");
    let server = start(&folder, &[("WATCHDOG_USEC", "2000")]);
    Client::welcomed(server.address()).round_trip("Ada");
    assert!(server.report().count("notify_failures") > 0);
}
