//! A service behind proxies: no session before its header, and the announced address from then on.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use oneloop::layer::{ByListener, Compose};
use oneloop::proxy::{Network as Proxies, Proxied, ProxyProtocol, Versions};
use oneloop::{
    Announced, CloseReason, Context, EndReason, Event, Limits, Listen, Next, Peer, PeerAddress,
    Reactor, Route, Service, ServiceContext,
};
use oneloop_sim::{Client, Faults, LinkProfile, Network, Rng, Simulation, Status};

use super::super::probe::*;
use super::rig;
use super::strict::Strict;

const CLIENT: &str = "192.0.2.1:56324";
const LINE: &[u8] = b"PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n";
const LINE_6: &[u8] = b"PROXY TCP6 2001:db8::7 ::1 56324 443\r\n";
const UNKNOWN: &[u8] = b"PROXY UNKNOWN\r\n";
const BINARY: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0f\
    \xc0\x00\x02\x01\xc6\x33\x64\x01\xdc\x04\x01\xbb\x04\x00\x00";
const LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x03\x04\x00\x00";

fn at(address: &str) -> PeerAddress {
    let address: SocketAddr = address.parse().expect("an address");
    address.into()
}

/// Accepts both versions from the addresses of simulated clients.
fn protocol() -> ProxyProtocol {
    ProxyProtocol::new(Versions::Any, ["10.0.0.0/8".parse().expect("a network")])
}

/// Speaks first, as the greeting does, and echoes.
fn welcome(step: Step<'_, '_>) -> Next {
    if step.event == Event::Open {
        step.cx.write(b"welcome\n");
        return step.read_for(MINUTE);
    }
    if step.event == Event::Drain {
        step.cx.write(b"bye\n");
    }
    echo(step)
}

type Scene = Simulation<Proxied<Probe>>;

fn scene(limits: Limits) -> Scene {
    Simulation::new(protocol().before(Probe::new(welcome)), limits, 1)
}

fn probe(scene: &Scene) -> &Probe {
    scene.reactor().service().inner()
}

fn ended(scene: &Scene, reason: EndReason) -> u64 {
    scene.reactor().counters().ended(reason)
}

/// Connects, sends bytes, and lets them arrive.
fn connect(scene: &mut Scene, bytes: &[u8]) -> Client {
    let client = scene.connect();
    client.send(bytes);
    scene.run_for(ms(10));
    client
}

fn assert_all_freed(scene: &Scene) {
    assert_eq!(scene.reactor().usage(), Default::default());
    assert_eq!(scene.network().descriptors_open(), 0);
}

#[track_caller]
fn assert_served(chunks: &[&[u8]], announced: Option<PeerAddress>, case: &str) {
    let mut scene = scene(Limits::default());
    let client = scene.connect();
    let (last, before) = chunks.split_last().expect("a chunk");
    for chunk in before {
        client.send(chunk);
        scene.run_for(ms(10));
        assert_eq!(client.received(), b"", "{case}: sent before the header");
        assert!(probe(&scene).peers.is_empty(), "{case}: opened before it");
    }
    client.send(last);
    client.send(b"hello");
    client.finish();
    scene.run_for(ms(10));
    assert_eq!(client.received(), b"welcome\nhello", "{case}");
    let peer = probe(&scene).peers[0];
    let proxy = client.address().into();
    let (address, route) = match announced {
        Some(address) => (address, Route::Proxy(proxy)),
        None => (proxy, Route::Probe),
    };
    assert_eq!((peer.address, peer.route), (address, route), "{case}");
    assert_eq!(peer.via(), announced.map(|_| proxy), "{case}");
    assert_eq!(peer.is_probe(), announced.is_none(), "{case}");
    assert_eq!(peer.local, Some(scene.address()), "{case}");
    let reason = match announced {
        Some(_) => EndReason::Eof,
        None => EndReason::Probe,
    };
    scene.run_for(SECOND);
    assert_eq!(probe(&scene).end(0), Some(reason), "{case}");
    assert_eq!(ended(&scene, reason), 1, "{case}");
    assert_all_freed(&scene);
}

