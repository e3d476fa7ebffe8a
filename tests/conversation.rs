//! Whole conversations with the real program on real sockets: the tutorial's two demonstrations,
//! its client, and the tools people have at hand. Hostile clients are in `hostile`.

#![cfg(unix)]

mod common;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::{Command, Stdio};
use std::time::Instant;

use common::{Client, GOOD_BYE, PATIENCE, QUESTION, Server, WELCOME, hello, reply};

#[test]
fn the_demonstration_with_one_client() {
    let mut server = Server::start(&[]);
    let mut client = Tutorial::connect(server.address());
    client.expect(WELCOME);
    client.expect(QUESTION);
    client.ask("Alice");
    client.expect(QUESTION);
    client.ask("Bob");
    client.expect(QUESTION);
    client.send("exit");
    client.expect(GOOD_BYE);
    client.0.expect_end();
    let peer = client.0.0.local_addr().unwrap();
    drop(client);
    let log = server.log();
    log.wait_for(&format!("Accept new connection from {peer}"), 0);
    log.wait_for(&format!("Connection from {peer} is closed"), 0);
    assert_eq!(log.count("Waiting for connection..."), 1);
    assert_eq!(server.terminate(), Some(0));
}

#[test]
fn the_demonstration_with_three_clients_at_once() {
    let mut server = Server::start(&[]);
    let mut clients: Vec<_> = (0..3)
        .map(|_| Tutorial::connect(server.address()))
        .collect();
    for moment in [WELCOME, QUESTION] {
        clients.iter_mut().for_each(|client| client.expect(moment));
    }
    for names in [["Alice", "Bob", "Carol"], ["Dan", "Erin", "Frank"]] {
        for (client, name) in clients.iter_mut().zip(names) {
            client.send(name);
        }
        for (client, name) in clients.iter_mut().zip(names).rev() {
            client.expect(hello(name));
        }
        clients
            .iter_mut()
            .for_each(|client| client.expect(QUESTION));
    }
    for mut client in clients {
        client.send("exit");
        client.expect(GOOD_BYE);
        client.0.expect_end();
    }
    assert_eq!(server.terminate(), Some(0));
    assert_eq!(server.log().count("Accept new connection from"), 3);
    assert_eq!(server.log().count("is closed (finished)"), 3);
}

#[test]
fn fifty_clients_with_one_recv_per_message() {
    let server = Server::start(&[]);
    let mut overslept = 0;
    for number in 0..50 {
        let began = Instant::now();
        if let Err(merged) = converse_by_recv(server.address(), number) {
            println!("a client slept through the gap between two messages: {merged:?}");
            overslept += 1;
        }
        assert!(began.elapsed() < PATIENCE);
    }
    // The messages are 30 ms apart, which a client on a crowded machine may miss now and then.
    assert!(overslept <= 5, "{overslept} of 50 got two messages in one");
}

#[test]
fn half_closed_pipe_gets_every_reply() {
    let server = Server::start(&[]);
    let mut client = Client::connect(server.address());
    client.send("Alice\nBob\nexit\n");
    client.finish();
    client.expect_last([WELCOME, QUESTION, &reply("Alice"), &reply("Bob"), GOOD_BYE].concat());
}

#[test]
fn the_same_in_one_byte_segments() {
    let server = Server::start(&[]);
    let mut client = Client::connect(server.address());
    client.send_bytewise("Alice\nBob\nexit\n");
    client.finish();
    client.expect_last([WELCOME, QUESTION, &reply("Alice"), &reply("Bob"), GOOD_BYE].concat());
}

#[test]
fn name_before_the_end_of_stream_is_greeted() {
    let server = Server::start(&[]);
    let mut client = Client::connect(server.address());
    client.send("Alice");
    client.finish();
    client.expect_last([WELCOME, QUESTION, &hello("Alice")].concat());
}

