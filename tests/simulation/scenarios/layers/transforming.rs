//! A transforming layer: the session inside it must notice no difference.

use std::io::ErrorKind;

use oneloop::layer::{Compose, Layered, Transformed};
use oneloop::{CloseReason, EndReason, Event, Limits, Next, Service};
use oneloop_sim::{Client, Faults, Network, Rng, Simulation, Status};

use super::super::probe::*;
use super::rig;
use super::strict::{Strict, answered};
use oneloop_swarm::swarm::cipher::{Cipher, Frame, HANDSHAKE, KEY_BYTES, OVERHEAD, Stream};

type Ciphered = Layered<Transformed<Cipher>, Strict>;

/// A run: the commands, and the configuration of the server.
struct Run {
    seed: u64,
    limits: Limits,
    commands: Vec<u8>,
    frame_bytes_max: usize,
    plain_bytes_max: usize,
    random: Rng,
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut random = Rng::new(seed);
        let frame_bytes_max = random.magnitude(1..=2_000) as usize;
        let input = random.magnitude(frame_bytes_max as u64 + 8..=20_000) as usize;
        let mark = random.magnitude(1..=5_000) as usize;
        let output_max = (mark + input + 9_000) * (1 + OVERHEAD);
        Self {
            seed,
            limits: rig::limits(&mut random, input, (mark, output_max)),
            commands: rig::commands(&mut random, 60),
            frame_bytes_max,
            plain_bytes_max: random.magnitude(2..=10_000) as usize,
            random,
        }
    }

    fn ciphered(&self) -> Ciphered {
        let cipher = Cipher {
            frame_bytes_max: self.frame_bytes_max,
        };
        Strict::default().with(Transformed::new(cipher).plain_bytes_max(self.plain_bytes_max))
    }

    /// Returns the client's side of the wire.
    fn wire(&mut self) -> Vec<u8> {
        let mut stream = Stream::new(CLIENT_KEY);
        let mut wire = stream.hello().to_vec();
        let mut rest = &self.commands[..];
        while !rest.is_empty() {
            let most = self.frame_bytes_max.min(rest.len()) as u64;
            let (plain, behind) = rest.split_at(self.random.magnitude(1..=most) as usize);
            stream.seal(plain, &mut wire);
            rest = behind;
        }
        stream.seal(&[], &mut wire);
        wire
    }

    fn expected(&self) -> Vec<u8> {
        rig::answer(&self.commands)
    }
}

/// Deciphers the server's wire, up to the last whole frame. Returns whether its stream has ended.
fn decipher(wire: &[u8]) -> (Vec<u8>, bool) {
    let mut plain = Vec::new();
    let Some((key, mut wire)) = wire.split_first_chunk::<KEY_BYTES>() else {
        return (plain, false);
    };
    let mut stream = Stream::new(u32::from_be_bytes(*key));
    loop {
        match stream.open(wire, &mut plain) {
            Frame::Incomplete => return (plain, false),
            Frame::Whole { wire_bytes } => wire = &wire[wire_bytes..],
            Frame::End { wire_bytes } => {
                assert_eq!(wire.len(), wire_bytes, "bytes after the end");
                return (plain, true);
            }
            Frame::Wrong => panic!("a wrong frame"),
        }
    }
}

/// Draws faults in spite of which every byte arrives, stalls of the process included.
fn faults_and_stalls(random: &mut Rng) -> Faults {
    Faults {
        stalls: random.choose(&[0.0, 0.01]),
        ..rig::mild_faults(random)
    }
}

/// Returns a server on a network with faults, and a client that has sent `bytes`.
fn serving<S: Service, const EDGE: bool>(
    run: &mut Run,
    service: S,
    (faults, bytes): (Faults, &[u8]),
) -> (Simulation<S, EDGE>, Client) {
    let network = Network::<EDGE>::new(run.seed);
    network.set_faults(faults);
    let mut simulation = Simulation::with_network(network, service, run.limits.clone());
    let client = simulation.connect_over(rig::link(&mut run.random));
    client.send(bytes);
    (simulation, client)
}

fn commands_are_run_bare<const EDGE: bool>(seed: u64) -> Strict {
    let mut run = Run::new(seed);
    let (faults, commands) = (faults_and_stalls(&mut run.random), run.commands.clone());
    let (mut simulation, client) =
        serving::<_, EDGE>(&mut run, Strict::default(), (faults, &commands));
    client.finish();
    simulation.run_for(HOUR);
    assert!(client.received() == run.expected(), "seed {seed}");
    assert_eq!(simulation.reactor().usage(), Default::default());
    std::mem::take(simulation.reactor_mut().service_mut())
}

