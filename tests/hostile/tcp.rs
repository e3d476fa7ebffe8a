//! Group C: the life of a TCP connection.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use socket2::SockRef;

use crate::common::{
    Client, GOOD_BYE, PATIENCE, QUESTION, Scene, Server, TOO_SLOW, WELCOME, eventually, hello,
    reply,
};
use crate::hostile::framing::LONGER_THAN_THE_GAP;

#[test]
fn c1_fin_before_the_greeting_is_not_an_error() {
    let mut scene = Scene::new(&[]);
    scene.freeze();
    let mut client = scene.client();
    client.finish();
    scene.thaw();
    client.expect_last(WELCOME);
    scene.check_bystander();
    assert_no_complaints(&scene);
    assert_eq!(scene.end().ended("peer finished"), 1);
}

#[test]
fn c2_reset_before_accept_disturbs_no_client() {
    let mut scene = Scene::new(&[]);
    scene.freeze();
    for _ in 0..50 {
        scene.client().reset();
    }
    let mut after = scene.client();
    scene.thaw();
    after.expect_welcome();
    after.leave();
    scene.check_bystander();
    assert_no_complaints(&scene);
    scene.end();
}

#[test]
fn c3_silent_peer_is_greeted_and_times_out() {
    let mut scene = Scene::brief(&["--name-timeout", "500ms"]);
    let mut client = scene.client();
    client.expect_welcome();
    let began = Instant::now();
    client.expect_last(TOO_SLOW);
    assert!(began.elapsed() > Duration::from_millis(400), "too soon");
    scene.check_bystander();
    drop(client);
    assert_eq!(scene.end().ended("timed out"), 1);
}

#[test]
fn c4_dripping_bytes_do_not_extend_the_deadline() {
    let mut scene = Scene::brief(&["--framing", "line", "--name-timeout", "600ms"]);
    let mut client = scene.welcomed();
    let began = Instant::now();
    let mut dripper = Client(client.0.try_clone().unwrap());
    let dripping = thread::spawn(move || {
        while began.elapsed() < PATIENCE && dripper.0.write_all(b"x").is_ok() {
            thread::sleep(Duration::from_millis(10));
        }
    });
    client.expect_before_any_end(TOO_SLOW);
    assert!(began.elapsed() < PATIENCE / 2, "{:?}", began.elapsed());
    scene.check_bystander();
    drop(client);
    dripping.join().unwrap();
    assert_eq!(scene.end().ended("timed out"), 1);
}

#[test]
fn c5_half_closed_peer_gets_one_reply_and_end() {
    let mut scene = Scene::new(&[]);
    let mut client = scene.welcomed();
    client.send("alice\n");
    client.finish();
    client.expect_last(reply("alice"));
    scene.check_bystander();
    let busy = scene.cpu_time();
    thread::sleep(Duration::from_millis(300));
    let spent = scene.cpu_time() - busy;
    assert!(spent < Duration::from_millis(150), "spins: {spent:?}");
    assert_eq!(scene.end().ended("peer finished"), 1);
}

#[test]
fn c6_peer_that_finishes_at_once_is_greeted() {
    let mut scene = Scene::new(&["--framing", "line"]);
    let mut client = scene.client();
    client.finish();
    client.expect_last([WELCOME, QUESTION].concat());
    scene.check_bystander();
    assert_eq!(scene.end().ended("peer finished"), 1);
}

#[test]
fn c7_peer_that_never_reads_is_cut_off() {
    let mut scene = Scene::new(&["--write-timeout", "1s"]);
    let before = scene.resident_kib();
    let client = scene.client();
    let mut sender = Client(client.0.try_clone().unwrap());
    let sending = thread::spawn(move || sender.send_all_it_takes(&b"name\n".repeat(1000), 1 << 30));
    scene.log().wait_for("did not read its output in time", 0);
    scene.check_bystander();
    let sent = sending.join().unwrap();
    assert!(sent < 64 << 20, "{sent} bytes were taken");
    let grown = scene.resident_kib().saturating_sub(before);
    assert!(grown < 2048, "{grown} KiB more");
    drop(client);
    assert_eq!(scene.end().ended("did not read its output in time"), 1);
}

#[test]
fn c7_kernel_memory_of_a_deaf_peer_is_bounded() {
    let mut scene = Scene::new(&[]);
    let client = scene.client();
    let mut sender = Client(client.0.try_clone().unwrap());
    let sending = thread::spawn(move || sender.send_all_it_takes(&b"name\n".repeat(1000), 1 << 30));
    if kernel_bytes(&scene).is_none() {
        println!("skipped: there is no ss");
        return;
    }
    let mut before = 0;
    let held = eventually("nothing moves any more", || {
        let held = kernel_bytes(&scene).expect("ss");
        let is_stuck = held > 32 << 10 && held == before;
        before = held;
        thread::sleep(Duration::from_millis(200));
        is_stuck.then_some(held)
    });
    // Twice 64 KiB, and the excess that the kernel allows itself.
    assert!(held <= 160 << 10, "{held} bytes");
    scene.check_bystander();
    client.0.shutdown(Shutdown::Both).unwrap();
    sending.join().unwrap();
    drop(client);
    scene.end();
}

