//! Several listeners, each with limits of its own, and Unix-domain sockets.

use std::net::SocketAddr;

use oneloop::{
    BuildError, CloseReason, Connect, EndReason, Event, Limits, Listen, Next, PeerAddress, Reactor,
    Tag, Turn, WhenFull,
};
use oneloop_sim::{Client, LinkProfile, Network, RemotePeer, Script, Simulation};

use super::probe::*;

const PUBLIC: ([u8; 4], u16) = ([10, 0, 0, 1], 80);
const ADMIN: ([u8; 4], u16) = ([10, 0, 0, 1], 81);
const SOCKET: &str = "/run/server.sock";

fn public() -> Listen {
    Listen::tcp(SocketAddr::from(PUBLIC)).name("public")
}

fn admin() -> Listen {
    Listen::tcp(SocketAddr::from(ADMIN)).name("admin")
}

fn serve<const N: usize>(limits: Limits, listeners: [Listen; N]) -> Simulation<Probe> {
    serve_probe(Probe::new(echo), limits, listeners)
}

fn serve_probe<const N: usize>(
    probe: Probe,
    limits: Limits,
    listeners: [Listen; N],
) -> Simulation<Probe> {
    let builder = Reactor::builder(probe).limits(limits);
    let builder = listeners
        .into_iter()
        .fold(builder, |all, one| all.listen(one));
    Simulation::from_builder(Network::new(1), builder)
}

fn few(connections_max: usize) -> Limits {
    Limits {
        connections_max,
        ..Limits::default()
    }
}

/// Returns true if the server echoes for this client.
fn is_served(simulation: &mut Simulation<Probe>, client: &Client) -> bool {
    client.send(b"hello");
    simulation.run_for(SECOND);
    client.received() == b"hello"
}

/// Connects as many clients as there are places, and returns those that are served.
fn fill(simulation: &mut Simulation<Probe>, listener: &str, tries: usize) -> Vec<Client> {
    let clients: Vec<_> = (0..tries)
        .map(|_| simulation.connect_to(listener))
        .collect();
    let served = clients.into_iter();
    served
        .filter(|client| is_served(simulation, client))
        .collect()
}

#[test]
fn session_has_the_name_of_its_listener() {
    let mut simulation = serve(Limits::default(), [public(), admin()]);
    let _clients = ["admin", "public", "admin"].map(|name| {
        let client = simulation.connect_to(name);
        simulation.run_for(ms(10));
        client
    });
    let peers = &simulation.reactor().service().peers;
    let ids = peers
        .iter()
        .map(|peer| peer.listener.expect("it was accepted"));
    let (names, indices): (Vec<_>, Vec<_>) = ids.map(|id| (id.name(), id.index())).unzip();
    assert_eq!(names, ["admin", "public", "admin"]);
    assert_eq!(indices, [1, 0, 1]);
    let local: Vec<_> = peers.iter().filter_map(|peer| peer.local).collect();
    assert_eq!(local, [ADMIN, PUBLIC, ADMIN].map(SocketAddr::from));
}

#[test]
fn session_of_a_wildcard_listener_has_the_address_that_its_peer_connected_to() {
    let any = Listen::tcp(SocketAddr::from(([0, 0, 0, 0], 80)));
    let mut simulation = serve(Limits::default(), [any]);
    let (from, to) = ("10.0.0.2:1".parse().unwrap(), SocketAddr::from(PUBLIC));
    let network = simulation.network().clone();
    let client = network.connect(from, to, LinkProfile::ideal());
    assert!(is_served(&mut simulation, &client));
    assert_eq!(simulation.reactor().service().peers[0].local, Some(to));
}

