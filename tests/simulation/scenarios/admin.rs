//! The service for operators beside another one.

use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use oneloop::admin::{Admin, Ready};
use oneloop::inspect::SlowCause;
use oneloop::layer::{Activity, Boxed, ByListeners, Compose, Fork, Layered};
use oneloop::{EndReason, Event, Limits, Listen, Next, Reactor, Watch};
use oneloop_sim::{Client, Network, Simulation};

use super::probe::*;

type Operated = Fork<Layered<Activity, Probe>, Boxed<Admin>, ByListeners>;

/// Serves `probe` on `public`, and the admin service on `admin` (a Unix-domain socket), on `remote`
/// and on `agent`.
fn operated(probe: Probe, limits: Limits) -> Simulation<Operated> {
    let names = ByListeners(&["admin", "remote", "agent"]);
    let service = probe.with(Activity).beside(Admin::new().boxed(), names);
    let tcp = |port| Listen::tcp(SocketAddr::from(([10, 0, 0, 1], port)));
    let builder = Reactor::builder(service)
        .limits(limits)
        .watch(Watch::new().slow_turns(ms(100)))
        .listen(tcp(80).name("public"))
        .listen(
            Listen::unix("/run/admin.sock")
                .name("admin")
                .reserve(4)
                .drain_last(),
        )
        .listen(tcp(81).name("remote").drain_last())
        .listen(tcp(82).name("agent").reserve(1).drain_last());
    Simulation::from_builder(Network::new(1), builder)
}

fn limits(connections_max: usize) -> Limits {
    Limits {
        connections_max,
        ..Limits::default()
    }
}