#[test]
fn header_cut_at_every_place_opens_one_session_with_its_address() {
    for (header, announced) in [
        (LINE, Some(at(CLIENT))),
        (LINE_6, Some(at("[2001:db8::7]:56324"))),
        (BINARY, Some(at(CLIENT))),
        (UNKNOWN, None),
        (LOCAL, None),
    ] {
        let shown = header.escape_ascii();
        for cut in 0..header.len() {
            let (head, tail) = header.split_at(cut);
            assert_served(&[head, tail], announced, &format!("{shown} cut at {cut}"));
        }
        let bytes: Vec<_> = header.chunks(1).collect();
        assert_served(&bytes, announced, &format!("each byte of {shown}"));
    }
}

#[test]
fn wrong_byte_ends_the_connection_at_once() {
    for header in [LINE, BINARY] {
        for place in 0..15 {
            let mut wrong = header[..=place].to_vec();
            wrong[place] ^= 0x80;
            let mut scene = scene(Limits::default());
            let client = connect(&mut scene, &wrong);
            assert!(client.at_end(), "{place}");
            client.close();
            scene.run_for(ms(10));
            assert_eq!(ended(&scene, EndReason::ProtocolError), 1, "{place}");
            assert_eq!(client.received(), b"");
            assert!(probe(&scene).calls.is_empty());
            assert_all_freed(&scene);
        }
    }
}

#[test]
fn header_has_a_deadline_of_its_own_that_drips_do_not_move() {
    let mut scene = scene(Limits::default());
    let silent = scene.connect();
    let dripping = scene.connect();
    for byte in &LINE[..44] {
        dripping.send(&[*byte]);
        scene.run_for(ms(100));
    }
    scene.run_for(ms(500));
    assert_eq!(scene.reactor().open_connections(), 2);
    scene.run_for(ms(200));
    assert!(silent.at_end() && dripping.at_end());
    assert_eq!((silent.received(), dripping.received()), (vec![], vec![]));
    silent.close();
    dripping.close();
    scene.run_for(ms(10));
    assert_eq!(ended(&scene, EndReason::Timeout), 2);
    assert!(probe(&scene).calls.is_empty());
    assert_all_freed(&scene);
}

#[test]
fn deadline_is_the_configured_one() {
    let service = protocol().timeout(SECOND).before(Probe::new(welcome));
    let mut scene = Simulation::new(service, Limits::default(), 1);
    let _client = scene.connect();
    scene.run_for(ms(990));
    assert_eq!(ended(&scene, EndReason::Timeout), 0);
    scene.run_for(3 * SECOND);
    assert_eq!(ended(&scene, EndReason::Timeout), 1);
}

#[test]
fn deadline_of_the_header_ends_with_it() {
    let mut scene = scene(Limits::default());
    let client = connect(&mut scene, LINE);
    scene.run_for(10 * SECOND);
    client.send(b"late");
    scene.run_for(ms(10));
    assert_eq!(client.received(), b"welcome\nlate");
}

#[test]
fn checks_without_a_client_are_probes() {
    let mut scene = scene(Limits::default());
    let check = |scene: &mut Scene, bytes: &[u8], end: fn(&Client)| {
        let client = connect(scene, bytes);
        end(&client);
        scene.run_for(SECOND);
    };
    check(&mut scene, b"", Client::reset);
    check(&mut scene, b"", Client::close);
    check(&mut scene, b"", Client::finish);
    check(&mut scene, b"PROXY", Client::reset);
    assert!(probe(&scene).calls.is_empty());
    check(&mut scene, LOCAL, Client::reset);
    check(&mut scene, UNKNOWN, Client::close);
    assert_eq!(probe(&scene).peers.len(), 2);
    assert_eq!(ended(&scene, EndReason::Probe), 6);
    assert_eq!(scene.reactor().counters().ended_in_all(), 6);
    assert_all_freed(&scene);
}

