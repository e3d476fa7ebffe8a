//! Group D: volume and exhaustion.

use std::thread;
use std::time::{Duration, Instant};

use crate::common::descriptors::affordable;
use crate::common::{
    Client, FULL, GOOD_BYE, NOT_UTF8, PATIENCE, QUESTION, Report, Scene, Server, TOO_MANY_MISTAKES,
    TOO_SLOW, eventually, reply,
};

#[test]
fn d1_ten_thousand_connections_are_all_greeted() {
    let mut scene = Scene::new(&["--log-level", "info"]);
    let wanted = affordable(10_000);
    let mut slow = 0;
    let mut clients = Vec::with_capacity(wanted);
    for _ in 0..wanted {
        let began = Instant::now();
        clients.push(scene.client());
        slow += usize::from(began.elapsed() > SYN_RETRANSMIT);
    }
    for client in &mut clients {
        client.expect_welcome();
    }
    scene.check_bystander();
    assert_eq!(scene.threads(), 1);
    assert!(slow <= wanted / 1000, "{slow} waited as for a second SYN");
    drop(clients);
    scene.end();
}

#[test]
fn d2_full_server_refuses_until_one_client_ends() {
    let mut scene = Scene::new(&["--max-connections", "3"]);
    let mut inside: Vec<_> = (0..2).map(|_| scene.welcomed()).collect();
    for _ in 0..100 {
        scene.client().expect_last(FULL);
    }
    scene.check_bystander();
    inside.pop().expect("two are inside").leave();
    eventually("one has left", || {
        (scene.report().open() == 2).then_some(())
    });
    scene.welcomed().leave();
    drop(inside);
    assert_eq!(scene.end().ended("refused, server full"), 100);
}

#[test]
fn d2_more_refusals_than_may_linger_are_survived() {
    // 64 descriptors leave room for 16 that linger.
    let flags = ["--max-connections", "3"];
    let scene = Scene::of(Server::start_after("ulimit -n 64", &flags));
    scene.freeze();
    let inside: Vec<_> = (0..2).map(|_| scene.client()).collect();
    let mut refused: Vec<_> = (0..100).map(|_| scene.client()).collect();
    scene.thaw();
    for client in &mut refused {
        client.expect_before_any_end(FULL);
    }
    drop(inside);
    assert_eq!(scene.end().ended("refused, server full"), 100);
}

#[test]
fn d2_queued_client_is_served_when_one_ends() {
    let mut scene = Scene::new(&["--max-connections", "2", "--when-full", "queue"]);
    let inside = scene.welcomed();
    let mut waiting: Vec<_> = (0..10).map(|_| scene.client()).collect();
    let busy = scene.cpu_time();
    scene.check_bystander();
    thread::sleep(Duration::from_millis(300));
    assert_idle(scene.cpu_time() - busy);
    assert_eq!(scene.report().count("accepted"), 2);
    inside.leave();
    for mut client in waiting.drain(..) {
        client.expect_welcome();
        client.leave();
    }
    assert_eq!(scene.end().ended("finished"), 11);
}

#[test]
fn d3_clients_never_exhaust_64_descriptors() {
    // Some of the 64 are inherited from the process that started the server, and are not free.
    let inherited = "ulimit -n 64; exec 3</dev/null 4<&3 5<&3 6<&3 7<&3 8<&3 9<&3";
    let mut scene = Scene::of(Server::start_after(inherited, &[]));
    let mut clients: Vec<_> = (0..200).map(|_| scene.client()).collect();
    let refused = |report: Report| report.ended("refused, server full");
    eventually("most are refused", || {
        (refused(scene.report()) > 100).then_some(())
    });
    scene.check_bystander();
    assert_eq!(scene.report().count("without descriptors"), 0);
    clients.drain(..100);
    scene.check_bystander();
    drop(clients);
    scene.end();
}

#[test]
fn d3_without_descriptors_clients_are_refused() {
    let mut scene = Scene::new(&[]);
    scene.leave_descriptors(5);
    let mut inside: Vec<_> = (0..5)
        .map(|_| Client::acquainted(scene.address()))
        .collect();
    for _ in 0..200 {
        scene.client().expect_before_any_end(FULL);
    }
    for client in &mut inside {
        client.round_trip("inside");
    }
    scene.check_bystander();
    assert_eq!(scene.report().ended("refused, server full"), 200);
    let complaints = scene.log().count("cannot accept connections");
    assert!(
        (1..=1 + LOG_LINES_BY_NOW).contains(&complaints),
        "{complaints} lines"
    );
    drop(inside);
    scene.wait_for_baseline();
    scene.limit_descriptors(1024);
    scene.end();
}