#[test]
fn two_hundred_piped_names_need_no_quiet_gaps() {
    let server = Server::start(&[]);
    let mut client = greet_client(&server);
    let names: String = (0..200).map(|number| format!("name {number}\n")).collect();
    let began = Instant::now();
    let mut stdin = client.stdin.take().expect("a pipe");
    stdin.write_all(names.as_bytes()).unwrap();
    drop(stdin);
    let output = client.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(said.matches("Hello name ").count(), 200);
    // With a quiet gap for each reply and one for each question it would be 12 s and more.
    assert!(began.elapsed().as_secs() < 6, "{:?}", began.elapsed());
}

#[test]
fn stopped_server_ends_a_waiting_client() {
    let mut server = Server::start(&[]);
    let mut client = greet_client(&server);
    let _stdin = client.stdin.take().expect("a pipe");
    let mut stdout = client.stdout.take().expect("a pipe");
    let mut question = vec![0; WELCOME.len() + QUESTION.len() + 1];
    stdout.read_exact(&mut question).unwrap();
    let began = Instant::now();
    assert_eq!(server.terminate(), Some(0));
    let stopped = began.elapsed();
    let mut said = String::new();
    stdout.read_to_string(&mut said).unwrap();
    assert_eq!(said, GOOD_BYE);
    assert_eq!(client.wait().unwrap().code(), Some(5));
    // The server lingers for two seconds for a client that does not close.
    assert!(stopped.as_millis() < 1900, "{stopped:?}");
}

/// Starts the client at the end of three pipes.
fn greet_client(server: &Server) -> std::process::Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_greet-client"));
    for name in ["ADDR", "NAME", "FRAMING", "TIMEOUT"] {
        command.env_remove(format!("GREET_{name}"));
    }
    command
        .arg(server.address().to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starting greet-client")
}

#[test]
fn netcat_prints_all_replies_and_the_goodbye() {
    let server = Server::start(&[]);
    let Some(half_closes) = netcat_flags() else {
        println!("skipped: there is no nc");
        return;
    };
    for (input, replies) in [
        (
            "Alice\nBob\nexit\n",
            [&reply("Alice"), &reply("Bob"), GOOD_BYE].concat(),
        ),
        ("Alice", hello("Alice")),
    ] {
        let mut netcat = tool("nc", &half_closes, server.address());
        netcat
            .stdin
            .take()
            .expect("a pipe")
            .write_all(input.as_bytes())
            .unwrap();
        let output = netcat.wait_with_output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert_eq!(said, [WELCOME, QUESTION, &replies].concat());
    }
}

#[test]
fn session_of_the_readme_prints_what_the_readme_shows() {
    let readme = include_str!("../README.md");
    let command = readme.lines().find(|line| line.starts_with("printf "));
    let command = command.expect("a session to paste");
    let (_, shown) = readme
        .split_once("The last command prints\n\n```text\n")
        .expect("its output");
    let (shown, _) = shown.split_once("\n```").expect("its end");
    if netcat_flags() != Some(vec!["-N"]) {
        println!("skipped: there is no nc with -N");
        return;
    }
    let server = Server::start(&[]);
    let port = server.address().port().to_string();
    let pasted = command.replace("6000", &port);
    assert!(pasted.contains(&format!("127.0.0.1 {port}")), "{pasted}");
    let output = Command::new("sh").args(["-c", &pasted]).output().unwrap();
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        format!("{shown}\n")
    );
}

#[test]
fn telnet_prints_all_replies_and_the_goodbye() {
    let server = Server::start(&[]);
    if Command::new("telnet").arg("-?").output().is_err() {
        println!("skipped: there is no telnet");
        return;
    }
    let mut telnet = tool("telnet", &[], server.address());
    // It ends as soon as its input does, so that stays open until the server closes.
    let mut stdin = telnet.stdin.take().expect("a pipe");
    stdin.write_all(b"Alice\nBob\nexit\n").unwrap();
    let mut said = String::new();
    telnet
        .stdout
        .take()
        .expect("a pipe")
        .read_to_string(&mut said)
        .unwrap();
    telnet.wait().unwrap();
    let expected = [WELCOME, QUESTION, &reply("Alice"), &reply("Bob"), GOOD_BYE].concat();
    assert!(said.replace('\r', "").contains(&expected), "{said}");
}