#[test]
fn header_with_the_proxys_own_end_of_the_connection_is_a_probes() {
    for (own, listens_at) in [
        ("10.0.0.7", "127.0.0.1:6000"),
        ("::ffff:10.0.0.7", "[::1]:6000"),
    ] {
        let service = protocol().before(Probe::new(welcome));
        let to: SocketAddr = listens_at.parse().expect("an address");
        let builder = Reactor::builder(service).listen(Listen::tcp(to));
        let mut scene = Simulation::<_>::from_builder(Network::new(1), builder);
        let own: SocketAddr = (own.parse::<std::net::IpAddr>().expect("an address"), 42).into();
        for (port, route) in [(42, Route::Probe), (43, Route::Proxy(own.into()))] {
            let client = scene.network().connect(own, to, LinkProfile::ideal());
            client.send(format!("PROXY TCP4 10.0.0.7 127.0.0.1 {port} 6000\r\n").as_bytes());
            scene.run_for(ms(10));
            client.reset();
            scene.run_for(ms(10));
            let peer = probe(&scene).peers.last().expect("a session");
            assert_eq!(peer.route, route);
        }
        assert_eq!(ended(&scene, EndReason::Probe), 1);
        assert_eq!(ended(&scene, EndReason::Reset), 1);
    }
}

#[test]
fn end_within_the_header_is_an_error() {
    for header in [LINE, BINARY, LOCAL] {
        for cut in 1..header.len() {
            let mut scene = scene(Limits::default());
            let client = connect(&mut scene, &header[..cut]);
            client.close();
            scene.run_for(ms(10));
            assert_eq!(ended(&scene, EndReason::ProtocolError), 1, "{cut}");
            assert_all_freed(&scene);
        }
    }
}

#[test]
fn trouble_of_a_probe_keeps_its_reason() {
    let service = protocol().before(Probe::new(|step| match step.event {
        Event::Open => step.read_for(SECOND),
        Event::Timeout => Next::Close(CloseReason::Timeout),
        _ => panic!("as planned"),
    }));
    let mut scene = Simulation::new(service, Limits::default(), 1);
    let _silent = connect(&mut scene, LOCAL);
    let client = connect(&mut scene, LOCAL);
    client.send(b"x");
    scene.run_for(10 * SECOND);
    assert_eq!(ended(&scene, EndReason::Panicked), 1);
    assert_eq!(ended(&scene, EndReason::Timeout), 1);
    assert_eq!(ended(&scene, EndReason::Probe), 0);
}

#[test]
fn peer_outside_the_networks_is_refused_without_a_byte() {
    let mut scene = scene(Limits {
        connections_per_address_max: Some(1),
        ..Limits::default()
    });
    let (network, to) = (scene.network().clone(), scene.address());
    let from = ([192, 0, 2, 9], 1000).into();
    let foreign = network.connect(from, to, LinkProfile::ideal());
    foreign.send(LINE);
    scene.run_for(ms(10));
    assert!(foreign.at_end());
    assert_eq!(foreign.received(), b"");
    // It counts for its address until it has closed.
    assert_eq!(scene.reactor().usage().addresses, 1);
    foreign.close();
    scene.run_for(ms(10));
    assert_eq!(ended(&scene, EndReason::Refused), 1);
    assert!(probe(&scene).calls.is_empty());
    assert_all_freed(&scene);
}

fn limited(per_address: usize) -> Scene {
    let mut scene = scene(Limits {
        connections_per_address_max: Some(per_address),
        ..Limits::default()
    });
    scene.reactor_mut().service_mut().inner_mut().refusal = b"full\n".to_vec();
    scene
}