#[test]
fn full_listener_refuses_while_another_one_has_places() {
    let limited = public().connections_max(2);
    let mut simulation = serve(Limits::default(), [limited, admin()]);
    simulation.reactor_mut().service_mut().refusal = b"full".to_vec();
    let served = fill(&mut simulation, "public", 3);
    assert_eq!(served.len(), 2);
    assert_eq!(fill(&mut simulation, "admin", 3).len(), 3);
    let counters = simulation.reactor().counters();
    assert_eq!(counters.ended(EndReason::ServerFull), 1);
    served[0].close();
    simulation.run_for(SECOND);
    assert_eq!(fill(&mut simulation, "public", 2).len(), 1);
}

#[test]
fn reserved_places_answer_while_the_server_is_full() {
    let mut simulation = serve(few(5), [public(), admin().reserve(2)]);
    let public = fill(&mut simulation, "public", 5);
    assert_eq!(public.len(), 3, "two places are kept");
    let admin = fill(&mut simulation, "admin", 3);
    assert_eq!(admin.len(), 2, "all places are taken");
    admin[0].close();
    simulation.run_for(SECOND);
    assert_eq!(fill(&mut simulation, "public", 1).len(), 0);
    assert_eq!(fill(&mut simulation, "admin", 1).len(), 1);
}

#[test]
fn listener_queues_while_another_one_refuses() {
    let queueing = public().connections_max(1).when_full(WhenFull::Queue);
    let refusing = admin().connections_max(1);
    let mut simulation = serve(Limits::default(), [queueing, refusing]);
    let clients = ["public", "admin"].map(|name| {
        let first = simulation.connect_to(name);
        assert!(is_served(&mut simulation, &first));
        (first, simulation.connect_to(name))
    });
    let [(first, queued), (_inside, refused)] = &clients;
    assert!(!is_served(&mut simulation, queued));
    assert!(!is_served(&mut simulation, refused));
    assert!(!queued.at_end() && refused.at_end());
    first.close();
    simulation.run_for(SECOND);
    assert_eq!(queued.received(), b"hello");
}

#[test]
fn listener_has_a_backlog_of_its_own() {
    let short = public().backlog(2).connections_max(1);
    let mut simulation = serve(Limits::default(), [short.when_full(WhenFull::Queue)]);
    let clients: Vec<_> = (0..5).map(|_| simulation.connect_to("public")).collect();
    simulation.run_for(5 * SECOND);
    let connected = clients.iter();
    let connected = connected.filter(|one| one.status() == oneloop_sim::Status::Open);
    assert_eq!(connected.count(), 2 + 1, "one is served and two wait");
}

#[test]
fn refusal_names_the_listener() {
    let listeners = [public(), admin()].map(|listener| listener.connections_max(1));
    let mut simulation = serve(Limits::default(), listeners);
    let _inside = ["public", "admin"].map(|name| simulation.connect_to(name));
    simulation.run_for(ms(10));
    let refused = ["public", "admin"].map(|name| simulation.connect_to(name));
    simulation.run_for(SECOND);
    let [public, admin] = refused.map(|client| client.received());
    assert_eq!((public, admin), (b"public".to_vec(), b"admin".to_vec()));
}

#[test]
fn listener_that_drains_last_serves_until_the_others_have_ended() {
    let probe = Probe::new(|mut step| {
        let is_admin = step.number > 0;
        match step.event {
            // Busy with its last request for five seconds.
            Event::Drain if !is_admin => step.pause_for(5 * SECOND),
            Event::Timeout => Next::Close(CloseReason::Completed),
            _ => {
                let input = step.take();
                step.cx.write(&input);
                match step.event {
                    Event::Drain => Next::Close(CloseReason::Shutdown),
                    _ => step.read_for(MINUTE),
                }
            }
        }
    });
    let mut simulation = serve_probe(probe, Limits::default(), [public(), admin().drain_last()]);
    let main = simulation.connect_to("public");
    simulation.run_for(ms(10));
    let early = simulation.connect_to("admin");
    simulation.run_for(ms(10));
    simulation.network().stop();
    simulation.run_for(SECOND);
    let refused = simulation.connect_to("public");
    let late = simulation.connect_to("admin");
    assert!(is_served(&mut simulation, &early));
    assert!(is_served(&mut simulation, &late));
    assert!(!is_served(&mut simulation, &refused));
    assert!(!main.at_end());
    simulation.run_for(2 * SECOND);
    assert!(main.at_end());
    main.close();
    let stopped = simulation.drain();
    assert_eq!(stopped.aborted, 0);
    assert!(early.at_end() && late.at_end());
    let probe = simulation.reactor().service();
    assert_eq!(probe.end(1), Some(EndReason::Shutdown));
    assert_eq!(probe.count(Call::Step(0, Event::Drain)), 1);
    assert_eq!(simulation.reactor().usage(), Default::default());
}

