//! TLS on the simulated network: the session inside it must notice no difference.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use oneloop::layer::Compose;
use oneloop::tls::{Config, Secured, Settings};
use oneloop::{CloseReason, EndReason, Event, Limits, Next, Service, Shared, Time};
use oneloop_sim::{Faults, LinkProfile, Network, Rng, Script, Simulation};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, HandshakeKind, ProtocolVersion};

use super::super::probe::*;
use super::rig;
use super::strict::Strict;
use super::tls_client::{Ends, Manner, Seen, TlsClient, client_config};

const CERTIFICATE: &[u8] = include_bytes!("../../../../src/oneloop/tls/testdata/first.pem");
const KEY: &[u8] = include_bytes!("../../../../src/oneloop/tls/testdata/first-key.pem");
const OTHER: &[u8] = include_bytes!("../../../../src/oneloop/tls/testdata/second.pem");
const OTHER_KEY: &[u8] = include_bytes!("../../../../src/oneloop/tls/testdata/second-key.pem");

fn config() -> Config {
    config_with(Settings::default())
}

fn config_with(settings: Settings) -> Config {
    Config::from_pem(CERTIFICATE, KEY, settings).expect("a certificate and its key")
}

/// Connects a client.
fn connect<S: Service, const EDGE: bool>(
    simulation: &Simulation<S, EDGE>,
    port: u16,
    link: LinkProfile,
    (config, manner): (&Arc<ClientConfig>, Manner),
) -> Rc<RefCell<Seen>> {
    let (client, seen) = TlsClient::new(config, manner);
    connect_script(simulation, port, link, client);
    seen
}

fn connect_script<S: Service, const EDGE: bool>(
    simulation: &Simulation<S, EDGE>,
    port: u16,
    link: LinkProfile,
    script: impl Script + 'static,
) {
    let network = simulation.network();
    let ends = (([10, 0, 0, 2], port).into(), simulation.address());
    network.connect_at(network.time(), ends, link, script);
}

fn close_to() -> LinkProfile {
    LinkProfile {
        latency: ms(1)..=ms(2),
        ..LinkProfile::ideal()
    }
}

/// A run of commands: see [`Strict`].
struct Run {
    limits: Limits,
    manner: Manner,
    link: LinkProfile,
    client: Arc<ClientConfig>,
    random: Rng,
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut random = Rng::new(seed);
        let input = random.magnitude(400..=40_000) as usize;
        let mark = random.magnitude(1..=20_000) as usize;
        // A command of two bytes is answered with up to 2,000, each of which may be a record.
        let output_max = (mark + input + 20_000) * 2;
        let limits = rig::limits(&mut random, input, (mark, output_max));
        let manner = Manner {
            sends: rig::commands(&mut random, 200),
            piece: random.magnitude(1..=30_000) as usize,
            pause: Duration::from_micros(random.magnitude(1..=100_000)),
            ends: random.choose(&[Ends::Properly, Ends::WithNotify]),
            reads: random.choose(&[
                (usize::MAX, Duration::ZERO),
                (3_000, ms(5)),
                (50_000, ms(50)),
            ]),
            stalls_after: None,
        };
        Self {
            limits,
            manner,
            link: rig::link(&mut random),
            client: client_config(random.random_bool(0.4)),
            random,
        }
    }

    fn expected(&self) -> Vec<u8> {
        rig::answer(&self.manner.sends)
    }

    fn simulation<const EDGE: bool>(
        &self,
        seed: u64,
        faults: Faults,
    ) -> Simulation<Secured<Strict>, EDGE> {
        let network = Network::<EDGE>::new(seed);
        network.set_faults(faults);
        let service = Strict::default().with(config().layer());
        Simulation::with_network(network, service, self.limits.clone())
    }
}

fn commands_are_run<const EDGE: bool>(seed: u64) {
    let mut run = Run::new(seed);
    let faults = rig::mild_faults(&mut run.random);
    let mut simulation = run.simulation::<EDGE>(seed, faults);
    let way = (&run.client, run.manner.clone());
    let seen = connect(&simulation, 1, run.link.clone(), way);
    simulation.run_for(HOUR);
    let seen = seen.borrow();
    let strict = simulation.reactor().service().inner();
    let (got, want) = (seen.plain.len(), run.expected().len());
    assert!(
        seen.plain == run.expected() && seen.ended,
        "seed {seed}: {got} of {want} bytes, {:?}, {:?}",
        strict.ended,
        seen.failure,
    );
    assert_eq!(strict.ended, [EndReason::Eof], "seed {seed}");
    assert_eq!(simulation.reactor().usage(), Default::default());
}