#[test]
fn limit_of_an_address_holds_for_the_clients_and_not_for_the_proxy() {
    let mut scene = limited(1);
    let waiting = [(); 3].map(|()| connect(&mut scene, b""));
    let checks = [(); 2].map(|()| connect(&mut scene, LOCAL));
    assert_eq!(scene.reactor().usage().addresses, 0);
    let first = connect(&mut scene, LINE);
    let other = connect(&mut scene, LINE_6);
    let second = connect(&mut scene, BINARY);
    for client in [&first, &other, &checks[0], &checks[1]] {
        assert_eq!(client.received(), b"welcome\n");
    }
    assert_eq!(second.received(), b"full\n");
    assert!(second.at_end());
    let usage = scene.reactor().usage();
    assert_eq!((usage.addresses, usage.refused), (2, 1));
    second.close();
    scene.run_for(ms(10));
    assert_eq!(ended(&scene, EndReason::AddressLimit), 1);
    assert_eq!(scene.reactor().usage().refused, 0);
    // The place is free again after the end.
    first.close();
    scene.run_for(ms(10));
    waiting[0].send(LINE);
    scene.run_for(ms(10));
    assert_eq!(waiting[0].received(), b"welcome\n");
    scene.drain();
    assert_eq!(scene.reactor().usage(), Default::default());
}

#[test]
fn client_that_has_its_share_is_refused_before_a_session() {
    let mut scene = limited(1);
    let _first = connect(&mut scene, LINE);
    let calls = probe(&scene).calls.len();
    let second = connect(&mut scene, &[LINE, b"hello"].concat());
    assert_eq!(second.received(), b"full\n");
    second.close();
    scene.run_for(ms(10));
    assert_eq!(probe(&scene).calls.len(), calls);
}

#[test]
fn refusals_of_clients_linger_within_their_maximum() {
    let mut scene = scene(Limits {
        connections_per_address_max: Some(1),
        refusals_max: 2,
        ..Limits::default()
    });
    let first = connect(&mut scene, LINE);
    let refused = [(); 5].map(|()| connect(&mut scene, LINE));
    assert!(refused.iter().all(Client::at_end));
    assert_eq!(scene.reactor().usage().refused, 2);
    assert_eq!(ended(&scene, EndReason::AddressLimit), 3);
    assert_eq!(first.received(), b"welcome\n");
    drop(first);
    scene.run_for(MINUTE);
    assert_eq!(ended(&scene, EndReason::AddressLimit), 5);
}

#[test]
fn refused_clients_free_their_places() {
    let mut scene = scene(Limits {
        connections_max: 2,
        connections_per_address_max: Some(1),
        ..Limits::default()
    });
    let first = connect(&mut scene, LINE);
    for _ in 0..3 {
        let refused = connect(&mut scene, LINE);
        assert!(refused.at_end());
        refused.close();
        scene.run_for(ms(10));
    }
    // A refused one that lingers has no place.
    let _refused = connect(&mut scene, LINE);
    let other = connect(&mut scene, LINE_6);
    assert_eq!(other.received(), b"welcome\n");
    assert_eq!(first.received(), b"welcome\n");
    assert_eq!(ended(&scene, EndReason::ServerFull), 0);
}

#[test]
fn client_of_a_unix_socket_has_no_address_to_count() {
    let mut unix = b"\r\n\r\n\0\r\nQUIT\n\x21\x31\x00\xd8".to_vec();
    unix.resize(16 + 216, b'/');
    let mut scene = limited(1);
    let clients = [(); 2].map(|()| connect(&mut scene, &unix));
    assert!(
        clients
            .iter()
            .all(|client| client.received() == b"welcome\n")
    );
    assert_eq!(probe(&scene).peers[1].address, PeerAddress::Unix);
    assert_eq!(scene.reactor().usage().addresses, 0);
}

#[test]
fn proxy_at_a_unix_socket_is_trusted_if_configured() {
    for (from, expected) in [
        (Proxies::UNIX, &b"welcome\n"[..]),
        ("::/0".parse().expect("a network"), b""),
    ] {
        let service = ProxyProtocol::new(Versions::V1, [from]).before(Probe::new(welcome));
        let builder = Reactor::builder(service).listen(Listen::unix("/run/greet").name("unix"));
        let mut scene = Simulation::<_>::from_builder(Network::new(1), builder);
        let client = scene.connect_to("unix");
        client.send(LINE);
        scene.run_for(ms(10));
        assert_eq!(client.received(), expected);
        if let Some(peer) = scene.reactor().service().inner().peers.first() {
            assert_eq!(
                (peer.address, peer.via()),
                (at(CLIENT), Some(PeerAddress::Unix))
            );
        }
    }
}

