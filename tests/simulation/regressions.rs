//! Defects that the simulation has found in the loop, each in its smallest form.

use std::time::Duration;

use oneloop::{
    CloseReason, Context, EndReason, Event, Limits, Next, Peer, Service, ServiceContext, Time,
};
use oneloop_sim::{LinkProfile, Simulation};

const SHORT: Duration = Duration::from_millis(50);
const LONG: Duration = Duration::from_secs(10);

/// Answers with more than the kernel takes at once, and waits until it is flushed.
struct Verbose;

impl Service for Verbose {
    type Session = ();

    fn open(&mut self, _: Peer, _: &mut ServiceContext) {}

    fn step(&mut self, _: &mut (), event: Event, cx: &mut Context<'_>) -> Next {
        cx.consume(cx.input().len());
        match event {
            Event::Open => Next::Read {
                until: cx.after(SHORT),
            },
            Event::Data => {
                cx.write(&[b'x'; 1000]);
                Next::Flush
            }
            Event::Flushed => Next::Read {
                until: cx.after(LONG),
            },
            _ => Next::Close(CloseReason::Timeout),
        }
    }
}

#[test]
fn a_deadline_that_passes_while_output_leaves_does_not_come_after_it() {
    let limits = Limits {
        send_buffer_bytes: 100,
        turn_bytes_max: 1,
        ..Limits::default()
    };
    let mut simulation = Simulation::new(Verbose, limits, 1);
    let latency = Duration::from_millis(20);
    let client = simulation.connect_over(LinkProfile {
        latency: latency..=latency,
        ..LinkProfile::ideal()
    });
    client.send(b"go");
    simulation.run_for(Duration::from_secs(5));
    assert_eq!(client.received().len(), 1000);
    assert!(!client.at_end());
    simulation.run_for(Duration::from_secs(6));
    assert!(client.at_end());
}

/// Consumes its input only when it is offered a second time.
struct Hesitant;

impl Service for Hesitant {
    type Session = usize;

    fn open(&mut self, _: Peer, _: &mut ServiceContext) -> usize {
        0
    }

    fn step(&mut self, offers: &mut usize, event: Event, cx: &mut Context<'_>) -> Next {
        if event != Event::Data {
            return Next::Read {
                until: cx.after(LONG),
            };
        }
        *offers += 1;
        if *offers == 1 {
            return Next::Flush;
        }
        cx.consume(cx.input().len());
        Next::Close(CloseReason::Completed)
    }
}

#[test]
fn input_that_was_left_for_want_of_room_is_offered_again_before_it_is_too_much() {
    let limits = Limits {
        input_bytes_max: 8,
        ..Limits::default()
    };
    let mut simulation = Simulation::new(Hesitant, limits, 1);
    let client = simulation.connect();
    client.send(b"12345678");
    simulation.run_for(SHORT);
    client.close();
    simulation.run_for(LONG);
    let counters = simulation.reactor().counters();
    assert_eq!(counters.ended(EndReason::Completed), 1);
}

/// Waits a minute, then closes.
struct Patient;

impl Service for Patient {
    type Session = ();

    fn open(&mut self, _: Peer, _: &mut ServiceContext) {}

    fn step(&mut self, _: &mut (), event: Event, cx: &mut Context<'_>) -> Next {
        match event {
            Event::Timeout => Next::Close(CloseReason::Timeout),
            _ => Next::Read {
                until: cx.after(Duration::from_secs(60)),
            },
        }
    }
}

#[test]
fn a_wait_that_is_shortened_twice_is_a_quarter_and_not_an_eighth() {
    let limits = Limits {
        connections_max: 10,
        ..Limits::default()
    };
    let mut simulation = Simulation::new(Patient, limits, 1);
    let at_eighty_percent: Vec<_> = (0..8).map(|_| simulation.connect()).collect();
    simulation.run_for(Duration::from_secs(1));
    let at_a_hundred: Vec<_> = (0..2).map(|_| simulation.connect()).collect();
    simulation.run_for(Duration::from_secs(13));
    assert_eq!(simulation.reactor().open_connections(), 10);
    simulation.run_for(Duration::from_secs(4));
    let clients = at_eighty_percent.iter().chain(&at_a_hundred);
    assert!(clients.into_iter().all(|client| client.at_end()));
}

/// Waits for a minute. The first step of its last session panics.
struct Crashing {
    sessions_left: u32,
}

impl Service for Crashing {
    type Session = ();

    fn open(&mut self, _: Peer, _: &mut ServiceContext) {
        self.sessions_left -= 1;
    }

    fn step(&mut self, _: &mut (), event: Event, cx: &mut Context<'_>) -> Next {
        assert!(event != Event::Open || self.sessions_left > 0, "as planned");
        match event {
            Event::Timeout => Next::Close(CloseReason::Timeout),
            _ => Next::Read {
                until: cx.after(Duration::from_secs(60)),
            },
        }
    }
}

