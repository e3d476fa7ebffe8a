//! What servers do wrong is counted by its kind, and the figures stay figures.

use std::cell::Cell;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use oneloop_load::{
    Fault, Outcome, Pace, Plan, Scenario, percentile,
    text::{self, Page},
};

use crate::common::{FULL, GOOD_BYE, QUESTION, Server, TOO_SLOW, WELCOME, eventually};
use crate::load::actor::{Actor, Guest};
use crate::{CLOSED, plan, run, run_until};

/// Makes a run against a server that plays this part, and checks that the figures are figures.
fn against(part: impl Fn(&mut Guest) + Send + Sync + 'static) -> Outcome {
    against_with(part, |_| {})
}

/// For parts in which something never comes.
fn against_impatient(part: impl Fn(&mut Guest) + Send + Sync + 'static) -> Outcome {
    against_with(part, |plan| plan.grace = IMPATIENCE)
}

fn against_with(
    part: impl Fn(&mut Guest) + Send + Sync + 'static,
    change: impl Fn(&mut Plan),
) -> Outcome {
    let actor = Actor::plays(part);
    let mut plan = Plan {
        duration: Duration::from_millis(100),
        ..plan(actor.address)
    };
    change(&mut plan);
    let outcome = run(&plan);
    let report = text::run(&outcome, &Page::PLAIN);
    for word in ["NaN", "inf "] {
        assert!(!report.contains(word), "{report}");
    }
    outcome
}

#[track_caller]
fn found(outcome: &Outcome) -> Vec<(Fault, u64)> {
    outcome.faults.found().collect()
}

#[track_caller]
fn assert_found(outcome: &Outcome, fault: Fault) {
    assert!(outcome.faults.count(fault) > 0, "{:?}", found(outcome));
}

#[test]
fn an_actor_that_does_nothing_wrong_is_not_accused() {
    let outcome = against(|guest| {
        guest.welcome();
        guest.serve();
    });
    assert_eq!(found(&outcome), []);
    assert!(outcome.completed > 0);
}

#[test]
fn an_answer_that_comes_byte_by_byte_is_right() {
    let outcome = against(|guest| {
        guest.welcome();
        while let Some(name) = guest.hear() {
            if name == "exit" {
                return guest.say(GOOD_BYE);
            }
            for byte in format!("Hello {name}!\n{QUESTION}").chars() {
                guest.say(&byte.to_string());
            }
        }
    });
    assert_eq!(found(&outcome), []);
    assert!(outcome.completed > 0);
}

#[test]
fn nobody_at_the_address_is_a_refused_connection_and_ends_the_run_at_once() {
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let outcome = run(&Plan {
        connections: 3,
        duration: Duration::from_secs(3600),
        ..plan(free.expect("a free port"))
    });
    assert_eq!(found(&outcome), [(Fault::ConnectRefused, 3)]);
    assert_eq!(percentile(&outcome.latency, 99.0), None);
    assert_eq!(outcome.throughput(), None);
    assert!(text::run(&outcome, &Page::PLAIN).contains("is the server running?"));
}

#[test]
fn one_wrong_byte_is_a_wrong_answer() {
    let outcome = against(|guest| {
        guest.welcome();
        guest.serve_names(2);
        let name = guest.hear().unwrap_or_default();
        guest.answer(&name.replace(char::is_numeric, "x"));
        guest.serve();
    });
    assert_eq!(found(&outcome), [(Fault::Wrong, 1)]);
}

#[test]
fn wrong_answer_leaves_the_names_behind_it_missing() {
    let outcome = against_with(
        |guest| {
            guest.welcome();
            let _ = guest.hear();
            guest.answer("somebody else");
            guest.ignore();
        },
        |plan| plan.scenario = Scenario::Exchange(Pace::Closed { in_flight: 4 }),
    );
    assert_eq!(found(&outcome), [(Fault::Wrong, 1), (Fault::Missing, 3)]);
}

#[test]
fn the_answer_to_another_name_is_a_wrong_answer() {
    let outcome = against(|guest| {
        guest.welcome();
        let first = guest.hear().unwrap_or_default();
        guest.answer(&first);
        let _ = guest.hear();
        guest.answer(&first);
        guest.serve();
    });
    assert_found(&outcome, Fault::Wrong);
}

#[test]
fn server_that_speaks_first_in_another_protocol_is_recognised() {
    let outcome = against(|guest| guest.say("SSH-2.0-OpenSSH_9.2\r\n"));
    assert_eq!(found(&outcome), [(Fault::OtherProtocol, 1)]);
    assert_eq!(outcome.stranger.as_deref(), Some("SSH-2.0-OpenSSH_9.2"));
    assert_eq!(outcome.completed, 0);
}