#[test]
fn service_beside_a_proxied_one_needs_no_header() {
    let admin = Probe::new(welcome).with(oneloop::layer::Idle::after(HOUR));
    let service = protocol()
        .before(Probe::new(welcome))
        .beside(admin, ByListener("admin"));
    let builder = Reactor::builder(service)
        .listen(Listen::tcp(([127, 0, 0, 1], 6000).into()))
        .listen(Listen::tcp(([127, 0, 0, 1], 6001).into()).name("admin"));
    let mut scene = Simulation::<_>::from_builder(Network::new(1), builder);
    let (main, admin) = (scene.connect(), scene.connect_to("admin"));
    scene.run_for(ms(10));
    assert_eq!(
        (main.received(), admin.received()),
        (vec![], b"welcome\n".to_vec())
    );
    main.send(LINE);
    scene.run_for(ms(10));
    assert_eq!(main.received(), b"welcome\n");
    let fork = scene.reactor().service();
    assert_eq!(fork.second().inner().peers[0].route, Route::Direct);
    assert_eq!(fork.first().inner().peers[0].address, at(CLIENT));
}

#[test]
fn wake_before_the_header_is_no_event_of_the_session() {
    let mut scene = scene(Limits::default());
    let client = scene.connect();
    scene.run_for(ms(10));
    scene.call_at(scene.network().time(), |_, cx| cx.wake_all());
    scene.run_for(ms(10));
    client.send(LINE);
    scene.run_for(ms(10));
    assert_eq!(probe(&scene).events(0), [Event::Open]);
}

#[test]
fn events_begin_anew_behind_the_header() {
    for (rest, finishes, events) in [
        (&b""[..], false, &[Event::Open][..]),
        (b"", true, &[Event::Open, Event::Eof]),
        (b"x", false, &[Event::Open, Event::Data]),
        (b"x", true, &[Event::Open, Event::Data, Event::Eof]),
    ] {
        for waits in [ms(0), ms(10)] {
            let mut scene = scene(Limits::default());
            let client = connect(&mut scene, &LINE[..20]);
            client.send(&[&LINE[20..], rest].concat());
            scene.run_for(waits);
            if finishes {
                client.finish();
            }
            scene.run_for(ms(10));
            assert_eq!(probe(&scene).events(0), events);
        }
    }
}

#[test]
fn drain_waits_for_a_header_and_lets_its_session_say_goodbye() {
    let mut scene = scene(Limits::default());
    let [late, silent, inside] = [&LINE[..5], b"", LINE].map(|bytes| connect(&mut scene, bytes));
    let queued = scene.connect();
    queued.send(LINE);
    scene.network().stop();
    scene.run_for(ms(10));
    assert_eq!(inside.received(), b"welcome\nbye\n");
    assert_eq!(queued.received(), b"welcome\nbye\n");
    late.send(&[&LINE[5..], b"hello"].concat());
    scene.run_for(ms(10));
    assert_eq!(late.received(), b"welcome\nhellobye\n");
    assert_eq!(silent.received(), b"");
    let stopped = scene.drain();
    assert_eq!(stopped.aborted, 0);
    assert_eq!(ended(&scene, EndReason::Shutdown), 3);
    assert_eq!(ended(&scene, EndReason::Timeout), 1);
}

#[test]
fn header_longer_than_the_input_maximum_is_waited_for() {
    let records = 4000 - 16 - 12;
    let mut header = BINARY[..14].to_vec();
    header.extend((12 + records as u16).to_be_bytes());
    header.extend(&BINARY[16..28]);
    header.push(0x28);
    header.extend((records as u16 - 3).to_be_bytes());
    header.resize(4000, 7);
    for (longest, hard, expected) in [
        (4096, 4096, &b"welcome\n"[..]),
        (4096, 2000, b""),
        (536, 4096, b""),
    ] {
        let service = protocol()
            .header_bytes_max(longest)
            .before(Probe::new(welcome));
        let limits = Limits {
            input_bytes_max: 1000,
            input_bytes_hard_max: Some(hard),
            ..Limits::default()
        };
        let mut scene = Simulation::new(service, limits, 1);
        let client = scene.connect();
        for piece in header.chunks(700) {
            client.send(piece);
            scene.run_for(ms(10));
        }
        assert_eq!(client.received(), expected, "{longest} {hard}");
    }
}

