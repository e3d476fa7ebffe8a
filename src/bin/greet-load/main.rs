//! The load generator.
use oneloop::load::*;
use oneloop::net::Os;
use std::time::Duration;

fn main() {
    let mut args = std::env::args().skip(1);
    let target = args.next().unwrap().parse().unwrap();
    let n: u32 = args.next().unwrap().parse().unwrap();
    let rate: f64 = args.next().unwrap_or("0".into()).parse().unwrap();
    let pid: u32 = args.next().unwrap_or("0".into()).parse().unwrap();
    let pace = if rate > 0.0 {
        Pace::Open {
            rate,
            in_flight: 16,
        }
    } else {
        Pace::Closed { in_flight: 1 }
    };
    let plan = Plan {
        target,
        sources: vec![],
        scenario: Scenario::Exchange(pace),
        connections: n,
        framing: Framing::Line,
        duration: Duration::from_secs(3),
        warm_up: Duration::from_secs(1),
        ramp: Duration::ZERO,
        timeout: Duration::from_secs(1),
        grace: Duration::from_secs(5),
    };
    let o = run(
        &plan,
        Os::new().unwrap(),
        (pid > 0).then(|| Process::new(pid)),
        |p| {
            eprintln!("{p:?}");
            Go::On
        },
    )
    .unwrap();
    println!("{:?} {:?} {:?}", o.throughput(), o.connections, o.costs);
    println!(
        "gen {:?} srv {:?}",
        o.costs.generator_each(),
        o.costs.server_each()
    );
    for q in [50.0, 90.0, 99.0, 99.9, 99.99, 100.0] {
        println!(
            "{q} {:?} {:?} {:?}",
            percentile(&o.latency, q),
            o.service.as_ref().and_then(|s| percentile(s, q)),
            o.lateness.as_ref().and_then(|s| percentile(s, q))
        );
    }
    println!("{:?}", o.faults.found().collect::<Vec<_>>());
}