fn commands_are_run_behind_the_cipher<const EDGE: bool>(seed: u64) -> Strict {
    let mut run = Run::new(seed);
    let (faults, wire) = (faults_and_stalls(&mut run.random), run.wire());
    let service = run.ciphered();
    let (mut simulation, client) = serving::<_, EDGE>(&mut run, service, (faults, &wire));
    if run.random.random_bool(0.5) {
        client.finish();
    }
    simulation.run_for(HOUR);
    let (plain, ended) = decipher(&client.received());
    let expected = run.expected();
    let (got, want) = (plain.len(), expected.len());
    let ended_as = &simulation.reactor().service().inner().ended;
    assert!(
        plain == expected,
        "seed {seed}: {got} of {want} bytes, {ended_as:?}"
    );
    assert!(ended, "seed {seed}: no end of stream");
    let strict = simulation.reactor().service().inner();
    assert_eq!(strict.ended, [EndReason::Eof], "seed {seed}");
    let most = run.plain_bytes_max + run.frame_bytes_max;
    assert!(strict.unread_max <= most, "seed {seed}: {most}");
    assert_eq!(simulation.reactor().usage(), Default::default());
    std::mem::take(simulation.reactor_mut().service_mut().inner_mut())
}

#[test]
fn contract_holds_for_a_bare_session() {
    let (mut pieces, mut full) = (0, 0);
    for seed in 0..100 {
        for strict in [
            commands_are_run_bare::<true>(seed),
            commands_are_run_bare::<false>(seed),
        ] {
            pieces += strict.pieces;
            full += strict.full;
        }
    }
    assert!(pieces > 1000 && full > 1000, "{pieces} {full}: a poor test");
}

#[test]
fn contract_holds_behind_a_transformation_under_faults() {
    let (mut pieces, mut full) = (0, 0);
    for seed in 0..200 {
        for strict in [
            commands_are_run_behind_the_cipher::<true>(seed),
            commands_are_run_behind_the_cipher::<false>(seed),
        ] {
            pieces += strict.pieces;
            full += strict.full;
        }
    }
    assert!(pieces > 1000 && full > 1000, "{pieces} {full}: a poor test");
}

/// Whatever happens, a peer gets a prefix of the right bytes, an end only behind all of them, and
/// nothing outlives its connection.
#[test]
fn output_behind_a_transformation_is_a_prefix_under_all_faults() {
    let mut whole = 0;
    for seed in 0..300 {
        let mut run = Run::new(seed);
        let (faults, wire) = (Faults::sample(&mut run.random), run.wire());
        let sent = run.random.below(wire.len() + 1);
        let service = run.ciphered();
        let (mut simulation, client) = serving::<_, true>(&mut run, service, (faults, &wire));
        client.send(&wire[..sent]);
        simulation.run_for(ms(run.random.magnitude(1..=10_000)));
        match run.random.below(4) {
            0 => client.reset(),
            1 => client.finish(),
            2 => client.close(),
            _ => {}
        }
        let (plain, ended) = decipher(&client.received());
        assert!(run.expected().starts_with(&plain), "seed {seed}");
        assert!(!ended || plain == run.expected(), "seed {seed}");
        whole += u32::from(ended);
        simulation.network().set_faults(Faults::NONE);
        simulation.drain();
        let strict = simulation.reactor().service().inner();
        assert_eq!(strict.ended.len(), strict.opened as usize, "seed {seed}");
        assert_eq!(simulation.reactor().usage(), Default::default());
        assert_eq!(simulation.network().descriptors_open(), 0);
    }
    assert!(whole > 10, "only {whole} were whole: a poor test");
}

/// A fixed run, whose input is cut at every place, and whose output has room for every number of
/// bytes.
fn fixed(frame_bytes_max: usize) -> Run {
    let mut run = Run::new(0);
    run.commands = b"w\x09s\x20nnw\x30a!p\x05w\x01s\x01n.".to_vec();
    run.frame_bytes_max = frame_bytes_max;
    run.plain_bytes_max = 64;
    run.limits = Limits::default();
    run
}

#[track_caller]
fn assert_served(run: &Run, chunks: &[&[u8]], case: &str) {
    let mut simulation = Simulation::new(run.ciphered(), run.limits.clone(), 1);
    let client = simulation.connect();
    for chunk in chunks {
        client.send(chunk);
        simulation.run_for(ms(300));
    }
    client.finish();
    simulation.run_for(SECOND);
    let (plain, ended) = decipher(&client.received());
    assert!(ended && plain == run.expected(), "{case}");
    assert_eq!(simulation.reactor().usage(), Default::default(), "{case}");
}