#[test]
fn d3_queued_clients_are_served_without_an_event() {
    let mut scene = Scene::new(&["--when-full", "queue"]);
    scene.leave_descriptors(5);
    let mut inside: Vec<_> = (0..5)
        .map(|_| Client::acquainted(scene.address()))
        .collect();
    let mut waiting: Vec<_> = (0..20).map(|_| scene.client()).collect();
    eventually("accepting has failed", || {
        (scene.report().count("without descriptors") > 0).then_some(())
    });
    let busy = scene.cpu_time();
    for client in &mut inside {
        client.round_trip("inside");
    }
    scene.check_bystander();
    thread::sleep(Duration::from_millis(300));
    assert_idle(scene.cpu_time() - busy);
    // One leaves: one is served. More descriptors come free by themselves: all are.
    inside.pop().expect("five are inside").leave();
    waiting[0].expect_welcome();
    scene.limit_descriptors(1024);
    for client in &mut waiting[1..] {
        client.expect_welcome();
    }
    drop((inside, waiting));
    let report = scene.end();
    assert_eq!(report.ended("refused, server full"), 0);
}

#[test]
fn d5_short_connections_leak_nothing() {
    let mut scene = Scene::brief(&["--name-timeout", NOTICED_AFTER]);
    churn(&scene, 1000);
    scene.wait_for_baseline();
    let before = scene.resident_kib();
    churn(&scene, 9000);
    scene.check_bystander();
    scene.wait_for_baseline();
    let grown = scene.resident_kib().saturating_sub(before);
    assert!(grown < 2048, "{grown} KiB more");
    scene.end();
}

#[test]
fn d6_firehose_does_not_starve_other_clients() {
    let mut scene = Scene::new(&[]);
    let mut firehose = scene.welcomed();
    let mut source = Client(firehose.0.try_clone().unwrap());
    let pumping = thread::spawn(move || {
        let sent = source.send_all_it_takes(&b"name\n".repeat(1000), FIREHOSE_BYTES);
        source.finish();
        sent
    });
    let draining = thread::spawn(move || firehose.until_gone().len());
    let mut polite: Vec<_> = (0..100)
        .map(|_| Client::acquainted(scene.address()))
        .collect();
    for client in &mut polite {
        client.round_trip("polite");
    }
    scene.check_bystander();
    assert!(pumping.join().unwrap() >= FIREHOSE_BYTES);
    drop(polite);
    assert!(draining.join().unwrap() > FIREHOSE_BYTES);
    assert!(scene.end().count("bytes in") > FIREHOSE_BYTES as u64);
}

#[test]
fn d6_deaf_peers_do_not_slow_one_that_reads() {
    let mut scene = Scene::new(&["--write-timeout", "2s"]);
    let before = scene.resident_kib();
    let names = b"name\n".repeat(1000);
    let mut deaf: Vec<_> = (0..100).map(|_| scene.client()).collect();
    for client in &mut deaf {
        client.0.set_nonblocking(true).unwrap();
    }
    while scene.log().count("did not read its output in time") < deaf.len() {
        for client in &mut deaf {
            client.send_all_it_takes(&names, names.len());
        }
        scene.check_bystander();
    }
    let grown = scene.resident_kib().saturating_sub(before);
    assert!(grown < 100 * 16 + 2048, "{grown} KiB more");
    drop(deaf);
    scene.end();
}

#[test]
fn d7_accept_flood_does_not_starve_clients() {
    let mut scene = Scene::new(&["--name-timeout", NOTICED_AFTER]);
    let mut polite: Vec<_> = (0..100)
        .map(|_| Client::acquainted(scene.address()))
        .collect();
    let address = scene.address();
    let flooding = thread::spawn(move || {
        for _ in 0..5000 {
            Client::connect(address).reset();
        }
    });
    while !flooding.is_finished() {
        for client in &mut polite {
            client.round_trip("polite");
        }
        scene.check_bystander();
    }
    flooding.join().unwrap();
    scene.check_bystander();
    drop(polite);
    scene.end();
}

#[test]
fn d8_silent_connections_do_not_slow_others() {
    let mut scene = Scene::new(&[]);
    let idle: Vec<_> = (0..affordable(5000)).map(|_| scene.client()).collect();
    for _ in 0..100 {
        scene.check_bystander();
    }
    drop(idle);
    scene.end();
}

#[test]
fn d9_thousands_of_equal_deadlines_are_met() {
    let mut scene = Scene::brief(&["--name-timeout", "1s"]);
    let baseline = scene.report();
    scene.freeze();
    let mut clients: Vec<_> = (0..affordable(4000)).map(|_| scene.client()).collect();
    scene.thaw();
    for client in &mut clients {
        client.expect_welcome();
        client.expect_last(TOO_SLOW);
    }
    let number = clients.len() as u64;
    drop(clients);
    scene.check_bystander();
    let report = scene.end();
    assert_eq!(
        report.ended("timed out") - baseline.ended("timed out"),
        number
    );
}

