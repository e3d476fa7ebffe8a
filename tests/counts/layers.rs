//! The cost of layers: instructions per exchange of the greeting service inside them.

use std::env;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use oneloop::layer::{Compose, Idle, Lines, Meter, Rate, RateLimit, Side};
use oneloop::{Limits, Peer, Reactor, Service};
use oneloop_bench::fleet::Work;
use oneloop_greeting::{Config, Framing, Greeter};

use super::{at_most, exchange, lacks, lacks_release_build, skip, thresholds};

#[test]
fn layers_cost_few_instructions_per_exchange() {
    if let Some(reason) = lacks_release_build().or_else(|| lacks("valgrind")) {
        return skip("instructions of a layer", &reason);
    }
    let bare = per_exchange("bare");
    at_most(
        "instructions per exchange, no layer",
        bare,
        thresholds::INSTRUCTIONS_PER_EXCHANGE,
    );
    for (layers, count) in [
        ("idle", 1),
        ("meter", 1),
        ("rate", 1),
        ("fork", 1),
        ("all", 3),
    ] {
        at_most(
            &format!("more instructions per exchange, {layers}"),
            per_exchange(layers) - bare,
            f64::from(count) * thresholds::INSTRUCTIONS_OF_A_LAYER,
        );
    }
}

/// Returns the least of several counts: the scheduler can only add to the cost of the code.
fn per_exchange(layers: &str) -> f64 {
    let count = || (instructions(layers, 120) - instructions(layers, 20)) / 5_000.0;
    (0..2).map(|_| count()).fold(f64::INFINITY, f64::min)
}

/// Runs [`serve`] in a process of its own while clients exchange names with it, and returns how many
/// instructions that took.
fn instructions(layers: &str, rounds: u64) -> f64 {
    let mut server = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(env::current_exe().expect("this program"))
        .args(["--exact", "layers::serve", "--ignored", "--nocapture"])
        .env(LAYERS, layers)
        .current_dir(env!("CARGO_TARGET_TMPDIR"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("valgrind runs");
    let output = server.stdout.take().expect("a pipe");
    let mut lines = BufReader::new(output).lines();
    let address = lines.find_map(|line| {
        let line = line.expect("text");
        line.strip_prefix("listening on ")?.parse().ok()
    });
    let address: SocketAddr = address.expect("an address");
    drop(exchange(address, 50, Work::rounds(50, 1, rounds)).expect("all answers come"));
    drop(server.stdin.take());
    lines.for_each(drop);
    let mut report = String::new();
    let mut errors = server.stderr.take().expect("a pipe");
    errors.read_to_string(&mut report).expect("text");
    assert!(server.wait().expect("an end").success(), "{report}");
    let (_, number) = report.split_once("Collected :").expect("a count");
    let number = number.trim().lines().next().expect("a line");
    number.trim().parse().expect("a number")
}

#[test]
#[ignore = "is run by the test above, under valgrind"]
fn serve() {
    let config = Config {
        framing: Framing::Line,
        ..Config::default()
    };
    let greeter = Greeter::new(config);
    let idle = Idle::after(Duration::from_secs(600));
    let meter = Meter::new(|_, _, traffic| {
        std::hint::black_box(traffic);
    });
    let rate = Rate::per_second(1_000_000, 1_000_000);
    let limit = RateLimit::bytes().per_session(rate).per_address(rate);
    match env::var(LAYERS).as_deref() {
        Ok("bare") => run(greeter),
        Ok("idle") => run(greeter.with(idle)),
        Ok("meter") => run(greeter.with(meter)),
        Ok("rate") => run(greeter.with(limit)),
        Ok("fork") => run(greeter.clone().beside(greeter.boxed(), choose)),
        Ok("all") => run(greeter.with(meter.messages(Lines)).with(idle).with(limit)),
        other => panic!("unknown layers {other:?}"),
    }
}

fn choose(peer: &Peer) -> Side {
    match peer.address.ip().is_some_and(|ip| ip.is_loopback()) {
        true => Side::First,
        false => Side::Second,
    }
}

/// Serves until the end of stdin.
#[inline(never)]
fn run(service: impl Service) {
    let mut reactor = Reactor::new(service, Limits::default()).expect("a poller");
    let address = reactor
        .listen(SocketAddr::from(([127, 0, 0, 1], 0)))
        .expect("a free port");
    println!("\nlistening on {address}");
    io::stdout().flush().expect("a pipe");
    let stopper = reactor.net().stopper();
    let waiting = thread::spawn(move || {
        let _ = io::stdin().read(&mut [0]);
        stopper.stop()
    });
    reactor.run().expect("it serves");
    waiting.join().expect("no panic").expect("a poller");
}

const LAYERS: &str = "ONELOOP_COUNTED_LAYERS";