#[test]
fn input_cut_at_every_place_is_deciphered() {
    for frame_bytes_max in [1, 3, 100] {
        let mut run = fixed(frame_bytes_max);
        let wire = run.wire();
        for cut in 0..=wire.len() {
            let (head, tail) = wire.split_at(cut);
            assert_served(&run, &[head, tail], &format!("cut at {cut}"));
        }
        let bytes: Vec<_> = wire.chunks(1).collect();
        assert_served(&run, &bytes, "each byte alone");
    }
}

#[test]
fn output_with_room_for_every_number_of_bytes_is_whole() {
    for frame_bytes_max in [1, 3, 100] {
        let mut run = fixed(frame_bytes_max);
        let wire = run.wire();
        for mark in 1..=80 {
            run.limits.output_bytes_mark = mark;
            assert_served(&run, &[&wire], &format!("a mark of {mark}"));
        }
    }
}

#[test]
fn plaintext_of_every_maximum_is_presented() {
    let mut run = fixed(7);
    let wire = run.wire();
    for most in 2..=40 {
        run.plain_bytes_max = most;
        assert_served(&run, &[&wire], &format!("at most {most}"));
    }
}

/// Returns a server behind the cipher, and a client that has sent `wire`.
fn greeted(wire: &[u8]) -> (Simulation<Ciphered>, Client) {
    let mut simulation = Simulation::new(fixed(100).ciphered(), Limits::default(), 1);
    let client = simulation.connect();
    client.send(wire);
    simulation.run_for(ms(500));
    (simulation, client)
}

#[test]
fn wire_that_ends_in_a_stream_is_an_error_behind_its_answers() {
    let mut run = fixed(100);
    let wire = run.wire();
    for cut in 1..=3 {
        let (mut simulation, client) = greeted(&wire[..wire.len() - cut]);
        client.finish();
        simulation.run_for(SECOND);
        let (plain, ended) = decipher(&client.received());
        let all = run.expected();
        assert_eq!(plain, all[..all.len() - 1], "all but the answer to the end");
        assert!(!ended, "an end that looks complete");
        let strict = simulation.reactor().service().inner();
        assert_eq!(strict.ended, [EndReason::ProtocolError]);
    }
}

#[test]
fn wrong_frame_ends_the_connection() {
    let mut wire = fixed(100).wire();
    let last = wire.len() - 2 * OVERHEAD;
    wire[last] ^= 1;
    let (mut simulation, client) = greeted(&wire);
    client.close();
    simulation.run_for(SECOND);
    let strict = simulation.reactor().service().inner();
    assert_eq!(strict.ended, [EndReason::ProtocolError]);
}

#[test]
fn paused_session_with_full_plaintext_loses_nothing() {
    let mut run = fixed(100);
    run.plain_bytes_max = 3;
    let mut stream = Stream::new(CLIENT_KEY);
    let mut wire = stream.hello().to_vec();
    stream.seal(b"p\xff", &mut wire);
    let mut simulation = Simulation::new(run.ciphered(), Limits::default(), 1);
    let client = simulation.connect();
    client.send(&wire);
    simulation.run_for(ms(50));
    let mut more = Vec::new();
    (0..10).for_each(|_| stream.seal(b"n.", &mut more));
    client.send(&more);
    simulation.run_for(ms(100));
    assert_eq!(simulation.reactor().open_connections(), 1);
    simulation.run_for(ms(500));
    let (plain, _) = decipher(&client.received());
    assert_eq!(plain.len(), 11);
}

/// Returns a server behind the cipher whose sessions run `act`, and a client that has sent frames
/// with these contents.
fn probed(
    frames: &[&[u8]],
    act: impl FnMut(Step<'_, '_>) -> Next + 'static,
) -> (Simulation<Layered<Transformed<Cipher>, Probe>>, Client) {
    let mut stream = Stream::new(CLIENT_KEY);
    let mut wire = stream.hello().to_vec();
    frames
        .iter()
        .for_each(|plain| stream.seal(plain, &mut wire));
    let cipher = Transformed::new(Cipher {
        frame_bytes_max: 1000,
    });
    let service = Probe::new(act).with(cipher.plain_bytes_max(100));
    let mut simulation = Simulation::new(service, Limits::default(), 1);
    let client = simulation.connect();
    client.send(&wire);
    simulation.run_for(ms(10));
    (simulation, client)
}

