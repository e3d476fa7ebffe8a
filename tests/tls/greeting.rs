//! The greeting over TLS, with the client of this project and with the engine of rustls.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{Command, Output};

use crate::common::{GOOD_BYE, QUESTION, Server, WELCOME, eventually, hello};
use crate::peer::{Conversation, trusting};
use crate::{Folder, file, start};

/// Runs greet-client to its end.
fn client(server: &Server, flags: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_greet-client"));
    for (variable, _) in std::env::vars_os() {
        if variable.to_string_lossy().starts_with("GREET_") {
            command.env_remove(variable);
        }
    }
    command.arg(server.address().to_string()).args(flags);
    command.args(["--name", "Ann", "--name", "Bo", "--framing", "line"]);
    command.output().expect("greet-client runs")
}

#[track_caller]
fn assert_fails(output: &Output, code: i32, words: &[&str]) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    for word in words {
        assert!(stderr.contains(word), "{stderr}");
    }
}

#[test]
fn client_converses_over_tls() {
    let mut server = start(&[]);
    let authority = file("ca.pem");
    let output = client(&server, &["--tls", "--tls-ca", &authority]);
    let text = String::from_utf8(output.stdout).expect("text");
    let expected = [
        WELCOME,
        &format!(
            "{QUESTION}\n{}{QUESTION}\n{}{QUESTION}\n",
            hello("Ann"),
            hello("Bo")
        ),
        GOOD_BYE,
    ];
    assert_eq!(text, expected.concat());
    assert_eq!(output.status.code(), Some(0));
    let report = server.report();
    assert_eq!(report.count("handshakes_completed"), 1);
    assert_eq!(server.terminate(), Some(0));
}

#[test]
fn wrong_record_of_an_open_session_is_logged_with_its_number() {
    let server = start(&["--log-level", "debug"]);
    let mut conversation = Conversation::acquainted(server.address(), &trusting());
    let socket = &mut conversation.0.sock;
    socket.write_all(b"nonsense").expect("a connection");
    server.log().wait_for("TLS: session 1 ends: ", 0);
}

#[test]
fn client_refuses_a_certificate_that_it_does_not_trust() {
    let mut server = start(&[]);
    let authority = file("ca.pem");
    let other = ["--tls", "--tls-ca", &authority, "--tls-name", "other.test"];
    assert_fails(
        &client(&server, &other),
        3,
        &["No TLS", "other.test", "--tls-name"],
    );
    let certificate = file("second.pem");
    let unknown = ["--tls", "--tls-ca", &certificate];
    assert_fails(&client(&server, &unknown), 3, &["No TLS", "--tls-ca"]);
    let key = file("first-key.pem");
    assert_fails(
        &client(&server, &["--tls", "--tls-ca", &key]),
        3,
        &["no certificate in it"],
    );
    assert_fails(
        &client(&server, &["--tls", "--tls-ca", "nothing"]),
        3,
        &["nothing: No such file"],
    );
    let failed = || (server.report().count("handshakes_failed") == 2).then_some(());
    eventually("the refusals are counted", failed);
    assert_eq!(server.report().ended("handshake failed"), 2);
    assert_eq!(server.terminate(), Some(0));
}

#[test]
fn client_without_tls_and_server_without_tls_are_told_apart() {
    let authority = file("ca.pem");
    let plain = Server::start(&[]);
    let tls = ["--tls", "--tls-ca", &authority];
    assert_fails(
        &client(&plain, &tls),
        3,
        &["No TLS", "if it does not, leave out --tls"],
    );
    // It waits for a question, and the server for a ClientHello.
    let server = start(&[]);
    assert_fails(
        &client(&server, &["--timeout", "300ms"]),
        4,
        &["did not ask for a name"],
    );
}

#[test]
fn server_needs_a_certificate_with_its_key() {
    let run = |flags: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_greet-server"))
            .args(["--listen", "127.0.0.1:0"])
            .args(flags)
            .output()
            .expect("greet-server runs")
    };
    let (certificate, key) = (file("first.pem"), file("second-key.pem"));
    assert_fails(&run(&["--tls-cert", &certificate]), 2, &["--tls-key"]);
    assert_fails(&run(&["--tls-key", &key]), 2, &["--tls-cert"]);
    let both = ["--tls-cert", &certificate, "--tls-key", &key];
    assert_fails(
        &run(&both),
        1,
        &["private key for this certificate", "second-key.pem"],
    );
    let absent = ["--tls-cert", "absent.pem", "--tls-key", &key];
    assert_fails(&run(&absent), 1, &["absent.pem", "No such file"]);
}

#[test]
fn half_closed_stream_gets_every_reply_and_its_end() {
    let server = start(&["--framing", "line"]);
    let mut conversation = Conversation::acquainted(server.address(), &trusting());
    conversation.send("Ann\nBo\n");
    conversation.finish();
    let rest = conversation.rest();
    let all = [hello("Ann"), QUESTION.into(), hello("Bo"), QUESTION.into()];
    assert!(rest.starts_with(&all.concat()), "{rest}");
    eventually("it has ended", || {
        (server.report().open() == 0).then_some(())
    });
    assert_eq!(server.report().ended("peer finished"), 1);
}

#[test]
fn many_names_at_once_are_answered_in_order() {
    let server = start(&["--framing", "line"]);
    let mut conversation = Conversation::acquainted(server.address(), &trusting());
    let names: Vec<_> = (0..2000).map(|number| format!("n{number}")).collect();
    let mut writer = names.join("\n");
    writer.push_str("\nexit\n");
    conversation.send(&writer);
    let replies: String = names.iter().map(|name| hello(name) + QUESTION).collect();
    assert!(conversation.rest() == replies + GOOD_BYE);
}

#[test]
fn metrics_count_handshakes_without_tls_of_their_own() {
    let folder = Folder::new("metrics");
    let admin = folder.file("admin.sock");
    let server = start(&["--admin", &format!("unix:{admin}")]);
    Conversation::acquainted(server.address(), &trusting()).exchange("Ann");
    let mut socket = UnixStream::connect(&admin).expect("the listener for operators");
    let request = "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    socket.write_all(request.as_bytes()).expect("a connection");
    let mut metrics = String::new();
    socket.read_to_string(&mut metrics).expect("an answer");
    for line in [
        "greet_tls_handshakes_total{result=\"completed\"} 1",
        "greet_tls_handshakes_total{result=\"failed\"} 0",
        "greet_tls_handshakes_begun_total 1",
        "greet_tls_handshakes_resumed_total 0",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{metrics}");
    }
}