#[test]
fn several_addresses_are_served_by_one_loop() {
    let mut flags = vec!["--listen", "127.0.0.1:0", "--listen", "127.0.0.2:0"];
    if TcpListener::bind("[::1]:0").is_ok() {
        flags.extend(["--listen", "[::1]:0"]);
    } else {
        println!("without IPv6: there is none here");
    }
    if !cfg!(target_os = "linux") {
        flags.drain(2..4); // only Linux has all of 127/8
    }
    let mut server = Server::start(&flags);
    let clients: Vec<_> = server
        .addresses()
        .iter()
        .map(|&at| Client::acquainted(at))
        .collect();
    assert_eq!(clients.len(), flags.len() / 2);
    for client in clients {
        client.leave();
    }
    assert_eq!(server.terminate(), Some(0));
}

#[test]
fn environment_supplies_missing_flags() {
    let output = Command::new(env!("CARGO_BIN_EXE_greet-server"))
        .env("GREET_LISTEN", "not an address")
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("expected a host and a port"), "{said}");
}

#[test]
fn the_bound_address_is_said_at_every_log_level() {
    for level in ["off", "error", "warn", "info", "debug", "trace"] {
        let mut server = Server::start(&["--log-level", level]);
        Client::acquainted(server.address()).leave();
        assert_eq!(server.terminate(), Some(0));
    }
}

#[test]
fn first_lines_name_a_command_to_try() {
    let server = Server::start(&[]);
    let port = server.address().port();
    server.log().wait_for(&format!("nc 127.0.0.1 {port}"), 0);
}

/// A client that takes one `recv` for one message and sends names without a line ending, as the
/// tutorial's does.
struct Tutorial(Client);

impl Tutorial {
    #[track_caller]
    fn connect(address: SocketAddr) -> Self {
        Self(Client::connect(address))
    }

    fn send(&mut self, name: &str) {
        self.0.send(name);
    }

    #[track_caller]
    fn expect(&mut self, message: impl AsRef<[u8]>) {
        self.0.expect(message);
    }

    /// Sends a name and takes the reply.
    #[track_caller]
    fn ask(&mut self, name: &str) {
        self.send(name);
        self.expect(hello(name));
    }

    /// Takes the bytes of one read; an error has them if they are not this message alone.
    fn recv(&mut self, message: &str) -> Result<(), String> {
        let mut buffer = [0; 1024];
        let bytes = self.0.0.read(&mut buffer).expect("a message in time");
        let got = String::from_utf8_lossy(&buffer[..bytes]).into_owned();
        if got == message { Ok(()) } else { Err(got) }
    }
}

fn converse_by_recv(address: SocketAddr, number: usize) -> Result<(), String> {
    let mut client = Tutorial::connect(address);
    client.recv(WELCOME)?;
    client.recv(QUESTION)?;
    for name in [format!("Alice {number}"), "Bob".into()] {
        client.send(&name);
        client.recv(&hello(&name))?;
        client.recv(QUESTION)?;
    }
    client.send("exit");
    client.recv(GOOD_BYE)
}

/// Returns the flags that make this machine's netcat end its sending side with its input, or `None`
/// if there is no netcat.
fn netcat_flags() -> Option<Vec<&'static str>> {
    let help = Command::new("nc").arg("-h").output().ok()?;
    let text = [help.stdout, help.stderr].concat();
    let knows_n = String::from_utf8_lossy(&text).contains("-N");
    Some(if knows_n { vec!["-N"] } else { vec!["-q", "5"] })
}

fn tool(program: &str, flags: &[&str], address: SocketAddr) -> std::process::Child {
    Command::new(program)
        .args(flags)
        .args([address.ip().to_string(), address.port().to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("starting a tool")
}