#[test]
fn plaintext_that_is_never_read_ends_the_connection() {
    let (mut simulation, client) = probed(&[&[1; 60], &[2; 40]], |step| step.read_for(MINUTE));
    assert_eq!(simulation.reactor().service().inner().end(0), None);
    let mut stream = Stream::new(CLIENT_KEY);
    stream.seal(&[0; 100], &mut Vec::new());
    let mut wire = Vec::new();
    stream.seal(b"x", &mut wire);
    client.send(&wire);
    client.finish();
    simulation.run_for(SECOND);
    let end = simulation.reactor().service().inner().end(0);
    assert_eq!(end, Some(EndReason::ProtocolError));
}

#[test]
fn plaintext_that_fills_its_maximum_may_be_the_last() {
    let (simulation, _) = probed(&[&[1; 60], &[2; 40], b""], |mut step| match step.event {
        Event::Eof => {
            assert_eq!(step.take().len(), 100);
            Next::Close(CloseReason::Eof)
        }
        _ => step.read_for(MINUTE),
    });
    let events = simulation.reactor().service().inner().events(0);
    assert_eq!(events, [Event::Open, Event::Data, Event::Eof]);
}

#[test]
fn nested_output_above_the_maximum_ends_with_a_reset() {
    let most = Limits::default().output_bytes_max;
    let (mut simulation, client) = probed(&[b"x"], move |mut step| {
        if !step.take().is_empty() {
            step.cx.write(&vec![0; most]);
        }
        step.read_for(MINUTE)
    });
    simulation.run_for(SECOND);
    let end = simulation.reactor().service().inner().end(0);
    assert_eq!(end, Some(EndReason::OutputOverflow));
    assert_eq!(client.status(), Status::Failed(ErrorKind::ConnectionReset));
}

#[test]
fn panic_behind_a_transformation_ends_one_session_alone() {
    let mark = Limits::default().output_bytes_mark;
    let mut room_before = None;
    let (mut simulation, first) = probed(&[b"x"], move |mut step| {
        let input = step.take();
        if step.event == Event::Data {
            let room = step.cx.room();
            assert!(room > mark - 100 && room < mark);
            if input == b"!" {
                room_before = Some(room);
            } else if let Some(before) = room_before {
                assert_eq!(room, before, "the panic has taken room away");
            }
            step.cx.write(&input);
            assert!(input != b"!", "as planned");
        }
        step.read_for(MINUTE)
    });
    let mut others = [Stream::new(1), Stream::new(2)].map(|mut stream| {
        let client = simulation.connect();
        client.send(&stream.hello());
        let mut wire = Vec::new();
        stream.seal(
            if stream.hello() == [0, 0, 0, 1] {
                b"!"
            } else {
                b"y"
            },
            &mut wire,
        );
        (client, wire)
    });
    for (client, wire) in &mut others {
        simulation.run_for(ms(10));
        client.send(wire);
    }
    simulation.run_for(ms(10));
    let [(panicked, _), (other, _)] = &others;
    assert_eq!(
        panicked.status(),
        Status::Failed(ErrorKind::ConnectionReset)
    );
    assert_eq!(decipher(&other.received()).0, b"y");
    assert_eq!(decipher(&first.received()).0, b"x");
    assert_eq!(
        simulation.reactor().service().inner().end(1),
        Some(EndReason::Panicked)
    );
}

#[test]
fn handshake_has_a_deadline_of_its_own() {
    let (mut simulation, client) = greeted(&CLIENT_KEY.to_be_bytes()[..3]);
    simulation.run_for(HANDSHAKE - SECOND);
    assert_eq!(simulation.reactor().open_connections(), 1);
    simulation.run_for(SECOND);
    client.close();
    simulation.run_for(SECOND);
    let strict = simulation.reactor().service().inner();
    assert_eq!(strict.ended, [EndReason::Timeout]);
    assert_eq!(client.received(), b"");
}

#[test]
fn drain_ends_a_handshake_and_lets_a_session_answer() {
    let mut stream = Stream::new(CLIENT_KEY);
    let mut wire = stream.hello().to_vec();
    stream.seal(b"w\x09", &mut wire);
    let (mut simulation, client) = greeted(&wire);
    let silent = simulation.connect();
    let mut more = Vec::new();
    stream.seal(b"w\x0a", &mut more);
    client.send(&more);
    simulation.drain();
    let (plain, ended) = decipher(&client.received());
    assert!(ended);
    assert_eq!(plain.len(), answered(b"w\x09w\x0a"));
    assert_eq!(silent.received(), b"");
    let mut ended = simulation.reactor().service().inner().ended.clone();
    ended.sort_by_key(|&reason| reason as u8);
    assert_eq!(ended, [EndReason::Shutdown, EndReason::Shutdown]);
}

const CLIENT_KEY: u32 = 0x5eed_1e55;