#[test]
fn connection_whose_first_step_panics_counts_as_the_loop_fills() {
    let limits = Limits {
        connections_max: 20,
        ..Limits::default()
    };
    let service = Crashing { sessions_left: 16 };
    let mut simulation = Simulation::new(service, limits, 1);
    let _clients: Vec<_> = (0..16).map(|_| simulation.connect()).collect();
    simulation.run_for(Duration::from_secs(29));
    // The one that panicked has ended, but a wait stays a half until 75 % are served.
    assert_eq!(simulation.reactor().open_connections(), 15);
    simulation.run_for(Duration::from_secs(4));
    assert_eq!(simulation.reactor().open_connections(), 0);
}

/// Waits until a time of its own, however many timeout events come before it.
struct Stubborn;

impl Service for Stubborn {
    type Session = Time;

    fn open(&mut self, _: Peer, cx: &mut ServiceContext) -> Time {
        cx.after(Duration::from_secs(60))
    }

    fn step(&mut self, until: &mut Time, _: Event, cx: &mut Context<'_>) -> Next {
        match cx.now() < *until {
            true => Next::Read { until: *until },
            false => Next::Close(CloseReason::Timeout),
        }
    }
}

#[test]
fn a_session_that_does_not_heed_an_early_deadline_is_not_told_of_it_without_end() {
    let limits = Limits {
        connections_max: 1,
        ..Limits::default()
    };
    let mut simulation = Simulation::new(Stubborn, limits, 1);
    let client = simulation.connect();
    simulation.run_for(Duration::from_secs(59));
    let steps = simulation.reactor().counters().steps();
    assert!((3..50).contains(&steps), "{steps} steps");
    simulation.run_for(Duration::from_secs(4));
    assert!(client.at_end());
}

/// Panics at its deadline. Only the first of its sessions has a short one.
#[derive(Default)]
struct Fragile {
    sessions: u32,
}

impl Service for Fragile {
    type Session = Duration;

    fn open(&mut self, _: Peer, _: &mut ServiceContext) -> Duration {
        self.sessions += 1;
        if self.sessions == 1 { SHORT } else { LONG }
    }

    fn step(&mut self, wait: &mut Duration, event: Event, cx: &mut Context<'_>) -> Next {
        assert!(event != Event::Timeout, "as planned");
        cx.consume(cx.input().len());
        Next::Read {
            until: cx.after(*wait),
        }
    }
}

#[test]
fn events_are_acted_on_once_though_a_session_panics_behind_them() {
    let mut simulation = Simulation::new(Fragile::default(), Limits::default(), 1);
    let _fragile = simulation.connect();
    simulation.turn();
    // Input arrives ten times per millisecond, also at the moment of the first one's deadline.
    let _others: Vec<_> = (0..500)
        .map(|number| {
            let latency = SHORT / 2 + Duration::from_micros(100) * number;
            let other = simulation.connect_over(LinkProfile {
                latency: latency..=latency,
                ..LinkProfile::ideal()
            });
            other.send(b"hello");
            other
        })
        .collect();
    while simulation.reactor().counters().ended(EndReason::Panicked) == 0 {
        simulation.turn();
    }
    let counted = simulation.reactor().counters().events();
    assert_eq!(counted, simulation.network().call_counts().events);
}

/// Closes at once, with more output than the kernel takes at once.
struct Brief;

impl Service for Brief {
    type Session = ();

    fn open(&mut self, _: Peer, _: &mut ServiceContext) {}

    fn step(&mut self, _: &mut (), _: Event, cx: &mut Context<'_>) -> Next {
        cx.write(&[b'x'; 150]);
        Next::Close(CloseReason::Completed)
    }
}

#[test]
fn who_has_taken_everything_is_not_held_to_be_slow_though_the_write_deadline_comes_in_that_turn() {
    let limits = Limits {
        send_buffer_bytes: 100,
        turn_bytes_max: 1,
        write_timeout: SHORT,
        ..Limits::default()
    };
    let mut simulation = Simulation::new(Brief, limits, 1);
    // Room for the rest comes when the first part has arrived: just in time, or too late.
    let clients: Vec<_> = (0..400)
        .map(|number| {
            let latency = SHORT - Duration::from_millis(10) + Duration::from_micros(50) * number;
            simulation.connect_over(LinkProfile {
                latency: latency..=latency,
                ..LinkProfile::ideal()
            })
        })
        .collect();
    simulation.run_for(LONG);
    let heard_all = clients
        .iter()
        .filter(|client| client.received().len() == 150);
    let heard_all = heard_all.count() as u64;
    assert!((1..400).contains(&heard_all), "{heard_all} of 400");
    let counters = simulation.reactor().counters();
    assert_eq!(counters.ended(EndReason::Completed), heard_all);
    assert_eq!(counters.ended(EndReason::WriteTimeout), 400 - heard_all);
}
