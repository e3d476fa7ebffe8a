//! Many clients of one service under all faults.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use oneloop::{Counters, EndReason, Limits, Service, Time};

use super::{CLIENTS, Faults, LinkProfile, Network, RemotePeer, Rng, Script, Simulation, Status};

/// A client of a [`storm`]: the bytes that it sends, and the only ones that it may receive.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dialog {
    /// Sent in pieces of random lengths, with random pauses. Then the client finishes sending.
    pub sends: Vec<u8>,
    /// All that the service sends until it closes the connection.
    pub expects: Vec<u8>,
}

/// The number of dialogs of a [`storm`], by their end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dialogs {
    /// All expected bytes came, and then the end of the stream.
    pub complete: usize,
    /// A fault, or the client itself, cut the connection off. The bytes before that were right.
    pub cut_off: usize,
}

/// Runs all dialogs with `service`, and checks every byte. One seed decides everything.
///
/// Each fault is active in one run of four, at a random rate. Each client has a link of its own,
/// from a loopback to a slow line. One in eight resets its connection, one in eight does not read
/// for up to 20 s. Even and odd seeds differ in the kind of poller. In the end the server is
/// drained.
///
/// # Panics
/// If a client receives a byte that it does not expect, if its stream ends before all expected
/// bytes have come, or if it has not ended after a day of virtual time. The message names the seed.
pub fn storm<S: Service>(service: S, limits: Limits, seed: u64, dialogs: &[Dialog]) -> Dialogs {
    match seed % 2 {
        0 => run(service, limits, seed, dialogs, Network::<true>::new(seed)),
        _ => run(service, limits, seed, dialogs, Network::<false>::new(seed)),
    }
}

fn run<S: Service, const SHORT_READ_DRAINS: bool>(
    service: S,
    limits: Limits,
    seed: u64,
    dialogs: &[Dialog],
    network: Network<SHORT_READ_DRAINS>,
) -> Dialogs {
    let mut random = Rng::new(seed);
    let faults = Faults::sample(&mut random);
    network.set_faults(faults);
    let mut simulation = Simulation::with_network(network, service, limits);
    let ends: Vec<_> = (1..)
        .zip(dialogs)
        .map(|(port, dialog)| connect(&simulation, port, dialog, &mut random))
        .collect();
    simulation.run_for(DAY);
    let mut ended = Dialogs::default();
    let mut broken = broken_by(faults, simulation.reactor().counters());
    for (number, end) in ends.iter().enumerate() {
        match &*end.borrow() {
            End::Complete => ended.complete += 1,
            End::CutOff => ended.cut_off += 1,
            End::EndsEarly { .. } if broken > 0 => {
                broken -= 1;
                ended.cut_off += 1;
            }
            wrong => panic!(
                "seed {seed}, dialog {number}: {wrong:?}; the server counted {:?}, with {faults:?}",
                simulation.reactor().counters()
            ),
        }
    }
    simulation.network().set_faults(Faults::NONE);
    simulation.drain();
    ended
}

/// Returns the most connections that a fault at the server's end may have ended. To their clients,
/// the stream ended early.
fn broken_by(faults: Faults, counters: &Counters) -> u64 {
    let of = |rate: f64, reason| {
        if rate > 0.0 {
            counters.ended(reason)
        } else {
            0
        }
    };
    of(faults.exhausted_accepts, EndReason::ServerFull)
        + of(faults.failed_registrations, EndReason::RegisterFailed)
        + of(faults.read_resets + faults.write_breaks, EndReason::Reset)
}

fn connect<S: Service, const SHORT_READ_DRAINS: bool>(
    simulation: &Simulation<S, SHORT_READ_DRAINS>,
    port: u16,
    dialog: &Dialog,
    random: &mut Rng,
) -> Rc<RefCell<End>> {
    let now = simulation.network().time();
    let end = Rc::new(RefCell::new(End::NotYet { received: 0 }));
    let player = Player {
        dialog: dialog.clone(),
        sent: 0,
        received: 0,
        sends_at: now,
        reads_at: now,
        pause: Duration::from_micros(random.magnitude(1..=300_000)),
        resets_after: (random.below(8) == 0).then(|| random.below(dialog.expects.len() + 1)),
        rests: random.below(8) == 0,
        end: Rc::clone(&end),
    };
    let ends = (SocketAddr::new(CLIENTS, port), simulation.address());
    let when = now + random.duration_up_to(Duration::from_millis(50));
    let mut link = LinkProfile::sample(random);
    // Through a smaller one, a kilobyte takes minutes.
    link.receive_buffer_bytes = link.receive_buffer_bytes.max(1000);
    simulation.network().connect_at(when, ends, link, player);
    end
}

/// A client of a storm.
struct Player {
    dialog: Dialog,
    sent: usize,
    received: usize,
    sends_at: Time,
    reads_at: Time,
    /// The longest pause between two pieces.
    pause: Duration,
    /// It resets the connection when it has received more bytes than this.
    resets_after: Option<usize>,
    /// It is still to stop reading once.
    rests: bool,
    end: Rc<RefCell<End>>,
}