#[test]
fn d10_silent_fleet_holds_the_server_for_seconds() {
    let scene = Scene::brief(&["--max-connections", "10", "--name-timeout", "40s"]);
    let began = Instant::now();
    let fleet: Vec<_> = (0..10).map(|_| scene.client()).collect();
    eventually("the server is full", || {
        (scene.report().open() == 10).then_some(())
    });
    // 40 s shrink to a quarter of it.
    scene.log().wait_for("(timed out)", 0);
    assert!(began.elapsed() < PATIENCE, "{:?}", began.elapsed());
    Client::acquainted(scene.address()).leave();
    drop(fleet);
    scene.end();
}

#[test]
fn d10_dripping_names_do_not_extend_short_waits() {
    let flags = [
        "--max-connections",
        "4",
        "--name-timeout",
        "40s",
        "--framing",
        "line",
    ];
    let scene = Scene::brief(&flags);
    let mut fleet: Vec<_> = (0..4).map(|_| scene.client()).collect();
    let began = Instant::now();
    while scene.log().count("(timed out)") < 4 {
        assert!(began.elapsed() < PATIENCE, "the drips hold the server");
        for client in &mut fleet {
            let _ = std::io::Write::write(&mut client.0, b"x");
        }
        thread::sleep(Duration::from_millis(50));
    }
    drop(fleet);
    scene.end();
}

#[test]
fn d11_address_limit_refuses_that_address_alone() {
    let scene = Scene::brief(&["--max-per-ip", "2"]);
    let from =
        |address| Client::connect_from(address, scene.address()).expect("a loopback address");
    let mut first: Vec<_> = (0..2).map(|_| from("127.0.0.2")).collect();
    for client in &mut first {
        client.expect_welcome();
    }
    from("127.0.0.2").expect_last(FULL);
    let mut neighbour = from("127.0.0.3");
    neighbour.expect_welcome();
    assert_eq!(scene.report().count("addresses counted"), 2);
    first.pop().expect("two are inside").leave();
    eventually("one has left", || {
        (scene.report().open() == 2).then_some(())
    });
    let mut next = from("127.0.0.2");
    next.expect_welcome();
    drop((first, neighbour, next));
    let report = scene.wait_for_baseline();
    assert_eq!(report.ended("refused, address has its share"), 1);
    assert_eq!(report.count("addresses counted"), 0);
    scene.end();
}

#[test]
fn d11_one_ipv6_network_is_one_customer() {
    let Some(server) = ipv6_server(&["--max-per-ip", "1"]) else {
        return;
    };
    let mut first = Client::welcomed(server.address());
    Client::connect(server.address()).expect_last(FULL);
    first.round_trip("first");
    first.leave();
}

#[test]
fn d12_flood_of_errors_does_not_flood_the_log() {
    let mut scene = Scene::new(&[]);
    let lines = scene.log().lines().len();
    for _ in 0..20 {
        let mut client = scene.welcomed();
        client.send(b"\xff\n".repeat(1000));
        client.expect([NOT_UTF8, QUESTION].concat().repeat(9));
        client.expect_last(TOO_MANY_MISTAKES);
    }
    scene.check_bystander();
    let more = scene.log().lines().len() - lines;
    assert!(more <= 2 * 20, "{more} lines");
    assert_eq!(scene.end().ended("misbehaved"), 20);
}

#[test]
fn d12_pipelined_names_are_answered_until_exit() {
    let mut scene = Scene::new(&[]);
    let mut client = scene.welcomed();
    client.send("name\n".repeat(2000) + "exit\n" + &"late\n".repeat(2000));
    client.expect(reply("name").repeat(2000));
    client.expect_last(GOOD_BYE);
    scene.check_bystander();
    drop(client);
    scene.end();
}

/// Connects and leaves again at once, politely and by a reset by turns.
fn churn(scene: &Scene, times: usize) {
    for number in 0..times {
        let client = scene.client();
        if number % 2 == 0 {
            client.reset();
        }
    }
}

/// Starts a server on the IPv6 loopback address, if there is one.
fn ipv6_server(flags: &[&str]) -> Option<Server> {
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        println!("skipped: there is no IPv6 here");
        return None;
    }
    Some(Server::start(&[flags, &["--listen", "[::1]:0"]].concat()))
}

#[track_caller]
fn assert_idle(spent: Duration) {
    assert!(spent < Duration::from_millis(150), "spins: {spent:?}");
}

/// Nothing shorter than this can be a SYN that had to be sent again.
const SYN_RETRANSMIT: Duration = Duration::from_secs(1);
/// A reset is one packet, and never repeated. On a busy machine the loopback drops packets; then the
/// server notices only by its deadline that the peer is gone. That must be well before a test's
/// patience ends.
const NOTICED_AFTER: &str = "10s";
const FIREHOSE_BYTES: usize = 4 << 20;
/// One line in five seconds; a test waits no longer than this many of them.
const LOG_LINES_BY_NOW: usize = 4;
