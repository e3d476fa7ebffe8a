//! The forwarder between simulated clients and servers that send, finish, stall and reset as they
//! like.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;

use oneloop::net::Net;
use oneloop_sim::{Faults, LinkProfile, Network, RemotePeer, Rng, Script, Simulation, Status};

use super::*;

/// One end's program: what it sends and when it resets, and a check of what it receives.
struct Side {
    random: Rng,
    sends: Stream,
    receives: Stream,
    /// Bytes to send; then the end of the stream.
    unsent: usize,
    /// Sends only after the other side has finished.
    answers: bool,
    /// Reads only after it has sent everything.
    reads_late: bool,
    /// Resets the connection once so many bytes are left to send.
    resets_at: Option<usize>,
    finished: bool,
    end: Rc<RefCell<Outcome>>,
}

/// The state of one side, for the test.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Outcome {
    sent: usize,
    received: usize,
    finished: bool,
    at_end: bool,
    broken: bool,
    wrong: bool,
}

/// A stream of bytes that a seed and a position determine.
#[derive(Clone, Copy)]
struct Stream {
    seed: u64,
    position: usize,
}

impl Stream {
    fn next(&mut self, bytes: usize) -> Vec<u8> {
        let from = self.position;
        self.position += bytes;
        let byte = |at: usize| {
            (self.seed as usize)
                .wrapping_mul(31)
                .wrapping_add((at * at) >> 3)
        };
        (from..self.position).map(|at| byte(at) as u8).collect()
    }
}

impl Side {
    fn read(&mut self, remote: &mut RemotePeer<'_>) {
        let (mut bytes, most) = (Vec::new(), self.random.magnitude(1..=20_000) as usize);
        remote.read(most, &mut bytes);
        let mut end = self.end.borrow_mut();
        end.wrong |= bytes != self.receives.next(bytes.len());
        end.received += bytes.len();
        let open = remote.status() == Status::Open;
        end.at_end |= open && remote.at_end();
        end.broken |= !open && !end.at_end;
    }

    fn write(&mut self, remote: &mut RemotePeer<'_>) {
        if self.unsent > 0 && remote.unsent() < 50_000 {
            let bytes = self.unsent.min(self.random.magnitude(1..=40_000) as usize);
            remote.send(&self.sends.next(bytes));
            self.unsent -= bytes;
            self.end.borrow_mut().sent += bytes;
        }
        if self.unsent == 0 && !self.finished {
            remote.finish();
            self.finished = true;
            self.end.borrow_mut().finished = true;
        }
    }
}

impl Script for Side {
    fn run(&mut self, remote: &mut RemotePeer<'_>) -> Option<Time> {
        if self.resets_at.is_some_and(|at| self.unsent <= at) {
            self.end.borrow_mut().broken = true;
            remote.reset();
            return None;
        }
        if !self.reads_late || self.finished && remote.unsent() == 0 {
            self.read(remote);
        }
        if !self.answers || self.end.borrow().at_end {
            self.write(remote);
        }
        let end = self.end.borrow();
        let pause = self.random.duration_up_to(Duration::from_millis(50));
        (!(end.at_end && end.finished || end.broken)).then(|| remote.now() + pause)
    }
}

/// One client and its server.
struct Conversation {
    client: Rc<RefCell<Outcome>>,
    server: Rc<RefCell<Outcome>>,
    resets: bool,
}

fn side(random: &mut Rng, (seed, way): (u64, u64), most: u64) -> Side {
    let stream = |way| Stream {
        seed: 2 * seed + way,
        position: 0,
    };
    let unsent = random.magnitude(1..=most) as usize;
    Side {
        random: Rng::new(random.bits()),
        sends: stream(way),
        receives: stream(1 - way),
        unsent,
        answers: false,
        reads_late: random.random_bool(0.2),
        resets_at: random.random_bool(0.1).then_some(unsent / 2),
        finished: false,
        end: Rc::default(),
    }
}

const UPSTREAM: &str = "10.1.0.1:7000";