#[test]
fn contract_holds_inside_tls_under_faults() {
    for seed in 0..SEEDS {
        commands_are_run::<true>(seed);
        commands_are_run::<false>(seed);
    }
}

/// Whatever happens, a client gets a prefix of the right bytes, an end only behind all of them, and
/// nothing outlives its connection.
#[test]
fn output_inside_tls_is_a_prefix_under_all_faults() {
    let mut whole = 0;
    for seed in 0..SEEDS {
        let mut run = Run::new(seed);
        let faults = Faults::sample(&mut run.random);
        run.manner.ends = run
            .random
            .choose(&[Ends::Properly, Ends::Abruptly, Ends::Never]);
        run.manner.stalls_after = match run.random.below(3) {
            0 => Some(run.random.magnitude(1..=2_000) as usize),
            _ => None,
        };
        let mut simulation = run.simulation::<true>(seed, faults);
        let way = (&run.client, run.manner.clone());
        let seen = connect(&simulation, 1, run.link.clone(), way);
        simulation.run_for(ms(run.random.magnitude(1..=20_000)));
        simulation.network().set_faults(Faults::NONE);
        simulation.drain();
        let seen = seen.borrow();
        assert!(run.expected().starts_with(&seen.plain), "seed {seed}");
        let is_whole = seen.plain == run.expected();
        let strict = simulation.reactor().service().inner();
        // A drain ends the stream behind the answers so far.
        let is_drained = strict.ended == [EndReason::Shutdown];
        assert!(!seen.ended || is_whole || is_drained, "seed {seed}");
        whole += u32::from(is_whole);
        assert_eq!(strict.ended.len(), strict.opened as usize, "seed {seed}");
        assert_eq!(simulation.reactor().usage(), Default::default());
        assert_eq!(simulation.network().descriptors_open(), 0);
    }
    assert!(whole > 10, "only {whole} were whole: a poor test");
}

/// Returns a server whose sessions echo, and its configuration.
fn echoing(settings: Settings) -> (Simulation<Secured<Probe>>, Config) {
    let config = config_with(settings);
    let service = Probe::new(echo).with(config.layer());
    (Simulation::new(service, Limits::default(), 1), config)
}

fn says(text: &[u8]) -> Manner {
    Manner {
        sends: text.to_vec(),
        ..Manner::default()
    }
}

fn probe(simulation: &Simulation<Secured<Probe>>) -> &Probe {
    simulation.reactor().service().inner()
}

#[test]
fn both_versions_are_spoken() {
    for (tls12, version) in [
        (true, ProtocolVersion::TLSv1_2),
        (false, ProtocolVersion::TLSv1_3),
    ] {
        let (mut simulation, config) = echoing(Settings::default());
        let client = client_config(tls12);
        let seen = connect(&simulation, 1, close_to(), (&client, says(b"hello")));
        simulation.run_for(SECOND);
        let seen = seen.borrow();
        assert_eq!((&seen.plain[..], seen.ended), (&b"hello"[..], true));
        assert_eq!(seen.version, Some(version));
        assert_eq!(seen.kind, Some(HandshakeKind::Full));
        let events = probe(&simulation).events(0);
        assert_eq!(events.first(), Some(&Event::Open));
        assert_eq!(events.last(), Some(&Event::Eof));
        assert!(!events.contains(&Event::Wake) && !events.contains(&Event::Timeout));
        let counters = config.counters();
        assert_eq!((counters.begun, counters.completed), (1, 1));
        assert_eq!(probe(&simulation).end(0), Some(EndReason::Eof));
    }
}

#[test]
fn version_1_2_is_refused_if_it_is_switched_off() {
    let settings = Settings {
        versions: oneloop::tls::Versions::Tls13,
        ..Settings::default()
    };
    let (mut simulation, config) = echoing(settings);
    let seen = connect(
        &simulation,
        1,
        close_to(),
        (&client_config(true), says(b"hello")),
    );
    simulation.run_for(SECOND);
    let failure = seen.borrow().failure.clone().expect("an alert");
    assert!(failure.contains("ProtocolVersion"), "{failure}");
    assert_eq!(config.counters().failed, 1);
    let end = probe(&simulation).end(0);
    assert_eq!(end, Some(EndReason::HandshakeFailed));
}

