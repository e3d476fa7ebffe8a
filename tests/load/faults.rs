//! What servers do wrong is counted by its kind, and the figures stay figures.

use std::io::Write;
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use oneloop::load::{Fault, Outcome, Pace, Plan, Scenario, percentile, text};

use crate::actor::{Actor, Guest};
use crate::common::{FULL, GOOD_BYE, QUESTION, TOO_SLOW, WELCOME};
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
    let report = text::report(&outcome);
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
    assert!(text::report(&outcome).contains("is the server there?"));
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
    assert_found(&outcome, Fault::Wrong);
    assert!(
        outcome.faults.count(Fault::Missing) > 0,
        "its answer never came"
    );
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
fn rubbish_instead_of_the_greeting_is_wrong() {
    let outcome = against(|guest| guest.say("HTTP/1.1 400 Bad Request\r\n\r\n"));
    assert_found(&outcome, Fault::Wrong);
    assert_eq!(outcome.completed, 0);
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
    assert!(text::report(&outcome).contains("--name-timeout"));
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
        use std::io::{BufRead, BufReader};
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

fn listener() -> (TcpListener, std::net::SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    (listener, address)
}

/// Long enough for whatever does come, also on a busy machine.
const IMPATIENCE: Duration = Duration::from_millis(1500);
