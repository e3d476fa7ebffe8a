//! The costs of the generator itself.

use std::time::Duration;

use oneloop_load::{Pace, Plan, Scenario};

use crate::common::Server;
use crate::{CLOSED, plan, run_until};

#[test]
fn exchange_allocates_nothing() {
    let server = Server::start(&["--framing", "line"]);
    let open = Pace::Open {
        rate: 20_000.0,
        in_flight: 16,
    };
    for pace in [CLOSED, Pace::Closed { in_flight: 8 }, open] {
        let plan = Plan {
            scenario: Scenario::Exchange(pace),
            connections: 50,
            duration: Duration::from_secs(3600),
            ..plan(server.address())
        };
        let allocations_in = |exchanges| {
            let mut completed = 0;
            let run = || run_until(&plan, |progress| progress.completed >= exchanges);
            let counted = allocation_counter::measure(|| completed = run().completed);
            (completed, counted.count_total)
        };
        let (few, allocated_for_few) = allocations_in(1_000);
        let (many, allocated_for_many) = allocations_in(few + 15_000);
        let more = many.saturating_sub(few);
        let allocated = allocated_for_many.abs_diff(allocated_for_few);
        assert!(more > 10_000, "{more} more exchanges prove nothing");
        // An answer that the kernel splits is kept until the rest comes. On a busy machine that
        // happens now and then, where several are under way.
        assert!(
            allocated < 50 + more / 100,
            "{pace:?}: {allocated} more allocations for {more} more exchanges"
        );
    }
}

#[test]
fn cpu_time_is_known_if_the_process_is() {
    let server = Server::start(&["--framing", "line"]);
    let plan = Plan {
        connections: 10,
        ..plan(server.address())
    };
    let process = oneloop_load::Process::new(server.pid());
    let os = oneloop::net::Os::new().expect("a poller");
    let outcome = oneloop_load::run(&plan, os, Some(process), |_| oneloop_load::Go::On);
    let costs = outcome.expect("the loop runs").costs;
    assert!(costs.completed > 0);
    assert!(costs.generator_each() > Some(Duration::ZERO));
    if cfg!(target_os = "linux") {
        // To 10 ms, so it may be none at all.
        assert!(costs.server_each().is_some());
        assert!(costs.server_memory > Some(0));
    }
}