/// The end of a dialog.
#[derive(Debug)]
#[allow(dead_code, reason = "read by `Debug`, in the message of a failure")]
enum End {
    NotYet { received: usize },
    Complete,
    CutOff,
    WrongByte { at: usize, received: Vec<u8> },
    EndsEarly { received: usize, expected: usize },
}

impl Script for Player {
    fn run(&mut self, remote: &mut RemotePeer<'_>) -> Option<Time> {
        match remote.status() {
            Status::Connecting => return None,
            Status::Open => {}
            Status::Failed(_) | Status::Closed => return self.ended(End::CutOff),
        }
        self.send(remote);
        self.read(remote)
    }
}

impl Player {
    fn send(&mut self, remote: &mut RemotePeer<'_>) {
        let left = self.dialog.sends.len() - self.sent;
        if left == 0 || remote.now() < self.sends_at {
            return;
        }
        let piece = remote.rng().magnitude(1..=left as u64) as usize;
        remote.send(&self.dialog.sends[self.sent..self.sent + piece]);
        self.sent += piece;
        self.sends_at = remote.now() + remote.rng().duration_up_to(self.pause);
        if piece == left {
            remote.finish();
        }
    }

    fn read(&mut self, remote: &mut RemotePeer<'_>) -> Option<Time> {
        if remote.now() >= self.reads_at {
            let mut read = Vec::new();
            remote.read(usize::MAX, &mut read);
            if let Some(wrong) = self.check(&read) {
                return self.ended(wrong);
            }
            if self.resets_after.is_some_and(|bytes| self.received > bytes) {
                remote.reset();
                return self.ended(End::CutOff);
            }
            if remote.at_end() {
                let (received, expected) = (self.received, self.dialog.expects.len());
                return self.ended(match received == expected {
                    true => End::Complete,
                    false => End::EndsEarly { received, expected },
                });
            }
            if self.rests && self.received > 0 {
                self.rests = false;
                self.reads_at = remote.now() + remote.rng().duration_up_to(REST_MAX);
            }
        }
        let now = remote.now();
        let sends_at = (self.sent < self.dialog.sends.len()).then_some(self.sends_at);
        let due = [sends_at, Some(self.reads_at)].into_iter().flatten();
        due.filter(|&when| when > now).min()
    }

    /// Compares bytes with the expected ones.
    fn check(&mut self, read: &[u8]) -> Option<End> {
        let expected = self.dialog.expects.get(self.received..)?;
        let differs = read
            .iter()
            .enumerate()
            .find(|&(place, byte)| expected.get(place) != Some(byte));
        let at = self.received;
        self.received += read.len();
        *self.end.borrow_mut() = End::NotYet {
            received: self.received,
        };
        differs.map(|(place, _)| End::WrongByte {
            at: at + place,
            received: read[place..read.len().min(place + SHOWN)].to_vec(),
        })
    }

    fn ended(&mut self, end: End) -> Option<Time> {
        let mut known = self.end.borrow_mut();
        if matches!(*known, End::NotYet { .. }) {
            *known = end;
        }
        None
    }
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const REST_MAX: Duration = Duration::from_secs(20);
/// The number of wrong bytes in the message of a failure.
const SHOWN: usize = 40;

#[cfg(test)]
mod tests {
    use oneloop::{CloseReason, Context, Event, Next, Peer, ServiceContext};

    use super::*;

    /// Echoes its input, with a mistake in the last byte of each piece.
    struct Echo(Mistake);

    #[derive(Clone, Copy)]
    enum Mistake {
        None,
        Wrong,
        Lost,
        Twice,
    }

    impl Service for Echo {
        type Session = ();

        fn open(&mut self, _: Peer, _: &mut ServiceContext) {}

        fn step(&mut self, (): &mut (), event: Event, cx: &mut Context<'_>) -> Next {
            let input = cx.input();
            if let Some((last, rest)) = input.split_last() {
                cx.write(rest);
                match self.0 {
                    Mistake::None => cx.write(&[*last]),
                    Mistake::Wrong => cx.write(&[!*last]),
                    Mistake::Lost => {}
                    Mistake::Twice => cx.write(&[*last, *last]),
                }
                cx.consume(input.len());
            }
            match event {
                Event::Eof => Next::Close(CloseReason::Eof),
                _ => Next::Read {
                    until: cx.after(DAY / 2),
                },
            }
        }
    }

    fn run(mistake: Mistake) -> Dialogs {
        let sends: Vec<u8> = (0..200).collect();
        let expects = sends.clone();
        let dialogs = vec![Dialog { sends, expects }; 10];
        storm(Echo(mistake), Limits::default(), 3, &dialogs)
    }

    #[test]
    fn right_service_completes_dialogs() {
        let Dialogs { complete, cut_off } = run(Mistake::None);
        assert_eq!(complete + cut_off, 10);
        assert!(complete >= 5, "only {complete} are complete");
    }

    #[test]
    #[should_panic(expected = "seed 3, dialog 0: WrongByte { at: ")]
    fn wrong_byte_panics() {
        run(Mistake::Wrong);
    }

    #[test]
    #[should_panic(expected = "seed 3, dialog ")]
    fn lost_byte_panics() {
        run(Mistake::Lost);
    }

    #[test]
    #[should_panic(expected = "WrongByte { at: ")]
    fn doubled_byte_panics() {
        run(Mistake::Twice);
    }
}
