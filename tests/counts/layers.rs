//! The cost of layers: instructions per exchange of the greeting service inside them.

use std::env;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::Duration;

use oneloop::layer::{Compose, Idle, Inner, Layer, Meter, Rate, RateLimit, Side};
use oneloop::{Context, EndReason, Event, Limits, Next, Peer, Reactor, Service, ServiceContext};
use oneloop_bench::fleet::Work;
use oneloop_greeting::{Config, Framing, Greeter};

use super::{at_most, exchange, lacks, lacks_release_build, skip, thresholds};

#[test]
fn layers_cost_few_instructions_per_exchange() {
    if let Some(reason) = lacks_release_build().or_else(|| lacks("valgrind")) {
        return skip("instructions of a layer", &reason);
    }
    let bare = per_exchange("bare");
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

fn per_exchange(layers: &str) -> f64 {
    let count = || (instructions(layers, 120) - instructions(layers, 20)) / 5_000.0;
    // The scheduler can only add to the cost of the code.
    count().min(count())
}

/// Runs [`serve`] in a process of its own while clients exchange names with it, and returns how many
/// instructions that took.
fn instructions(layers: &str, rounds: u64) -> f64 {
    let mut server = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(env::current_exe().expect("this program"))
        .args(["--exact", "layers::serve", "--ignored", "--nocapture"])
        // With one thread alone, system calls need no check for cancellation.
        .arg("--test-threads=1")
        .env(LAYERS, layers)
        .current_dir(env!("CARGO_TARGET_TMPDIR"))
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
    drop(exchange(address, CLIENTS, Work::rounds(CLIENTS, 1, rounds)).expect("all answers come"));
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
        Ok("all") => run(greeter.with(meter).with(idle).with(limit)),
        other => panic!("unknown layers {other:?}"),
    }
}

fn choose(peer: &Peer) -> Side {
    match peer.address.ip().is_some_and(|ip| ip.is_loopback()) {
        true => Side::First,
        false => Side::Second,
    }
}

/// Serves until all clients have left.
#[inline(never)]
fn run(service: impl Service) {
    let service = service.with(Leaving(CLIENTS));
    // All of a round in one turn: with more polls the count would depend on the scheduler.
    let limits = Limits {
        gather_time: Duration::from_millis(5),
        gather_events: 1,
        ..Limits::default()
    };
    let mut reactor = Reactor::new(service, limits).expect("a poller");
    let address = reactor
        .listen(SocketAddr::from(([127, 0, 0, 1], 0)))
        .expect("a free port");
    println!("\nlistening on {address}");
    io::stdout().flush().expect("a pipe");
    reactor.run().expect("it serves");
}

/// Stops the server when so many sessions have ended.
struct Leaving(usize);

impl Layer for Leaving {
    type State = ();

    fn open(&mut self, _: &Peer, _: &mut ServiceContext) {}

    #[inline(always)]
    fn step<S: Service>(
        &mut self,
        (): &mut (),
        event: Event,
        cx: &mut Context<'_>,
        mut inner: Inner<'_, S>,
    ) -> Next {
        inner.step(event, cx)
    }

    fn closed(&mut self, (): (), _: &Peer, _: EndReason, cx: &mut ServiceContext) {
        self.0 -= 1;
        if self.0 == 0 {
            cx.drain();
        }
    }
}

const CLIENTS: usize = 50;
const LAYERS: &str = "ONELOOP_COUNTED_LAYERS";