#[test]
fn c8_slow_reading_does_not_extend_deadline() {
    let mut scene = Scene::new(&["--write-timeout", "1s"]);
    let mut client = Client::connect_narrow(scene.address(), 1024);
    let mut sender = Client(client.0.try_clone().unwrap());
    let sending = thread::spawn(move || sender.send_all_it_takes(&b"name\n".repeat(1000), 1 << 30));
    let began = Instant::now();
    let mut byte = [0];
    while scene.log().count("did not read its output in time") == 0 {
        assert!(began.elapsed() < PATIENCE, "the trickle goes on");
        let _ = client.0.read(&mut byte);
        thread::sleep(Duration::from_millis(20));
    }
    scene.check_bystander();
    drop(client);
    sending.join().unwrap();
    assert_eq!(scene.end().ended("did not read its output in time"), 1);
}

#[test]
fn c9_reset_frees_a_connection_with_output() {
    let mut scene = Scene::new(&[]);
    let mut client = scene.client();
    client
        .0
        .set_write_timeout(Some(Duration::from_millis(500)))
        .unwrap();
    client.send_all_it_takes(&b"name\n".repeat(1000), 1 << 30);
    eventually("output waits", || {
        (scene.report().count("bytes held") > 0).then_some(())
    });
    scene.check_bystander();
    client.reset();
    let report = scene.end();
    assert_eq!(report.ended("reset by peer"), 1);
}

#[test]
fn c9_reset_between_names_is_counted_as_reset() {
    let mut scene = Scene::new(&[]);
    let client = Client::acquainted(scene.address());
    client.reset();
    scene.check_bystander();
    let report = scene.end();
    assert_eq!(
        (report.ended("reset by peer"), report.ended("peer finished")),
        (1, 0)
    );
}

#[test]
fn c10_data_fin_and_reset_together_are_handled() {
    let mut scene = Scene::new(&[]);
    let both: Vec<_> = (0..20)
        .map(|_| Client::acquainted(scene.address()))
        .collect();
    scene.freeze();
    for (number, mut client) in both.into_iter().enumerate() {
        client.send("alice\nbob");
        if number % 2 == 0 {
            client.finish();
        }
        client.reset();
    }
    scene.thaw();
    scene.check_bystander();
    assert_eq!(scene.end().ended("reset by peer"), 20);
}