#[test]
fn listener_that_drains_last_has_a_tenth_of_the_time_at_least() {
    let probe = Probe::new(|step| match (step.number, step.event) {
        (1, Event::Drain) => Next::Close(CloseReason::Shutdown),
        _ => step.read_for(MINUTE),
    });
    let mut simulation = serve_probe(probe, Limits::default(), [public(), admin().drain_last()]);
    let _stubborn = simulation.connect_to("public");
    simulation.run_for(ms(10));
    let admin = simulation.connect_to("admin");
    simulation.run_for(ms(10));
    simulation.network().stop();
    assert_eq!(simulation.run_for(9 * SECOND - ms(1)), Turn::Running);
    assert!(!admin.at_end());
    simulation.run_for(ms(10));
    assert!(admin.at_end());
    admin.close();
    assert_eq!(simulation.drain().aborted, 1);
    assert_eq!(
        simulation.reactor().service().end(0),
        Some(EndReason::DrainTimeout)
    );
}

fn bye(step: Step<'_, '_>) -> Next {
    match step.event {
        Event::Drain => Next::Close(CloseReason::Shutdown),
        _ => step.read_for(MINUTE),
    }
}

#[test]
fn queue_without_a_place_does_not_hold_up_what_drains_last() {
    let listeners = [public().when_full(WhenFull::Queue), admin().drain_last()];
    let mut simulation = serve_probe(Probe::new(bye), few(1), listeners);
    let admin = simulation.connect_to("admin");
    simulation.run_for(ms(10));
    let queued = simulation.connect_to("public");
    simulation.network().stop();
    simulation.run_for(SECOND);
    assert!(admin.at_end());
    admin.close();
    assert_eq!(simulation.drain().aborted, 0);
    assert!(queued.at_end());
    let probe = simulation.reactor().service();
    assert_eq!(probe.end(1), Some(EndReason::Shutdown));
}

#[test]
fn listener_that_never_has_a_place_does_not_hold_up_the_drain() {
    let listeners = [
        public().when_full(WhenFull::Queue),
        admin().reserve(1).drain_last(),
    ];
    let mut simulation = serve(few(1), listeners);
    simulation.run_for(ms(10));
    let begun = simulation.network().time();
    assert_eq!(simulation.drain().aborted, 0);
    assert!(simulation.network().time() - begun < SECOND);
}

#[test]
fn connection_in_the_queue_of_a_listener_that_drains_last_is_served() {
    let mut simulation = serve(Limits::default(), [admin().drain_last()]);
    let clients: Vec<_> = (0..100).map(|_| simulation.connect_to("admin")).collect();
    clients.iter().for_each(|client| client.send(b"hello"));
    assert_eq!(simulation.drain().aborted, 0);
    assert!(clients.iter().all(|client| client.received() == b"hello"));
}