#[test]
fn session_is_resumed_without_a_signature() {
    for tls12 in [true, false] {
        let (mut simulation, config) = echoing(Settings::default());
        let client = client_config(tls12);
        for (port, kind) in [(1, HandshakeKind::Full), (2, HandshakeKind::Resumed)] {
            let seen = connect(&simulation, port, close_to(), (&client, says(b"hello")));
            simulation.run_for(SECOND);
            assert_eq!(seen.borrow().kind, Some(kind));
            assert_eq!(seen.borrow().plain, b"hello");
        }
        assert_eq!(config.counters().resumed, 1);
    }
}

#[test]
fn certificate_is_replaced_for_new_connections_alone() {
    let (mut simulation, config) = echoing(Settings::default());
    let client = client_config(false);
    let slow = Manner {
        piece: 1,
        pause: 2 * SECOND,
        ..says(b"a few bytes, slowly")
    };
    let old = connect(&simulation, 1, close_to(), (&client, slow));
    simulation.run_for(3 * SECOND);
    // What cannot be used changes nothing.
    assert!(config.replace(OTHER, KEY).is_err());
    assert!(config.replace(b"", OTHER_KEY).is_err());
    assert!(config.replace(OTHER, b"").is_err());
    let before = connect(&simulation, 2, close_to(), (&client, says(b"before")));
    simulation.run_for(SECOND);
    config.replace(OTHER, OTHER_KEY).expect("another pair");
    let after = connect(&simulation, 3, close_to(), (&client, says(b"after")));
    simulation.run_for(MINUTE);
    let of = |pem| {
        CertificateDer::from_pem_slice(pem)
            .expect("a certificate")
            .to_vec()
    };
    assert_eq!(before.borrow().certificate, Some(of(CERTIFICATE)));
    assert_eq!(after.borrow().certificate, Some(of(OTHER)));
    assert_eq!(after.borrow().kind, Some(HandshakeKind::Full));
    assert_eq!(after.borrow().plain, b"after");
    assert_eq!(old.borrow().certificate, Some(of(CERTIFICATE)));
    assert_eq!(old.borrow().plain, b"a few bytes, slowly");
    assert!(old.borrow().ended);
}

#[test]
fn stream_without_its_end_is_not_complete() {
    let (mut simulation, _) = echoing(Settings::default());
    let abruptly = Manner {
        ends: Ends::Abruptly,
        ..says(b"hello")
    };
    let seen = connect(
        &simulation,
        1,
        close_to(),
        (&client_config(false), abruptly),
    );
    simulation.run_for(SECOND);
    assert_eq!(seen.borrow().plain, b"hello");
    assert!(!seen.borrow().ended, "an end that looks complete");
    let probe = probe(&simulation);
    assert!(!probe.events(0).contains(&Event::Eof));
    assert_eq!(probe.end(0), Some(EndReason::Truncated));
}

#[test]
fn first_wrong_byte_ends_the_connection() {
    let (mut simulation, config) = echoing(Settings::default());
    let client = simulation.connect();
    client.send(b"G");
    simulation.run_for(ms(10));
    let alert = client.received();
    assert_eq!(alert.first(), Some(&21), "{alert:?}");
    client.close();
    simulation.run_for(ms(10));
    let end = probe(&simulation).end(0);
    assert_eq!(end, Some(EndReason::HandshakeFailed));
    let counters = config.counters();
    assert_eq!((counters.begun, counters.failed), (0, 1));
}

#[test]
fn refused_client_gets_an_alert() {
    let config = config();
    let mut service = Probe::new(echo);
    service.refusal = b"The server is full.".to_vec();
    let limits = Limits {
        connections_max: 1,
        ..Limits::default()
    };
    let mut simulation = Simulation::new(service.with(config.layer()), limits, 1);
    let _first = simulation.connect();
    simulation.run_for(ms(10));
    let seen = connect(
        &simulation,
        9,
        close_to(),
        (&client_config(false), says(b"hello")),
    );
    simulation.run_for(SECOND);
    let failure = seen.borrow().failure.clone().expect("an alert");
    assert!(failure.contains("InternalError"), "{failure}");
    assert_eq!(config.counters().begun, 0);
}