#[test]
fn http_server_is_recognised_by_its_answer_to_a_probe() {
    let outcome = against_impatient(|guest| {
        while guest.hear().is_some_and(|line| !line.is_empty()) {}
        guest.say("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    });
    assert_eq!(found(&outcome), [(Fault::OtherProtocol, 1)]);
    let report = text::run(&outcome, &Page::PLAIN);
    assert!(
        report.contains("not with the greeting protocol"),
        "{report}"
    );
    assert!(report.contains("HTTP/1.1 400 Bad Request"), "{report}");
}

#[test]
fn greeting_after_the_grace_is_missing() {
    let outcome = against_impatient(|guest| {
        let _ = guest.hear();
        guest.welcome();
        guest.ignore();
    });
    assert_eq!(found(&outcome), [(Fault::Missing, 1)]);
}

#[test]
fn run_against_a_silent_server_ends_with_its_first_connects() {
    let actor = Actor::plays(Guest::ignore);
    let outcome = run(&Plan {
        connections: 1000,
        grace: IMPATIENCE,
        ..plan(actor.address)
    });
    let missing = outcome.faults.count(Fault::Missing);
    assert_eq!(found(&outcome), [(Fault::Missing, missing)]);
    assert!((256..600).contains(&missing), "{missing}");
}

#[test]
fn an_answer_that_nothing_asked_for_is_extra() {
    let outcome = against(|guest| {
        guest.welcome();
        let name = guest.hear().unwrap_or_default();
        // In one write, so that it is there before anything else is asked for.
        guest.say(&format!("Hello {name}!\n{QUESTION}Hello again!\n"));
        guest.ignore();
    });
    assert_found(&outcome, Fault::Extra);
}

#[test]
fn answers_that_never_come_are_missing_with_their_age() {
    let outcome = against_impatient(|guest| {
        guest.welcome();
        guest.serve_names(3);
        guest.ignore();
    });
    assert_eq!(found(&outcome), [(Fault::Missing, 1)]);
    assert!(outcome.oldest_missing >= IMPATIENCE);
}

#[test]
fn a_greeting_that_never_comes_is_missing() {
    let outcome = against_impatient(|guest| {
        guest.say(WELCOME);
        guest.ignore();
    });
    assert_eq!(found(&outcome), [(Fault::Missing, 1)]);
}

#[test]
fn a_farewell_that_never_comes_is_missing() {
    let outcome = against_impatient(|guest| {
        guest.welcome();
        while let Some(name) = guest.hear() {
            if name != "exit" {
                guest.answer(&name);
            }
        }
    });
    assert_eq!(found(&outcome), [(Fault::Missing, 1)]);
}

#[test]
fn an_answer_after_the_timeout_is_late_and_its_latency_is_recorded() {
    let outcome = against_with(
        |guest| {
            guest.welcome();
            let _ = guest.hear().map(|name| {
                thread::sleep(Duration::from_millis(60));
                guest.answer(&name);
            });
            guest.serve();
        },
        |plan| {
            plan.warm_up = Duration::ZERO;
            plan.timeout = Duration::from_millis(50);
        },
    );
    assert_found(&outcome, Fault::Late);
    assert!(outcome.latency.max() >= 60_000_000);
}

#[test]
fn a_server_that_is_full_is_counted_as_that() {
    let outcome = against(|guest| guest.say(FULL));
    assert_eq!(found(&outcome), [(Fault::Full, 1)]);
}

#[test]
fn a_server_that_loses_its_patience_is_counted_as_that_and_told_about() {
    let outcome = against_with(
        |guest| {
            guest.welcome();
            guest.say(TOO_SLOW);
        },
        |plan| plan.scenario = Scenario::Idle,
    );
    assert_eq!(found(&outcome), [(Fault::TooSlow, 1)]);
    assert!(text::run(&outcome, &Page::PLAIN).contains("--name-timeout"));
}

#[test]
fn a_server_that_stops_is_counted_as_that() {
    let outcome = against(|guest| {
        guest.welcome();
        guest.serve_names(2);
        let _ = guest.hear();
        guest.say(GOOD_BYE);
    });
    assert_found(&outcome, Fault::Stopping);
}

#[test]
fn a_connection_closed_under_way_is_counted_and_so_is_what_it_owed() {
    let outcome = against(|guest| {
        guest.welcome();
        guest.serve_names(2);
        let _ = guest.hear();
    });
    assert_found(&outcome, Fault::Closed);
    assert_eq!(
        outcome.faults.count(Fault::Closed),
        outcome.faults.count(Fault::Missing)
    );
}

#[test]
fn a_connection_reset_under_way_is_counted_as_that() {
    let outcome = against(|guest| {
        guest.welcome();
        guest.serve_names(2);
        let _ = guest.hear();
        guest.reset();
    });
    assert_found(&outcome, Fault::Reset);
}

#[test]
fn a_server_that_dies_midway_leaves_figures_until_then_and_refusals_after() {
    let (listener, address) = listener();
    thread::spawn(move || {
        let mut guests = Vec::new();
        for stream in listener.incoming().take(5) {
            let mut stream = stream.expect("a guest");
            write!(stream, "{WELCOME}{QUESTION}").expect("it is there");
            guests.push(stream);
        }
        drop(listener); // from here on, connections are refused
        let mut names = String::new();
        let mut first = BufReader::new(guests.remove(0));
        for _ in 0..10 {
            names.clear();
            let _ = first.read_line(&mut names);
            let _ = write!(first.get_mut(), "Hello {}!\n{QUESTION}", names.trim_end());
        }
    });
    let plan = Plan {
        connections: 5,
        duration: Duration::from_secs(3600),
        warm_up: Duration::ZERO,
        ..plan(address)
    };
    // Five connections and five answers are lost; what comes on top is trying again.
    let outcome = run_until(&plan, |progress| progress.faults > 10);
    assert_found(&outcome, Fault::ConnectRefused);
    let closed = outcome.faults.count(Fault::Closed) + outcome.faults.count(Fault::Reset);
    assert_eq!(closed, 5, "{:?}", found(&outcome));
    assert_eq!(outcome.faults.count(Fault::Missing), 5);
    assert!(outcome.completed >= 9);
    assert!(percentile(&outcome.latency, 99.0).is_some());
}

#[test]
fn a_connection_that_was_lost_is_tried_again_and_the_schedule_waits_for_it() {
    static GUESTS: AtomicUsize = AtomicUsize::new(0);
    let outcome = against_with(
        |guest| {
            guest.welcome();
            if GUESTS.fetch_add(1, Ordering::Relaxed) == 0 {
                guest.serve_names(5);
            } else {
                guest.serve();
            }
        },
        |plan| {
            let rate = 100.0;
            let in_flight = 16;
            plan.scenario = Scenario::Exchange(Pace::Open { rate, in_flight });
            plan.duration = Duration::from_millis(1500);
            plan.warm_up = Duration::ZERO;
        },
    );
    let lost = outcome.faults.count(Fault::Missing);
    assert_eq!(outcome.completed + lost, 150, "{:?}", found(&outcome));
    assert!(lost <= 16, "{lost}");
    // What was due while there was no connection has waited for the next one.
    assert!(outcome.latency.max() >= 900_000_000);
}

#[test]
fn a_conversation_that_goes_wrong_does_not_end_churn() {
    static GUESTS: AtomicUsize = AtomicUsize::new(0);
    let outcome = against_with(
        |guest| {
            guest.welcome();
            if GUESTS.fetch_add(1, Ordering::Relaxed) != 3 {
                guest.serve();
            }
        },
        |plan| {
            plan.scenario = Scenario::Churn { names: 1 };
            plan.connections = 2;
        },
    );
    let closed = outcome.faults.count(Fault::Closed) + outcome.faults.count(Fault::Reset);
    assert_eq!(closed, 1, "{:?}", found(&outcome));
    assert!(outcome.completed > 0);
}

#[test]
fn a_sleeper_that_the_server_has_lost_is_found_when_it_is_to_prove_alive() {
    static GUESTS: AtomicUsize = AtomicUsize::new(0);
    let outcome = against_with(
        |guest| {
            guest.welcome();
            if GUESTS.fetch_add(1, Ordering::Relaxed) == 0 {
                guest.ignore();
            } else {
                guest.serve();
            }
        },
        |plan| {
            plan.scenario = Scenario::Mixed {
                active: 0,
                pace: CLOSED,
            };
            plan.connections = 3;
            plan.grace = IMPATIENCE;
        },
    );
    assert_eq!(found(&outcome), [(Fault::Missing, 1)]);
    assert_eq!(outcome.connections.proved, 2);
}

#[test]
fn name_never_sent_is_as_old_as_its_due_time() {
    let (listener, address) = listener();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a guest");
        drop(listener); // from here on, connections are refused
        write!(stream, "{WELCOME}{QUESTION}").expect("the guest is connected");
        let _ = BufReader::new(stream).read_line(&mut String::new());
    });
    let outcome = run(&Plan {
        scenario: Scenario::Exchange(Pace::Open {
            rate: 50.0,
            in_flight: 16,
        }),
        duration: Duration::from_secs(1),
        warm_up: Duration::ZERO,
        grace: IMPATIENCE,
        ..plan(address)
    });
    assert_eq!(outcome.faults.count(Fault::Missing), 50);
    assert!(outcome.oldest_missing >= Duration::from_millis(900));
}

#[test]
fn stall_during_the_proofs_of_life_wraps_no_counter() {
    static GUESTS: AtomicUsize = AtomicUsize::new(0);
    let (stalled, goodbyes) = (Arc::<Signal>::default(), Arc::<AtomicUsize>::default());
    let (over, said) = (Arc::clone(&stalled), Arc::clone(&goodbyes));
    let actor = Actor::plays(move |guest| {
        let number = GUESTS.fetch_add(1, Ordering::Relaxed);
        guest.welcome();
        while let Some(name) = guest.hear() {
            if number >= 300 || name == "exit" {
                over.wait();
            }
            if name == "exit" {
                guest.say(GOOD_BYE);
                said.fetch_add(1, Ordering::Relaxed);
                return;
            }
            guest.answer(&name);
        }
    });
    let plan = Plan {
        scenario: Scenario::Idle,
        connections: 600,
        duration: Duration::from_millis(10),
        warm_up: Duration::ZERO,
        grace: IMPATIENCE,
        ..plan(actor.address)
    };
    // 300 proofs and the 256 that are under way when the server stalls.
    let all_answered = || actor.served() >= 556 && goodbyes.load(Ordering::Relaxed) >= 256;
    let outcome = run_until(&plan, |progress| {
        if progress.stage == "closing" && !stalled.is_set() {
            stalled.set();
            // All of it comes in one turn of the loop.
            eventually("the stall ends", || all_answered().then_some(()));
        }
        false
    });
    // Proofs that are read after the farewell has begun are missing.
    let missing = outcome.faults.count(Fault::Missing);
    assert_eq!(outcome.faults.total(), missing, "{:?}", found(&outcome));
    assert_eq!(u64::from(outcome.connections.proved) + missing, 556);
}

#[test]
fn reconnects_are_limited_to_256_under_way() {
    let (listener, address) = listener();
    let (sender, reconnected) = mpsc::channel();
    let working = Arc::<Signal>::default();
    let begun = Arc::clone(&working);
    thread::spawn(move || {
        let mut guests: Vec<_> = (0..400)
            .map(|_| {
                let (mut stream, _) = listener.accept().expect("a guest");
                write!(stream, "{WELCOME}{QUESTION}").expect("the guest is connected");
                stream
            })
            .collect();
        begun.wait();
        guests.clear(); // all of them come again, and are not greeted any more
        for stream in listener.incoming() {
            guests.push(stream.expect("a guest"));
            if sender.send(()).is_err() {
                return;
            }
        }
    });
    let plan = Plan {
        connections: 400,
        warm_up: Duration::from_secs(3600),
        grace: Duration::from_secs(3600),
        ..plan(address)
    };
    let under_way = Cell::new(0);
    let full = Cell::new(None);
    run_until(&plan, |progress| {
        if progress.stage == "warming up" {
            working.set();
        }
        under_way.set(under_way.get() + reconnected.try_iter().count());
        if under_way.get() >= 256 && full.get().is_none() {
            full.set(Some(Instant::now()));
        }
        // One more would come at once.
        full.get()
            .is_some_and(|at| at.elapsed() > Duration::from_millis(500))
    });
    assert_eq!(under_way.get(), 256);
}

#[test]
#[cfg(target_os = "linux")]
fn source_address_of_another_machine_is_named() {
    let server = Server::start(&[]);
    let outcome = run(&Plan {
        sources: vec![FOREIGN.parse().expect("an address")],
        ..plan(server.address())
    });
    assert_eq!(found(&outcome), [(Fault::SourceNotLocal, 1)]);
}

#[test]
fn durations_that_overflow_together_do_not_panic() {
    let actor = Actor::plays(|guest| {
        guest.welcome();
        guest.serve();
    });
    let plan = Plan {
        duration: Duration::MAX,
        warm_up: Duration::MAX,
        ramp: Duration::MAX,
        timeout: Duration::MAX,
        grace: Duration::MAX,
        ..plan(actor.address)
    };
    let outcome = run_until(&plan, |_| actor.served() > 10);
    assert_eq!(found(&outcome), []);
}

/// Something that happens once.
#[derive(Default)]
struct Signal(Mutex<bool>, Condvar);

impl Signal {
    fn set(&self) {
        *self.0.lock().expect("not poisoned") = true;
        self.1.notify_all();
    }

    fn is_set(&self) -> bool {
        *self.0.lock().expect("not poisoned")
    }

    fn wait(&self) {
        let happened = self.0.lock().expect("not poisoned");
        drop(self.1.wait_while(happened, |happened| !*happened));
    }
}

/// Reserved for documentation (RFC 5737): no machine has it.
#[cfg(target_os = "linux")]
pub(crate) const FOREIGN: &str = "192.0.2.1";

fn listener() -> (TcpListener, std::net::SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    (listener, address)
}

/// Long enough for whatever does come, also on a busy machine.
const IMPATIENCE: Duration = Duration::from_millis(1500);