#[test]
fn unix_peers_are_served_and_share_no_limit_of_addresses() {
    let limits = Limits {
        connections_per_address_max: Some(1),
        ..Limits::default()
    };
    let local = Listen::unix(SOCKET).name("local");
    let mut simulation = serve(limits, [public(), local]);
    assert_eq!(fill(&mut simulation, "local", 3).len(), 3);
    assert_eq!(fill(&mut simulation, "public", 3).len(), 1);
    let peer = simulation.reactor().service().peers[0];
    assert_eq!((peer.address, peer.local), (PeerAddress::Unix, None));
    assert_eq!(peer.listener.map(|id| id.name()), Some("local"));
    let counters = simulation.reactor().counters();
    assert_eq!(counters.ended(EndReason::AddressLimit), 2);
    simulation.drain();
    assert_eq!(simulation.reactor().usage(), Default::default());
}

/// Echoes its input.
struct Mirror;

impl Script for Mirror {
    fn run(&mut self, remote: &mut RemotePeer<'_>) -> Option<oneloop::Time> {
        let mut heard = Vec::new();
        remote.read(usize::MAX, &mut heard);
        remote.send(&heard);
        None
    }
}

#[test]
fn outbound_connection_to_a_unix_socket_is_a_session() {
    let mut simulation = simulate(Limits::default(), |mut step| {
        let answer = step.take();
        match step.event {
            Event::Open => step.cx.write(b"hello"),
            Event::Data => {
                assert_eq!(answer, b"hello");
                return Next::Close(CloseReason::Completed);
            }
            _ => {}
        }
        step.read_for(MINUTE)
    });
    simulation.network().serve_unix(SOCKET, || Mirror);
    let reactor = simulation.reactor_mut();
    reactor.connect(Connect::unix(SOCKET).tag(Tag::new(1)));
    reactor.connect(Connect::unix("/run/none.sock").tag(Tag::new(2)));
    simulation.run_for(SECOND);
    let probe = simulation.reactor().service();
    let [peer] = probe.peers[..] else {
        panic!("one session: {:?}", probe.peers);
    };
    assert_eq!((peer.address, peer.local), (PeerAddress::Unix, None));
    assert_eq!(peer.tag, Some(Tag::new(1)));
    assert!(probe.calls().contains(&Call::ConnectFailed(
        2,
        std::io::ErrorKind::ConnectionRefused
    )));
}

#[test]
fn builder_names_the_listener_that_cannot_be_opened_and_opens_none() {
    let network: Network = Network::new(1);
    let builder = Reactor::builder(Probe::new(echo))
        .listen(public())
        .listen(Listen::tcp(SocketAddr::from(PUBLIC)).name("twice"));
    let error = builder
        .build_on(network.clone())
        .err()
        .expect("it is in use");
    assert_eq!(
        error.to_string(),
        "cannot listen on 10.0.0.1:80 (twice): address in use"
    );
    let kind = std::io::Error::from(error).kind();
    assert_eq!(kind, std::io::ErrorKind::AddrInUse);
    let again = Reactor::builder(Probe::new(echo)).listen(public());
    assert!(again.build_on(network).is_ok(), "the first was closed");
}

#[test]
fn builder_refuses_to_reserve_more_places_than_there_are() {
    let builder = Reactor::builder(Probe::new(echo))
        .limits(few(4))
        .listen(public().reserve(3))
        .listen(admin().reserve(2));
    let network: Network = Network::new(1);
    let error = builder.build_on(network).err().expect("five of four");
    assert!(matches!(error, BuildError::Reserve { listener } if listener.contains("admin")));
}

#[test]
fn sockets_that_share_a_port_share_its_connections() {
    let shared = || Listen::tcp(SocketAddr::from(PUBLIC)).reuse_port();
    let listeners = [shared().name("first"), shared().name("second")];
    let mut simulation = serve(Limits::default(), listeners);
    let clients = fill(&mut simulation, "first", 10);
    assert_eq!(clients.len(), 10);
    let peers = simulation.reactor().service().peers.iter();
    let of_first = peers.filter(|peer| peer.listener.map(|id| id.name()) == Some("first"));
    assert_eq!(of_first.count(), 5);
}