/// Lets one client talk to one server through the forwarder.
fn converse<const EDGE: bool>(seed: u64, faults: Faults, drain: bool) -> Conversation {
    let mut random = Rng::new(seed);
    let network = Network::<EDGE>::new(seed);
    network.set_faults(faults);
    let upstream: SocketAddr = UPSTREAM.parse().expect("an address");
    let mut link = LinkProfile::sample(&mut random);
    link.bytes_per_second = link.bytes_per_second.max(10_000);
    link.receive_buffer_bytes = link.receive_buffer_bytes.max(1000);
    link.segment_bytes = 1..=(*link.segment_bytes.end()).max(1000);
    let most = match link.bytes_per_second {
        ..1_000_000 => 200_000,
        _ => 2_000_000,
    };
    let mut client = side(&mut random, (seed, 0), most);
    let mut server = side(&mut random, (seed, 1), most);
    (server.answers, client.answers) = match random.below(4) {
        0 => (true, false),
        _ => (false, false),
    };
    server.reads_late &= !server.answers && !client.reads_late; // or neither ever reads
    let conversation = Conversation {
        client: Rc::clone(&client.end),
        server: Rc::clone(&server.end),
        resets: client.resets_at.is_some() || server.resets_at.is_some(),
    };
    let server = RefCell::new(Some(server));
    network.serve(upstream, move || server.take().expect("one connection"));
    let service = Forward {
        upstream: Address::Ip(upstream),
        pairs: HashMap::new(),
    };
    let limits = Limits {
        drain_timeout: Duration::from_secs(100_000),
        write_timeout: Duration::from_secs(10_000), // for ends that read late
        ..Limits::for_messages_up_to(PIPE_BYTES)
    };
    let mut simulation = Simulation::with_network(network, service, limits);
    let from = SocketAddr::from(([10, 2, 0, 1], 4000));
    let to = simulation.address();
    let network = simulation.network();
    network.connect_at(Time::START, (from, to), link, client);
    if drain {
        simulation.run_for(Duration::from_millis(200));
        simulation.reactor_mut().drain();
    }
    simulation.run_for(Duration::from_secs(100_000));
    // The network delivers what is under way when the loop has stopped.
    let mut network = simulation.network().clone();
    for _ in 0..1000 {
        // It may be interrupted: that is one of the faults.
        let _ = network.poll(&mut Default::default(), Some(Duration::from_secs(100)));
    }
    assert_eq!(simulation.reactor().open_connections(), 0, "seed {seed}");
    assert!(
        simulation.reactor().service().pairs.is_empty(),
        "seed {seed}"
    );
    conversation
}

fn check(seed: u64, conversation: &Conversation, may_break: bool) -> bool {
    let (client, server) = (*conversation.client.borrow(), *conversation.server.borrow());
    assert!(!client.wrong && !server.wrong, "seed {seed}: a wrong byte");
    let whole = client.at_end && server.at_end;
    let complete = whole && client.received == server.sent && server.received == client.sent;
    if !may_break && !conversation.resets {
        assert!(complete, "seed {seed}: {client:?} {server:?}");
    }
    for (one, other) in [(client, server), (server, client)] {
        // An end of stream means that everything has come.
        let whole = other.finished && one.received == other.sent;
        // The loop refuses a client with a clean end, before anything is forwarded.
        let refused = one.received == 0 && other == Outcome::default();
        assert!(
            !one.at_end || whole || refused,
            "seed {seed}: {client:?} {server:?}"
        );
    }
    complete
}

#[test]
fn forwarded_streams_arrive_whole_without_faults() {
    for seed in 0..300 {
        let conversation = match seed % 2 {
            0 => converse::<true>(seed, Faults::NONE, false),
            _ => converse::<false>(seed, Faults::NONE, false),
        };
        check(seed, &conversation, false);
    }
}

#[test]
fn forwarded_streams_under_faults_have_no_wrong_byte() {
    let mut complete = 0;
    for seed in 0..500 {
        let faults = Faults::sample(&mut Rng::new(seed));
        let conversation = converse::<true>(seed, faults, false);
        complete += usize::from(check(seed, &conversation, true));
    }
    assert!(complete > 200, "only {complete} of 500 were complete");
}

#[test]
fn drain_lets_forwarded_streams_finish() {
    for seed in 0..60 {
        let conversation = converse::<true>(seed, Faults::NONE, true);
        check(seed, &conversation, false);
    }
}