#[test]
fn panic_behind_a_header_ends_one_session_alone() {
    let mut scene = scene(Limits::default());
    let inner = scene.reactor_mut().service_mut().inner_mut();
    inner.besides = Box::new(|call, _| assert!(call != Call::Open(1), "as planned"));
    let clients = [(); 3].map(|()| connect(&mut scene, LINE));
    assert_eq!(clients[0].received(), b"welcome\n");
    let reset = Status::Failed(ErrorKind::ConnectionReset);
    assert_eq!(clients[1].status(), reset);
    assert_eq!(clients[2].received(), b"welcome\n");
    assert_eq!(ended(&scene, EndReason::Panicked), 1);
    assert_eq!(scene.reactor().counters().service_panics(), 1);
}

/// Announces an address itself, without being a proxy's layer.
#[derive(Default)]
struct Announcing {
    opened: Vec<Peer>,
    readdressed: Vec<Peer>,
}

impl Service for Announcing {
    type Session = ();

    fn open(&mut self, peer: Peer, _: &mut ServiceContext) {
        self.opened.push(peer);
    }

    fn step(&mut self, (): &mut (), event: Event, cx: &mut Context<'_>) -> Next {
        if let &[host] = cx.input() {
            cx.consume(1);
            let address = SocketAddr::from(([192, 0, 2, host], 1));
            cx.readdress(Announced::Client(address.into()));
        }
        match event {
            Event::Open => cx.write(b"o"),
            Event::Eof => return Next::Close(CloseReason::Eof),
            _ => {}
        }
        Next::Read {
            until: cx.after(HOUR),
        }
    }

    fn readdressed(&mut self, (): &mut (), peer: Peer, _: &mut ServiceContext) {
        self.readdressed.push(peer);
    }
}

#[test]
fn address_counts_once_however_often_it_changes() {
    let limits = Limits {
        connections_per_address_max: Some(1),
        ..Limits::default()
    };
    let mut scene = Simulation::new(Announcing::default(), limits, 1);
    let first = scene.connect();
    for host in [1, 1, 2, 3] {
        first.send(&[host]);
        scene.run_for(ms(10));
        assert_eq!(scene.reactor().usage().addresses, 1);
    }
    assert_eq!(first.received(), b"ooooo");
    // The places of the addresses before are free.
    for (host, answer) in [(1, &b"oo"[..]), (3, b"o")] {
        let client = scene.connect();
        client.send(&[host]);
        scene.run_for(ms(10));
        assert_eq!(client.received(), answer, "{host}");
        client.close();
        scene.run_for(ms(10));
    }
    let service = scene.reactor().service();
    assert_eq!(service.opened.len(), 3);
    let proxy = service.opened[0].address;
    assert_eq!(service.readdressed.len(), 5);
    assert!(
        service.readdressed[..4]
            .iter()
            .all(|peer| peer.via() == Some(proxy))
    );
    first.close();
    scene.run_for(ms(10));
    assert_eq!(scene.reactor().usage(), Default::default());
}

/// A run of the strict service behind a header.
struct Run {
    wire: Vec<u8>,
    expected: Vec<u8>,
    limits: Limits,
    link: LinkProfile,
    faults: Faults,
    waits: Duration,
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut random = Rng::new(seed);
        let commands = rig::commands(&mut random, 40);
        let header = random.choose(&[LINE, LINE_6, BINARY, LOCAL, UNKNOWN]);
        let mark = random.magnitude(1..=5_000) as usize;
        let input = random.magnitude(60..=20_000) as usize;
        Self {
            expected: rig::answer(&commands),
            wire: [header, &commands].concat(),
            limits: Limits {
                connections_per_address_max: random.choose(&[None, Some(1)]),
                ..rig::limits(&mut random, input, (mark, mark + 30_000))
            },
            link: rig::link(&mut random),
            faults: rig::mild_faults(&mut random),
            waits: ms(random.choose(&[0, 0, 1, 50])),
        }
    }
}