/// Handshakes that stop at any byte end at the deadline, and leave nothing.
#[test]
fn handshake_that_stops_half_way_ends_in_time() {
    let (mut simulation, config) = echoing(Settings::default());
    let clients = [client_config(true), client_config(false)];
    for port in 0..1000_u16 {
        let manner = Manner {
            stalls_after: Some(usize::from(port) % 350),
            ..says(b"hello")
        };
        let client = &clients[usize::from(port % 2)];
        let _ = connect(&simulation, port + 1, close_to(), (client, manner));
    }
    simulation.run_for(9 * SECOND);
    assert!(simulation.reactor().open_connections() > 500);
    // The lingering after the deadline takes two seconds at most.
    simulation.run_for(4 * SECOND);
    let counters = config.counters();
    // Some have stalled only after their handshake, and wait for the session's own deadline.
    let open = simulation.reactor().open_connections() as u64;
    assert!(open <= counters.completed, "{open} {counters:?}");
    simulation.run_for(MINUTE);
    assert_eq!(simulation.reactor().usage(), Default::default());
    let ended = counters.completed + counters.failed + counters.timed_out + counters.disconnected;
    assert_eq!(ended, 1000, "{counters:?}");
    assert!(counters.timed_out > 500, "{counters:?}");
}

/// Sends a ClientHello and leaves at once.
#[test]
fn client_that_has_left_costs_no_signature() {
    for (ends, reason) in [
        (Leaves::Finishes, EndReason::Eof),
        (Leaves::Closes, EndReason::Eof),
        (Leaves::Resets, EndReason::Reset),
    ] {
        let (mut simulation, config) = echoing(Settings::default());
        for port in 1..=20 {
            let (client, _) = TlsClient::new(&client_config(port % 2 == 0), says(b""));
            let script = Leaving { client, ends };
            connect_script(&simulation, port, LinkProfile::ideal(), script);
        }
        simulation.run_for(SECOND);
        assert_eq!(config.counters().begun, 0, "{ends:?}");
        assert_eq!(config.counters().disconnected, 20, "{ends:?}");
        let ended = simulation.reactor().counters().ended(reason);
        assert_eq!(ended, 20, "{ends:?}: {:?}", simulation.reactor().counters());
    }
}

#[derive(Clone, Copy, Debug)]
enum Leaves {
    Finishes,
    Closes,
    Resets,
}

struct Leaving {
    client: TlsClient,
    ends: Leaves,
}

impl Script for Leaving {
    fn run(&mut self, remote: &mut oneloop_sim::RemotePeer<'_>) -> Option<Time> {
        if remote.status() == oneloop_sim::Status::Open {
            self.client.run(remote);
            match self.ends {
                Leaves::Finishes => remote.finish(),
                Leaves::Closes => remote.close(),
                Leaves::Resets => remote.reset(),
            }
        }
        None
    }
}

/// Handshakes in flight that do not go on give their places to others, and only then.
#[test]
fn full_places_are_freed_for_those_that_wait() {
    let settings = Settings {
        handshakes_max: 4,
        ..Settings::default()
    };
    let (mut simulation, config) = echoing(settings);
    let client = client_config(false);
    for port in 1..=4 {
        let (client, seen) = TlsClient::new(&client, says(b""));
        connect_script(&simulation, port, LinkProfile::ideal(), HelloOnly(client));
        drop(seen);
    }
    simulation.run_for(5 * SECOND);
    assert_eq!(config.counters().begun, 4);
    assert_eq!(simulation.reactor().open_connections(), 4);
    let seen = connect(&simulation, 9, close_to(), (&client, says(b"hello")));
    simulation.run_for(ms(500));
    assert_eq!(seen.borrow().plain, b"hello");
    // One of the four made room.
    assert_eq!(config.counters().timed_out, 1);
    simulation.run_for(MINUTE);
    assert_eq!(config.counters().timed_out, 4);
    assert_eq!(simulation.reactor().usage(), Default::default());
}

#[test]
fn handshake_keeps_its_place_for_a_tenth_of_its_time() {
    let settings = Settings {
        handshakes_max: 1,
        ..Settings::default()
    };
    let (mut simulation, config) = echoing(settings);
    let client = client_config(false);
    let (first, _) = TlsClient::new(&client, says(b""));
    connect_script(&simulation, 1, LinkProfile::ideal(), HelloOnly(first));
    simulation.run_for(ms(100));
    let seen = connect(&simulation, 9, close_to(), (&client, says(b"hello")));
    simulation.run_for(ms(800));
    assert_eq!(
        (config.counters().begun, config.counters().timed_out),
        (1, 0)
    );
    assert_eq!(seen.borrow().plain, b"");
    simulation.run_for(ms(200));
    assert_eq!(
        (config.counters().begun, config.counters().timed_out),
        (2, 1)
    );
    assert_eq!(seen.borrow().plain, b"hello");
}