#[test]
fn c11_vanished_peer_ends_at_a_deadline() {
    let mut scene = Scene::brief(&["--name-timeout", "500ms"]);
    // A process that is stopped stands for a machine that has lost its power.
    let to = format!("TCP:{}", scene.address());
    let mut vanishing = Command::new("socat").args(["-u", &to, "/dev/null"]).spawn();
    let Ok(vanishing) = &mut vanishing else {
        println!("skipped: there is no socat");
        return;
    };
    eventually("it is connected", || {
        (scene.report().open() == 1).then_some(())
    });
    let pid = nix::unistd::Pid::from_raw(i32::try_from(vanishing.id()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGSTOP).unwrap();
    let report = scene.wait_for_baseline();
    vanishing.kill().unwrap();
    vanishing.wait().unwrap();
    assert_eq!(report.ended("timed out"), 1);
    scene.check_bystander();
    scene.end();
}

#[test]
fn c12_shut_window_ends_at_the_write_deadline() {
    let mut scene = Scene::new(&["--write-timeout", "500ms"]);
    let mut client = Client::connect_narrow(scene.address(), 1024);
    client
        .0
        .set_write_timeout(Some(Duration::from_millis(300)))
        .unwrap();
    client.send_all_it_takes(&b"name\n".repeat(1000), 1 << 30);
    scene.log().wait_for("did not read its output in time", 0);
    scene.check_bystander();
    drop(client);
    scene.end();
}

#[test]
fn c13_urgent_byte_does_not_delay_other_bytes() {
    let mut scene = Scene::new(&["--framing", "line"]);
    scene.freeze();
    let mut client = scene.client();
    client.send("ali");
    SockRef::from(&client.0).send_out_of_band(b"!").unwrap();
    client.send("ce\n");
    scene.thaw();
    client.expect_welcome();
    client.expect(reply("alice"));
    SockRef::from(&client.0).send_out_of_band(b"!").unwrap();
    client.round_trip("bob");
    scene.check_bystander();
    client.leave();
    scene.end();
}

#[test]
fn c14_both_sides_closing_at_once_is_one_end() {
    let mut scene = Scene::new(&[]);
    for _ in 0..50 {
        let mut client = Client::acquainted(scene.address());
        client.send("exit\n");
        client.finish();
        client.expect_last(GOOD_BYE);
        let mut abrupt = Client::acquainted(scene.address());
        abrupt.send("exit\n");
        drop(abrupt);
    }
    scene.check_bystander();
    let report = scene.end();
    // A peer that closes before it reads resets the connection.
    assert_eq!(
        report.ended("finished") + report.ended("reset by peer"),
        100
    );
    assert!(report.ended("finished") >= 50, "{report:?}");
}

#[test]
fn c14_reset_during_linger_keeps_the_reason() {
    let mut scene = Scene::new(&[]);
    let mut client = Client::acquainted(scene.address());
    client.send("exit\n");
    client.expect_last(GOOD_BYE);
    client.reset();
    scene.check_bystander();
    assert_eq!(scene.end().ended("finished"), 1);
}

#[test]
fn c14_linger_ends_by_time_without_a_close() {
    let mut scene = Scene::new(&[]);
    let mut client = Client::acquainted(scene.address());
    client.send("exit\n");
    client.expect_last(GOOD_BYE);
    scene.check_bystander();
    // The client stays connected: only the linger deadline ends this.
    assert_eq!(scene.end().ended("finished"), 1);
}

#[test]
fn c15_server_restarts_on_its_port_at_once() {
    let mut first = Server::start(&[]);
    let address = first.address().to_string();
    let mut client = Client::acquainted(first.address());
    first.signal(nix::sys::signal::Signal::SIGTERM);
    client.expect_last(GOOD_BYE);
    drop(client);
    assert_eq!(first.exit().code(), Some(0));
    let second = Server::start(&["--listen", &address]);
    Client::acquainted(second.address()).leave();
}

#[test]
fn c16_bad_address_is_reported_in_one_sentence() {
    let taken = Server::start(&[]);
    let taken_address = taken.address().to_string();
    let cases = [
        (
            taken_address.as_str(),
            1,
            "another program listens on this port",
        ),
        ("192.0.2.1:6000", 1, "no such address"),
        ("127.0.0.1:nonsense", 2, "from 1 to 65535"),
        ("::1:[", 2, "brackets"),
    ];
    for (address, code, advice) in cases {
        let began = Instant::now();
        let output = Command::new(env!("CARGO_BIN_EXE_greet-server"))
            .args(["--listen", address])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{address}: {said}");
        assert!(said.contains(advice), "{address}: {said}");
        assert!(began.elapsed() < PATIENCE);
    }
    Client::acquainted(taken.address()).leave();
}

#[test]
fn c17_other_protocols_are_names_like_any_other() {
    let mut scene = Scene::new(&[]);
    let mut http = scene.welcomed();
    http.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    http.expect(reply("GET / HTTP/1.1") + &reply("Host: localhost") + QUESTION);
    http.finish();
    http.expect_end();

    let mut redis = scene.welcomed();
    redis.send("*1\r\n$4\r\nPING\r\n");
    redis.expect(reply("*1") + &reply("$4") + &reply("PING"));
    redis.leave();

    let mut ssh = scene.welcomed();
    ssh.round_trip("SSH-2.0-OpenSSH_9.6");
    ssh.leave();

    let mut proxy = scene.welcomed();
    proxy.round_trip("PROXY TCP4 192.0.2.1 192.0.2.2 56324 443");
    proxy.leave();

    let mut tls = scene.welcomed();
    tls.send(b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00");
    tls.expect(crate::common::CONTROL_CHARACTER);
    drop(tls);

    scene.check_bystander();
    scene.end();
}

#[test]
fn line_peer_may_pause_within_a_line() {
    let mut scene = Scene::new(&[]);
    let mut client = Client::acquainted(scene.address());
    client.send("al");
    thread::sleep(LONGER_THAN_THE_GAP);
    scene.check_bystander();
    client.send("ice\n");
    client.expect(reply("alice"));
    client.0.shutdown(Shutdown::Write).unwrap();
    client.expect_end();
    let mut bare = scene.welcomed();
    bare.send("bob");
    bare.expect(hello("bob"));
    drop(bare);
    scene.end();
}

/// Returns the bytes that the kernel holds for the server's connections in both directions, or
/// `None` if there is no `ss`.
fn kernel_bytes(server: &Server) -> Option<usize> {
    let port = format!("sport = :{}", server.address().port());
    let output = Command::new("ss").args(["-tmnH", &port]).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let memory = text
        .split("skmem:(")
        .skip(1)
        .filter_map(|rest| rest.split(')').next());
    let held = memory
        .flat_map(|memory| memory.split(','))
        .filter_map(|field| {
            // `r` and `w` alone: `rb` and `tb` are the limits.
            field
                .strip_prefix(['r', 'w'])
                .and_then(|digits| digits.parse::<usize>().ok())
        });
    Some(held.sum())
}

#[track_caller]
fn assert_no_complaints(scene: &Scene) {
    for line in scene.log().lines() {
        assert!(!line.contains("WARN") && !line.contains("ERROR"), "{line}");
    }
}