fn contract_holds<const EDGE: bool>(seed: u64) -> Strict {
    let run = Run::new(seed);
    let network = Network::<EDGE>::new(seed);
    network.set_faults(run.faults);
    let service = protocol().before(Strict::default());
    let mut simulation = Simulation::with_network(network, service, run.limits.clone());
    let client = simulation.connect_over(run.link.clone());
    client.send(&run.wire);
    simulation.run_for(run.waits);
    client.finish();
    simulation.run_for(HOUR);
    assert!(client.received() == run.expected, "seed {seed}");
    assert_eq!(simulation.reactor().usage(), Default::default());
    std::mem::take(simulation.reactor_mut().service_mut().inner_mut())
}

#[test]
fn contract_holds_behind_a_header_under_faults() {
    let (mut pieces, mut full) = (0, 0);
    for seed in 0..200 {
        for strict in [contract_holds::<true>(seed), contract_holds::<false>(seed)] {
            assert!(matches!(
                strict.ended[..],
                [EndReason::Eof | EndReason::Probe]
            ));
            pieces += strict.pieces;
            full += strict.full;
        }
    }
    assert!(pieces > 1000 && full > 500, "{pieces} {full}: a poor test");
}

/// Many clients of two proxies under all faults: each gets what is its own, and nothing outlives its
/// connection.
#[test]
fn clients_of_a_proxy_are_kept_apart_under_all_faults() {
    let mut served = 0;
    for seed in 0..150 {
        let mut random = Rng::new(seed);
        let network = Network::<true>::new(seed);
        network.set_faults(Faults::sample(&mut random));
        let most = random.magnitude(1..=4) as usize;
        let limits = Limits {
            connections_per_address_max: Some(most),
            refusals_max: random.below(4),
            ..Limits::default()
        };
        let service = protocol().before(Probe::new(welcome));
        let mut scene = Simulation::with_network(network, service, limits);
        scene.reactor_mut().service_mut().inner_mut().refusal = b"full\n".to_vec();
        let mut clients = Vec::new();
        for _ in 0..random.magnitude(1..=30) {
            let host = random.below(3);
            let header = format!("PROXY TCP4 192.0.2.{host} 192.0.2.9 1 2\r\n");
            let mut bytes = header.into_bytes();
            bytes.truncate(random.choose(&[usize::MAX, usize::MAX, usize::MAX, 9]));
            let client = scene.connect_over(LinkProfile::sample(&mut random));
            client.send(&bytes);
            clients.push(client);
            scene.run_for(ms(random.magnitude(1..=300)));
            let client = &clients[random.below(clients.len())];
            match random.below(6) {
                0 => client.reset(),
                1 => client.finish(),
                2 => client.close(),
                3 => client.send(b"x"),
                _ => {}
            }
            let peers = scene.reactor().service().inner().peers.iter();
            assert!(
                peers.clone().all(|peer| peer.via().is_some()),
                "seed {seed}"
            );
            assert!(scene.reactor().usage().addresses <= 3);
        }
        for client in &clients {
            let received = client.received();
            let whole = [&b"welcome\n"[..], b"full\n"];
            let begins = |text: &&[u8]| text.starts_with(&received) || received.starts_with(text);
            assert!(whole.iter().any(begins), "seed {seed}");
            served += u32::from(received.starts_with(b"welcome\n"));
        }
        scene.network().set_faults(Faults::NONE);
        scene.drain();
        assert_eq!(scene.reactor().usage(), Default::default(), "seed {seed}");
        assert_eq!(scene.network().descriptors_open(), 0);
        let counters = scene.reactor().counters();
        assert_eq!(counters.accepted(), counters.ended_in_all(), "seed {seed}");
    }
    assert!(served > 300, "only {served} were served: a poor test");
}
