//! OpenSSL's client against the server.

use std::process::{Command, Output, Stdio};
use std::{io::Write, thread};

use crate::common::{GOOD_BYE, Server, eventually, hello};
use crate::{file, lacks, skip, start};

/// Runs `openssl s_client` with a name and `exit` on its standard input.
fn s_client(server: &Server, flags: &[&str]) -> Output {
    let mut child = Command::new("openssl")
        .args(["s_client", "-quiet", "-verify_return_error", "-CAfile"])
        .arg(file("ca.pem"))
        .args(["-connect", &server.address().to_string()])
        .args(flags)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("openssl runs");
    let mut stdin = child.stdin.take().expect("a pipe");
    thread::spawn(move || stdin.write_all(b"Ann\nexit\n"));
    child.wait_with_output().expect("openssl ends")
}

#[track_caller]
fn assert_greeted(output: &Output) {
    let text = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        text.contains(&hello("Ann")) && text.ends_with(GOOD_BYE),
        "{text} {stderr}"
    );
    assert_eq!(output.status.code(), Some(0), "{stderr}");
}

#[test]
fn s_client_converses_in_both_versions() {
    if let Some(reason) = lacks("openssl") {
        return skip("s_client", &reason);
    }
    let server = start(&[]);
    for version in ["-tls1_2", "-tls1_3"] {
        assert_greeted(&s_client(&server, &[version]));
        assert_greeted(&s_client(&server, &[version, "-servername", "first.test"]));
    }
    assert_greeted(&s_client(&server, &["-alpn", "h2,greet/1"]));
    // Without a share of a key, the server asks for one with a HelloRetryRequest.
    assert_greeted(&s_client(&server, &["-tls1_3", "-groups", "P-521:P-384"]));
    // In records of a few bytes.
    assert_greeted(&s_client(
        &server,
        &["-max_send_frag", "512", "-split_send_frag", "512"],
    ));
    assert_eq!(server.report().count("handshakes_completed"), 7);
    assert_eq!(server.report().ended("finished"), 7);
}

#[test]
fn s_client_with_nothing_in_common_is_refused() {
    if let Some(reason) = lacks("openssl") {
        return skip("s_client", &reason);
    }
    let server = start(&[]);
    let refused = [
        (&["-alpn", "h2"][..], "no application protocol"),
        (&["-tls1_1", "-cipher", "DEFAULT:@SECLEVEL=0"], "alert"),
        (&["-tls1_2", "-cipher", "AES256-SHA"], "handshake failure"),
        (&["-tls1_3", "-groups", "X448"], "handshake failure"),
    ];
    for (flags, alert) in refused {
        let output = s_client(&server, flags);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{flags:?}: {stderr}");
        assert!(stderr.contains(alert), "{flags:?}: {stderr}");
    }
    let counted = || (server.report().ended("handshake failed") == 4).then_some(());
    eventually("the refusals are counted", counted);
}

/// OpenSSL's client connects as often as it can in a second, and resets each connection.
#[test]
fn s_time_counts_connections_new_and_resumed() {
    if let Some(reason) = lacks("openssl") {
        return skip("s_time", &reason);
    }
    let server = start(&["--log-level", "warn"]);
    let mut connections = 0;
    for (kind, version) in [
        ("-new", "-tls1_3"),
        ("-new", "-tls1_2"),
        ("-reuse", "-tls1_2"),
    ] {
        let output = Command::new("openssl")
            .args(["s_time", "-time", "1", kind, version, "-CAfile"])
            .arg(file("ca.pem"))
            .args(["-connect", &server.address().to_string()])
            .output()
            .expect("openssl runs");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{text}");
        let figure = text.lines().find(|line| line.contains("real seconds"));
        let figure = figure.unwrap_or_else(|| panic!("no figure: {text}"));
        println!("s_time {kind} {version}: {figure}");
        let number = figure.split(' ').next().expect("a word");
        connections += number.parse::<u64>().expect("a number");
    }
    let report = server.report();
    assert!(
        report.count("handshakes_begun") >= connections,
        "{report:?}"
    );
    assert!(report.count("handshakes_completed") > 0, "{report:?}");
    assert_eq!(report.count("handshakes_failed"), 0, "{report:?}");
}
