//! Errors of servers are counted by kind.

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
use crate::load::standin::{Peer, Standin};
use crate::{CLOSED, plan, run, run_until};

/// Makes a run against a stand-in, and checks that the report has no impossible figures.
fn against(part: impl Fn(&mut Peer) + Send + Sync + 'static) -> Outcome {
    against_with(part, |_| {})
}

/// Makes a run with a short grace, against a stand-in that leaves something out.
fn against_impatient(part: impl Fn(&mut Peer) + Send + Sync + 'static) -> Outcome {
    against_with(part, |plan| plan.grace = IMPATIENCE)
}

fn against_with(
    part: impl Fn(&mut Peer) + Send + Sync + 'static,
    change: impl Fn(&mut Plan),
) -> Outcome {
    let standin = Standin::start(part);
    let mut plan = Plan {
        duration: Duration::from_millis(100),
        ..plan(standin.address)
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
fn correct_server_has_no_errors() {
    let outcome = against(|peer| {
        peer.welcome();
        peer.serve();
    });
    assert_eq!(found(&outcome), []);
    assert!(outcome.completed > 0);
}

#[test]
fn answer_in_single_bytes_is_right() {
    let outcome = against(|peer| {
        peer.welcome();
        while let Some(name) = peer.read_name() {
            if name == "exit" {
                return peer.send(GOOD_BYE);
            }
            for byte in format!("Hello {name}!\n{QUESTION}").chars() {
                peer.send(&byte.to_string());
            }
        }
    });
    assert_eq!(found(&outcome), []);
    assert!(outcome.completed > 0);
}

#[test]
fn refused_connects_end_the_run_at_once() {
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
fn single_wrong_byte_is_a_wrong_answer() {
    let outcome = against(|peer| {
        peer.welcome();
        peer.serve_names(2);
        let name = peer.read_name().unwrap_or_default();
        peer.answer(&name.replace(char::is_numeric, "x"));
        peer.serve();
    });
    assert_eq!(found(&outcome), [(Fault::Wrong, 1)]);
}

#[test]
fn names_behind_a_wrong_answer_are_missing() {
    let outcome = against_with(
        |peer| {
            peer.welcome();
            let _ = peer.read_name();
            peer.answer("somebody else");
            peer.ignore();
        },
        |plan| plan.scenario = Scenario::Exchange(Pace::Closed { in_flight: 4 }),
    );
    assert_eq!(found(&outcome), [(Fault::Wrong, 1), (Fault::Missing, 3)]);
}

#[test]
fn answer_to_another_name_is_wrong() {
    let outcome = against(|peer| {
        peer.welcome();
        let first = peer.read_name().unwrap_or_default();
        peer.answer(&first);
        let _ = peer.read_name();
        peer.answer(&first);
        peer.serve();
    });
    assert_found(&outcome, Fault::Wrong);
}

#[test]
fn other_protocol_is_recognised_by_its_first_line() {
    let outcome = against(|peer| peer.send("SSH-2.0-OpenSSH_9.2\r\n"));
    assert_eq!(found(&outcome), [(Fault::OtherProtocol, 1)]);
    assert_eq!(outcome.stranger.as_deref(), Some("SSH-2.0-OpenSSH_9.2"));
    assert_eq!(outcome.completed, 0);
}

#[test]
fn http_server_is_recognised_by_a_probe() {
    let outcome = against_impatient(|peer| {
        while peer.read_name().is_some_and(|line| !line.is_empty()) {}
        peer.send("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
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
    let outcome = against_impatient(|peer| {
        let _ = peer.read_name();
        peer.welcome();
        peer.ignore();
    });
    assert_eq!(found(&outcome), [(Fault::Missing, 1)]);
}

#[test]
fn silent_server_ends_the_run_after_256_connects() {
    let standin = Standin::start(Peer::ignore);
    let outcome = run(&Plan {
        connections: 1000,
        grace: IMPATIENCE,
        ..plan(standin.address)
    });
    let missing = outcome.faults.count(Fault::Missing);
    assert_eq!(found(&outcome), [(Fault::Missing, missing)]);
    assert!((256..600).contains(&missing), "{missing}");
}

#[test]
fn answer_without_a_question_is_extra() {
    let outcome = against(|peer| {
        peer.welcome();
        let name = peer.read_name().unwrap_or_default();
        // In one write, so that it is there before another name arrives.
        peer.send(&format!("Hello {name}!\n{QUESTION}Hello again!\n"));
        peer.ignore();
    });
    assert_found(&outcome, Fault::Extra);
}

#[test]
fn missing_answers_are_counted_with_their_age() {
    let outcome = against_impatient(|peer| {
        peer.welcome();
        peer.serve_names(3);
        peer.ignore();
    });
    assert_eq!(found(&outcome), [(Fault::Missing, 1)]);
    assert!(outcome.oldest_missing >= IMPATIENCE);
}

#[test]
fn greeting_that_never_comes_is_missing() {
    let outcome = against_impatient(|peer| {
        peer.send(WELCOME);
        peer.ignore();
    });
    assert_eq!(found(&outcome), [(Fault::Missing, 1)]);
}

#[test]
fn farewell_that_never_comes_is_missing() {
    let outcome = against_impatient(|peer| {
        peer.welcome();
        while let Some(name) = peer.read_name() {
            if name != "exit" {
                peer.answer(&name);
            }
        }
    });
    assert_eq!(found(&outcome), [(Fault::Missing, 1)]);
}

#[test]
fn answer_after_the_timeout_is_late_and_recorded() {
    let outcome = against_with(
        |peer| {
            peer.welcome();
            let _ = peer.read_name().map(|name| {
                thread::sleep(Duration::from_millis(60));
                peer.answer(&name);
            });
            peer.serve();
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
fn full_server_is_counted() {
    let outcome = against(|peer| peer.send(FULL));
    assert_eq!(found(&outcome), [(Fault::Full, 1)]);
}

#[test]
fn name_timeout_is_counted_with_its_remedy() {
    let outcome = against_with(
        |peer| {
            peer.welcome();
            peer.send(TOO_SLOW);
        },
        |plan| plan.scenario = Scenario::Idle,
    );
    assert_eq!(found(&outcome), [(Fault::TooSlow, 1)]);
    assert!(text::run(&outcome, &Page::PLAIN).contains("--name-timeout"));
}

#[test]
fn stopping_server_is_counted() {
    let outcome = against(|peer| {
        peer.welcome();
        peer.serve_names(2);
        let _ = peer.read_name();
        peer.send(GOOD_BYE);
    });
    assert_found(&outcome, Fault::Stopping);
}

#[test]
fn closed_connection_is_counted_with_its_names() {
    let outcome = against(|peer| {
        peer.welcome();
        peer.serve_names(2);
        let _ = peer.read_name();
    });
    assert_found(&outcome, Fault::Closed);
    assert_eq!(
        outcome.faults.count(Fault::Closed),
        outcome.faults.count(Fault::Missing)
    );
}

#[test]
fn reset_connection_is_counted() {
    let outcome = against(|peer| {
        peer.welcome();
        peer.serve_names(2);
        let _ = peer.read_name();
        peer.reset();
    });
    assert_found(&outcome, Fault::Reset);
}

#[test]
fn server_that_dies_keeps_the_figures_until_then() {
    let (listener, address) = listener();
    thread::spawn(move || {
        let mut peers = Vec::new();
        for stream in listener.incoming().take(5) {
            let mut stream = stream.expect("a peer");
            write!(stream, "{WELCOME}{QUESTION}").expect("it is there");
            peers.push(stream);
        }
        drop(listener); // from here on, connections are refused
        let mut names = String::new();
        let mut first = BufReader::new(peers.remove(0));
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
    // Five connections and five answers are lost; the other errors are refused reconnects.
    let outcome = run_until(&plan, |progress| progress.faults > 10);
    assert_found(&outcome, Fault::ConnectRefused);
    let closed = outcome.faults.count(Fault::Closed) + outcome.faults.count(Fault::Reset);
    assert_eq!(closed, 5, "{:?}", found(&outcome));
    assert_eq!(outcome.faults.count(Fault::Missing), 5);
    assert!(outcome.completed >= 9);
    assert!(percentile(&outcome.latency, 99.0).is_some());
}

#[test]
fn lost_connection_is_made_again_and_its_names_wait() {
    static PEERS: AtomicUsize = AtomicUsize::new(0);
    let outcome = against_with(
        |peer| {
            peer.welcome();
            if PEERS.fetch_add(1, Ordering::Relaxed) == 0 {
                peer.serve_names(5);
            } else {
                peer.serve();
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
    // Names that were due without a connection have waited for the next one.
    assert!(outcome.latency.max() >= 900_000_000);
}

#[test]
fn churn_goes_on_after_a_lost_conversation() {
    static PEERS: AtomicUsize = AtomicUsize::new(0);
    let outcome = against_with(
        |peer| {
            peer.welcome();
            if PEERS.fetch_add(1, Ordering::Relaxed) != 3 {
                peer.serve();
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
fn idle_connection_without_an_answer_is_missing() {
    static PEERS: AtomicUsize = AtomicUsize::new(0);
    let outcome = against_with(
        |peer| {
            peer.welcome();
            if PEERS.fetch_add(1, Ordering::Relaxed) == 0 {
                peer.ignore();
            } else {
                peer.serve();
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
        let (mut stream, _) = listener.accept().expect("a peer");
        drop(listener); // from here on, connections are refused
        write!(stream, "{WELCOME}{QUESTION}").expect("the peer is connected");
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
fn stall_during_the_proofs_wraps_no_counter() {
    static PEERS: AtomicUsize = AtomicUsize::new(0);
    let (stalled, goodbyes) = (Arc::<Signal>::default(), Arc::<AtomicUsize>::default());
    let (over, said) = (Arc::clone(&stalled), Arc::clone(&goodbyes));
    let standin = Standin::start(move |peer| {
        let number = PEERS.fetch_add(1, Ordering::Relaxed);
        peer.welcome();
        while let Some(name) = peer.read_name() {
            if number >= 300 || name == "exit" {
                over.wait();
            }
            if name == "exit" {
                peer.send(GOOD_BYE);
                said.fetch_add(1, Ordering::Relaxed);
                return;
            }
            peer.answer(&name);
        }
    });
    let plan = Plan {
        scenario: Scenario::Idle,
        connections: 600,
        duration: Duration::from_millis(10),
        warm_up: Duration::ZERO,
        grace: 2 * IMPATIENCE,
        ..plan(standin.address)
    };
    // 300 proofs and the 256 that are under way when the server stalls.
    let all_answered = || standin.served() >= 556 && goodbyes.load(Ordering::Relaxed) >= 256;
    let closing = Cell::new(0);
    let outcome = run_until(&plan, |progress| {
        closing.set(closing.get() + u32::from(progress.stage == "closing"));
        // At the second look all that can be sent is sent.
        if closing.get() == 2 {
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
        let mut peers: Vec<_> = (0..400)
            .map(|_| {
                let (mut stream, _) = listener.accept().expect("a peer");
                write!(stream, "{WELCOME}{QUESTION}").expect("the peer is connected");
                stream
            })
            .collect();
        begun.wait();
        peers.clear(); // all of them come again, and are not greeted any more
        for stream in listener.incoming() {
            peers.push(stream.expect("a peer"));
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
fn foreign_source_is_an_error_of_its_own() {
    let server = Server::start(&[]);
    let outcome = run(&Plan {
        sources: vec![FOREIGN.parse().expect("an address")],
        ..plan(server.address())
    });
    assert_eq!(found(&outcome), [(Fault::SourceNotLocal, 1)]);
}

#[test]
fn durations_that_overflow_together_do_not_panic() {
    let standin = Standin::start(|peer| {
        peer.welcome();
        peer.serve();
    });
    let plan = Plan {
        duration: Duration::MAX,
        warm_up: Duration::MAX,
        ramp: Duration::MAX,
        timeout: Duration::MAX,
        grace: Duration::MAX,
        ..plan(standin.address)
    };
    let outcome = run_until(&plan, |_| standin.served() > 10);
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

/// Long enough for everything that does arrive, also on a busy machine.
const IMPATIENCE: Duration = Duration::from_millis(1500);