/// Connects, and sends a request such as `GET /live`.
fn begin(simulation: &mut Simulation<Operated>, listener: &str, request: &str) -> Client {
    let client = simulation.connect_to(listener);
    client.send(format!("{request} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes());
    client
}

/// Returns the answer to a request: its status, and its body without the lengths of its chunks.
fn ask(simulation: &mut Simulation<Operated>, listener: &str, request: &str) -> (String, String) {
    let client = begin(simulation, listener, request);
    simulation.run_for(ms(100));
    assert!(client.at_end(), "{request} was answered");
    client.close();
    answer(&client)
}

fn answer(client: &Client) -> (String, String) {
    let text = String::from_utf8(client.received()).expect("text");
    let (head, mut body) = text.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).expect("a status").to_owned();
    if !head.contains("chunked") {
        return (status, body.to_owned());
    }
    let mut whole = String::new();
    loop {
        let (length, rest) = body.split_once("\r\n").expect("the length of a chunk");
        let length = usize::from_str_radix(length, 16).expect("a length");
        whole.push_str(&rest[..length]);
        body = rest[length..].strip_prefix("\r\n").expect("a chunk's end");
        if length == 0 {
            assert_eq!(body, "");
            return (status, whole);
        }
    }
}

/// Returns the samples of a scrape.
fn scrape(simulation: &mut Simulation<Operated>) -> BTreeMap<String, f64> {
    samples(&ask(simulation, "admin", "GET /metrics").1)
}

fn samples(body: &str) -> BTreeMap<String, f64> {
    let samples = body.lines().filter(|line| !line.starts_with('#'));
    samples
        .map(|line| line.rsplit_once(' ').expect("a sample"))
        .map(|(name, value)| (name.to_owned(), value.parse().expect("a number")))
        .collect()
}

/// Returns the sum of all samples of a metric.
fn sum(samples: &BTreeMap<String, f64>, metric: &str) -> f64 {
    let of_it = |name: &str| name.split('{').next() == Some(metric);
    samples
        .iter()
        .filter(|(name, _)| of_it(name))
        .map(|(_, value)| value)
        .sum()
}

/// Checks that what was accepted has ended or is open.
#[track_caller]
fn assert_adds_up(samples: &BTreeMap<String, f64>) {
    let sum = |metric| sum(samples, metric);
    assert_eq!(
        sum("oneloop_connections_accepted_total"),
        sum("oneloop_connections_ended_total")
            + sum("oneloop_connections_open")
            + sum("oneloop_connections_refusing"),
        "{samples:?}"
    );
    assert_eq!(
        sum("oneloop_connects_total"),
        sum("oneloop_connects_ended_total") + sum("oneloop_connections_outbound")
    );
}

#[test]
fn admin_answers_while_the_server_is_full() {
    let mut simulation = operated(Probe::new(echo), limits(8));
    let _clients: Vec<_> = (0..20).map(|_| simulation.connect_to("public")).collect();
    simulation.run_for(ms(10));
    let samples = scrape(&mut simulation);
    assert_eq!(
        samples["oneloop_connections_open{listener=\"public\"}"],
        3.0
    );
    assert_eq!(samples["oneloop_connections_max"], 8.0);
    let refused = "oneloop_connections_ended_total{listener=\"public\",reason=\"server_full\"}";
    let lingering = samples["oneloop_connections_refusing"];
    assert_eq!(samples[refused] + lingering, 17.0);
    assert_adds_up(&samples);
    assert_eq!(ask(&mut simulation, "admin", "GET /ready").0, "200");
}

#[test]
fn counters_add_up_in_every_scrape_of_a_flood() {
    let mut simulation = operated(Probe::new(echo), limits(40));
    let mut clients = Vec::new();
    for round in 0..50 {
        for number in 0..10 {
            let client = simulation.connect_to("public");
            client.send(b"hello");
            match number % 3 {
                0 => client.finish(),
                1 => clients.push(client),
                _ => client.reset(),
            }
        }
        if round % 7 == 0 {
            clients.clear();
        }
        let scrape = begin(&mut simulation, "admin", "GET /metrics");
        simulation.run_for(ms(3));
        assert!(scrape.at_end(), "scrape {round} was answered");
        assert_adds_up(&samples(&answer(&scrape).1));
        scrape.close();
    }
    let samples = scrape(&mut simulation);
    // All but those that were reset at once, and the scrapes.
    let accepted = sum(&samples, "oneloop_connections_accepted_total");
    assert_eq!(accepted, 50.0 * 7.0 + 51.0);
}

#[test]
fn series_are_few_and_no_name_is_used_twice() {
    let mut simulation = operated(Probe::new(echo), Limits::default());
    let (_, body) = ask(&mut simulation, "remote", "GET /metrics");
    let series: Vec<_> = body.lines().filter(|line| !line.starts_with('#')).collect();
    assert!(series.len() < 90, "{} series", series.len());
    let metrics: Vec<_> = body
        .lines()
        .filter(|line| line.starts_with("# TYPE"))
        .collect();
    let names: HashSet<_> = metrics.iter().map(|line| line.split(' ').nth(2)).collect();
    assert_eq!(names.len(), metrics.len());
    let named: HashSet<_> = series
        .iter()
        .map(|line| line.rsplit_once(' ').map(|it| it.0))
        .collect();
    assert_eq!(named.len(), series.len());
}

#[test]
fn session_is_listed_with_what_is_known_of_it() {
    let mut simulation = operated(Probe::new(echo), Limits::default());
    let client = simulation.connect_to("public");
    client.send(b"hello");
    simulation.run_for(2 * SECOND);
    let (status, body) = ask(&mut simulation, "admin", "GET /sessions");
    assert_eq!(status, "200");
    let lines: Vec<_> = body.lines().collect();
    assert_eq!(lines.len(), 2, "{body}");
    let peer = simulation.reactor().service().first().inner().peers[0];
    let expected = format!(
        "id={} address={} listener=public age=2.000 idle=2.000 phase=reading in=5 out=5 held=0 \
         pending=0 due=58.000",
        peer.id.number(),
        peer.address
    );
    assert_eq!(lines[0], expected);
    assert!(lines[1].contains("address=unix listener=admin") && lines[1].contains("phase=paused"));
}

#[test]
fn every_session_is_listed_once_and_1024_slots_are_visited_in_a_turn() {
    const SESSIONS: usize = 5000;
    let mut simulation = operated(Probe::new(echo), limits(SESSIONS + 5));
    let _clients: Vec<_> = (0..SESSIONS)
        .map(|_| simulation.connect_to("public"))
        .collect();
    // The backlog is shorter.
    simulation.run_for(5 * SECOND);
    let before = simulation.reactor().counters().steps();
    let listing = begin(&mut simulation, "admin", "GET /sessions?limit=100000");
    let mut turns = 0;
    while !listing.at_end() {
        simulation.turn();
        turns += 1;
    }
    assert!(turns >= SESSIONS / 1024, "in {turns} turns");
    let steps = simulation.reactor().counters().steps() - before;
    assert!(steps < 4 * (SESSIONS as u64 / 64), "{steps} steps");
    let (_, body) = answer(&listing);
    let ids: HashSet<_> = body.lines().map(|line| line.split(' ').next()).collect();
    assert_eq!(body.lines().count(), SESSIONS + 1);
    assert_eq!(ids.len(), SESSIONS + 1);
    listing.close();
    let scrape = begin(&mut simulation, "admin", "GET /metrics");
    let mut turns = 0;
    while !scrape.at_end() {
        simulation.turn();
        turns += 1;
    }
    assert!(turns >= SESSIONS / 1024, "in {turns} turns");
    scrape.close();
    let (_, few) = ask(&mut simulation, "admin", "GET /sessions?limit=7");
    assert_eq!(few.lines().count(), 7);
    assert_eq!(
        ask(&mut simulation, "admin", "GET /sessions?limit=x").0,
        "400"
    );
}

/// Returns a server with as many clients, and a request for a list of them whose answer
/// is not read.
fn long_list(sessions: usize) -> (Simulation<Operated>, Vec<Client>, Client) {
    let mut simulation = operated(Probe::new(echo), limits(sessions + 5));
    let clients = (0..sessions).map(|_| simulation.connect_to("public"));
    let clients = clients.collect();
    simulation.run_for(SECOND);
    let listing = begin(&mut simulation, "admin", "GET /sessions?limit=100000");
    listing.stop_reading();
    (simulation, clients, listing)
}

#[test]
fn long_list_waits_for_its_reader() {
    const SESSIONS: usize = 3000;
    let (mut simulation, clients, listing) = long_list(SESSIONS);
    simulation.run_for(SECOND);
    let held = simulation.reactor().usage().buffered_bytes_max;
    assert!(held < 64 * 1024, "{held} bytes are held");
    clients[0].send(b"hello");
    simulation.run_for(ms(10));
    assert_eq!(clients[0].received(), b"hello");
    listing.resume_reading();
    simulation.run_for(SECOND);
    assert_eq!(answer(&listing).1.lines().count(), SESSIONS + 1);
}

#[test]
fn session_is_closed_by_its_number() {
    let mut simulation = operated(Probe::new(echo), Limits::default());
    let clients: Vec<_> = (0..3).map(|_| simulation.connect_to("public")).collect();
    simulation.run_for(ms(10));
    let number = simulation.reactor().service().first().inner().peers[1]
        .id
        .number();
    let close = format!("POST /sessions/{number}/close");
    assert_eq!(ask(&mut simulation, "remote", &close).0, "403");
    assert_eq!(simulation.reactor().service().first().inner().end(1), None);
    assert_eq!(ask(&mut simulation, "admin", &close).0, "200");
    let ends: Vec<_> = (0..3)
        .map(|number| simulation.reactor().service().first().inner().end(number))
        .collect();
    assert_eq!(ends, [None, Some(EndReason::Aborted), None]);
    assert_eq!(ask(&mut simulation, "admin", &close).0, "404");
    assert_eq!(
        ask(&mut simulation, "admin", "POST /sessions/x/close").0,
        "404"
    );
    assert_eq!(
        ask(&mut simulation, "admin", "GET /sessions/1/close").0,
        "405"
    );
    drop(clients);
}

#[test]
fn drain_is_requested_on_the_unix_socket_alone() {
    let busy = Probe::new(|mut step| match step.event {
        Event::Drain => step.pause_for(3 * SECOND),
        Event::Timeout => Next::Abort,
        _ => {
            step.take();
            step.read_for(MINUTE)
        }
    });
    let mut simulation = operated(busy, Limits::default());
    let _client = simulation.connect_to("public");
    simulation.run_for(ms(10));
    assert_eq!(ask(&mut simulation, "remote", "POST /drain").0, "403");
    assert_eq!(ask(&mut simulation, "admin", "GET /drain").0, "405");
    assert_eq!(ask(&mut simulation, "admin", "GET /ready").0, "200");
    assert_eq!(ask(&mut simulation, "admin", "POST /drain").0, "200");
    // It answers while the main service drains.
    assert_eq!(ask(&mut simulation, "admin", "GET /ready").0, "503");
    assert_eq!(ask(&mut simulation, "remote", "GET /live").0, "200");
    assert_adds_up(&scrape(&mut simulation));
    let line = simulation.connect_to("agent");
    simulation.run_for(ms(10));
    assert_eq!(line.received(), b"drain\n");
    drop(line);
    assert_eq!(simulation.drain().aborted, 0);
    assert_eq!(simulation.reactor().usage(), Default::default());
}

#[test]
fn agent_reports_the_free_places_and_closes() {
    let mut simulation = operated(Probe::new(echo), limits(15));
    let line = |simulation: &mut Simulation<Operated>| {
        let agent = simulation.connect_to("agent");
        simulation.run_for(ms(10));
        assert!(agent.at_end());
        agent.close();
        String::from_utf8(agent.received()).expect("text")
    };
    // The agent's own connection takes one of 15 places.
    assert_eq!(line(&mut simulation), "up ready 94%\n");
    let clients: Vec<_> = (0..5).map(|_| simulation.connect_to("public")).collect();
    simulation.run_for(3 * SECOND);
    assert_eq!(line(&mut simulation), "up ready 60%\n");
    let more: Vec<_> = (0..9).map(|_| simulation.connect_to("public")).collect();
    simulation.run_for(3 * SECOND);
    assert_eq!(line(&mut simulation), "up ready 27%\n");
    let readiness = simulation.reactor().service().second().inner().readiness();
    readiness.set(Ready::Starting);
    assert_eq!(line(&mut simulation), "maint\n");
    readiness.set(Ready::Leaving);
    assert_eq!(line(&mut simulation), "drain\n");
    drop((clients, more));
}

#[test]
fn requests_in_one_segment_are_answered_in_order() {
    let mut simulation = operated(Probe::new(echo), Limits::default());
    let client = simulation.connect_to("admin");
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
    let body = "POST /live HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc";
    let requests = [get("/slow"), body.to_owned(), get("/metrics"), get("/live")].concat();
    client.send(requests.as_bytes());
    client.finish();
    simulation.run_for(SECOND);
    let text = String::from_utf8(client.received()).expect("text");
    let statuses: Vec<_> = text
        .lines()
        .filter(|line| line.starts_with("HTTP/1.1 "))
        .collect();
    assert_eq!(
        statuses,
        [
            "HTTP/1.1 200 OK",
            "HTTP/1.1 405 Method Not Allowed",
            "HTTP/1.1 200 OK",
            "HTTP/1.1 200 OK"
        ]
    );
    assert!(text.ends_with("live\n") && client.at_end());
}

#[test]
fn old_client_gets_the_list_up_to_the_end_of_the_stream() {
    let mut simulation = operated(Probe::new(echo), Limits::default());
    let client = simulation.connect_to("admin");
    client.send(b"GET /sessions HTTP/1.0\r\n\r\n");
    simulation.run_for(SECOND);
    let text = String::from_utf8(client.received()).expect("text");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    assert!(!head.contains("chunked") && head.contains("Connection: close"));
    assert!(body.starts_with("id=") && body.lines().count() == 1 && client.at_end());
    let head = simulation.connect_to("admin");
    head.send(b"HEAD /sessions HTTP/1.1\r\nHost: x\r\n\r\nHEAD /metrics HTTP/1.0\r\n\r\n");
    simulation.run_for(SECOND);
    let text = String::from_utf8(head.received()).expect("text");
    assert_eq!(text.matches("\r\n\r\n").count(), 2);
    assert!(text.ends_with("\r\n\r\n") && head.at_end());
}

#[test]
fn peer_that_leaves_in_the_middle_of_a_list_leaves_nothing() {
    let (mut simulation, clients, listing) = long_list(3000);
    simulation.run_for(ms(10));
    listing.reset();
    simulation.run_for(ms(10));
    let debug = format!("{:?}", simulation.reactor().service().second().inner());
    assert!(debug.contains("tasks: []"), "{debug}");
    drop(clients);
    assert_eq!(simulation.drain().aborted, 0);
    assert_eq!(simulation.reactor().usage(), Default::default());
}

#[test]
fn slow_turn_is_listed_with_its_last_session() {
    let network: Network = Network::new(1);
    let clock = network.clone();
    let blocking = Probe::new(move |mut step| {
        if step.take() == b"block" {
            clock.advance(ms(150));
        }
        step.read_for(MINUTE)
    });
    let builder = Reactor::builder(blocking)
        .watch(Watch::new().slow_turns(ms(100)))
        .listen(Listen::tcp(SocketAddr::from(([10, 0, 0, 1], 80))));
    let mut simulation = Simulation::from_builder(network, builder);
    let clients: Vec<_> = (0..3).map(|_| simulation.connect()).collect();
    simulation.run_for(ms(10));
    clients[1].send(b"block");
    simulation.run_for(SECOND);
    clients[0].send(b"hello");
    simulation.run_for(SECOND);
    let times = simulation.reactor().times().expect("it measures");
    assert_eq!(times.slow_turns(), 1);
    let [slow] = times.slowest() else {
        panic!("{times:?}");
    };
    assert_eq!((slow.took, slow.events, slow.steps), (ms(150), 1, 1));
    assert_eq!((slow.accepts, slow.deadlines), (0, 0));
    let blocked = simulation.reactor().service().peers[1].id.number();
    assert_eq!(slow.last, Some(blocked));
    let counts: Vec<_> = times.turns().cumulative().map(|(_, count)| count).collect();
    let quick = times.turns().count() - 1;
    assert_eq!(
        counts,
        [
            quick,
            quick,
            quick,
            quick,
            quick,
            quick,
            quick,
            quick,
            quick,
            quick,
            quick + 1,
            quick + 1
        ]
    );
}

#[test]
fn late_deadline_is_measured() {
    let network: Network = Network::new(1);
    let clock = network.clone();
    let blocking = Probe::new(move |mut step| {
        match step.event {
            Event::Data => clock.advance(ms(700)),
            Event::Open => step.cx.set_timer(7, step.cx.after(SECOND)),
            _ => {}
        }
        step.take();
        step.read_for(match step.number {
            0 => 3 * SECOND,
            _ => MINUTE,
        })
    });
    let builder = Reactor::builder(blocking)
        .watch(Watch::new())
        .listen(Listen::tcp(SocketAddr::from(([10, 0, 0, 1], 80))));
    let mut simulation = Simulation::from_builder(network, builder);
    let clients: Vec<_> = (0..2).map(|_| simulation.connect()).collect();
    simulation.run_for(2 * SECOND);
    let lateness = |simulation: &Simulation<Probe>| {
        let times = simulation.reactor().times().expect("it measures");
        (times.lateness().count(), times.lateness().longest())
    };
    let (count, longest) = lateness(&simulation);
    assert_eq!(count, 2, "the timers");
    assert!(longest < ms(10), "{longest:?}");
    simulation.run_for(ms(1800));
    clients[1].send(b"block");
    simulation.run_for(SECOND);
    let (count, longest) = lateness(&simulation);
    assert_eq!(count, 3);
    assert!(longest > ms(400) && longest < ms(800), "{longest:?}");
    let times = simulation.reactor().times().expect("it measures");
    assert_eq!(times.slow_turns(), 0, "there is no threshold");
}

#[test]
fn turn_in_which_the_process_was_stopped_has_that_cause() {
    let network: Network = Network::new(1);
    let (clock, flag) = (network.clone(), Arc::new(AtomicBool::new(false)));
    let continued = Arc::clone(&flag);
    let blocking = Probe::new(move |mut step| {
        let input = step.take();
        if input == b"stop" {
            continued.store(true, Ordering::Relaxed);
        }
        if !input.is_empty() {
            clock.advance(ms(150));
        }
        step.read_for(MINUTE)
    });
    let watch = Watch::new().slow_turns(ms(100));
    let builder = Reactor::builder(blocking)
        .watch(watch.continued(Arc::clone(&flag)))
        .listen(Listen::tcp(SocketAddr::from(([10, 0, 0, 1], 80))));
    let mut simulation = Simulation::from_builder(network, builder);
    let client = simulation.connect();
    simulation.run_for(ms(10));
    client.send(b"stop");
    simulation.run_for(SECOND);
    // Stopped during the wait for events.
    flag.store(true, Ordering::Relaxed);
    client.send(b"block");
    simulation.run_for(SECOND);
    let times = simulation.reactor().times().expect("it measures");
    let causes: Vec<_> = times.slowest().iter().map(|slow| slow.cause).collect();
    assert_eq!(causes, [SlowCause::Stopped, SlowCause::Unknown]);
    assert!(times.slowest().iter().all(|slow| slow.took == ms(150)));
}