/// Sends its ClientHello and nothing more.
struct HelloOnly(TlsClient);

impl Script for HelloOnly {
    fn run(&mut self, remote: &mut oneloop_sim::RemotePeer<'_>) -> Option<Time> {
        if remote.readable() == 0 {
            self.0.run(remote);
        }
        None
    }
}

/// In one turn of the loop at most two connections take a step.
#[test]
fn handshakes_begun_in_one_turn_are_few() {
    let (mut simulation, config) = echoing(Settings::default());
    let client = client_config(false);
    // All arrive in one turn.
    let link = LinkProfile {
        latency: ms(1)..=ms(1),
        ..LinkProfile::ideal()
    };
    let seen: Vec<_> = (1..=60)
        .map(|port| connect(&simulation, port, link.clone(), (&client, says(b"hello"))))
        .collect();
    let mut most = 0;
    while config.counters().completed < 60 {
        let before = config.counters().begun;
        simulation
            .network()
            .stop_poll_at(Some(simulation.network().time() + SECOND));
        simulation.turn();
        most = most.max(config.counters().begun - before);
        assert!(simulation.network().time() < Time::START + MINUTE);
    }
    assert_eq!(most, 2);
    simulation.run_for(SECOND);
    assert!(seen.iter().all(|seen| seen.borrow().plain == b"hello"));
}

#[test]
fn drain_ends_handshakes_and_lets_sessions_answer() {
    let (mut simulation, config) = echoing(Settings::default());
    let client = client_config(false);
    let open = Manner {
        ends: Ends::Never,
        ..says(b"hello")
    };
    let seen = connect(&simulation, 1, close_to(), (&client, open));
    let _silent = simulation.connect();
    simulation.run_for(SECOND);
    assert_eq!(simulation.drain().aborted, 0);
    assert_eq!(
        (&seen.borrow().plain[..], seen.borrow().ended),
        (&b"hello"[..], true)
    );
    assert_eq!(config.counters().disconnected, 1);
    let ended = simulation.reactor().counters().ended(EndReason::Shutdown);
    assert_eq!(ended, 2);
}

/// A session in full duplex is read while its output waits.
#[test]
fn session_in_duplex_reads_all_input_while_its_output_waits() {
    let service = Probe::new(echo_in_duplex).with(config().layer());
    let mut simulation = Simulation::new(service, small_buffers(), 1);
    let sends: Vec<u8> = (0..50_000_u32).map(|number| number as u8).collect();
    let manner = Manner {
        // It reads hardly anything before it has sent all.
        reads: (400, ms(300)),
        ..says(&sends)
    };
    let link = LinkProfile {
        receive_buffer_bytes: 1000,
        ..close_to()
    };
    let seen = connect(&simulation, 1, link, (&client_config(false), manner));
    simulation.run_for(10 * SECOND);
    assert!(simulation.reactor().counters().bytes_in() > 50_000);
    assert!(simulation.reactor().counters().bytes_out() < 30_000);
    simulation.run_for(HOUR);
    assert!(seen.borrow().plain == sends && seen.borrow().ended);
    assert_eq!(simulation.reactor().usage(), Default::default());
}

/// Shared buffers between copied words are the records of one stream, in their order.
#[test]
fn shared_output_inside_tls_arrives_whole_and_in_order() {
    let page: Arc<[u8]> = (0..40_000_u32).map(|number| number as u8).collect();
    let sent = Arc::clone(&page);
    let service = Probe::new(move |mut step| {
        if step.take().is_empty() {
            return step.read_for(HOUR);
        }
        let page = Shared::from(Arc::clone(&sent));
        step.cx.write(b"head ");
        step.cx.write_shared(page.clone());
        step.cx.write(b" between ");
        step.cx.write_shared(page.slice(..1000));
        step.cx.write(b" foot");
        Next::Close(CloseReason::Completed)
    });
    let limits = Limits {
        output_bytes_max: 100_000,
        ..Limits::default()
    };
    let mut simulation = Simulation::new(service.with(config().layer()), limits, 1);
    let manner = Manner {
        ends: Ends::Never,
        ..says(b"?")
    };
    let seen = connect(&simulation, 1, close_to(), (&client_config(false), manner));
    simulation.run_for(MINUTE);
    let whole = [b"head ", &page[..], b" between ", &page[..1000], b" foot"].concat();
    assert!(seen.borrow().plain == whole && seen.borrow().ended);
}

const SEEDS: u64 = 100;
