//! Handshakes by the thousand, and those that stop half-way.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustls::ClientConfig;

use crate::common::{PATIENCE, eventually};
use crate::peer::{Conversation, half_way, trusting};
use crate::start;

/// A thousand handshakes that stop half-way delay nobody inside, let others in, and are gone after
/// ten seconds.
#[test]
fn handshakes_that_stop_half_way_are_gone_in_time() {
    let server = start(&["--log-level", "warn", "--framing", "line"]);
    let config = trusting();
    let mut inside = Conversation::acquainted(server.address(), &config);
    let began = Instant::now();
    let held: Vec<_> = (0..1000)
        .map(|number| half_way(server.address(), &config, number < 60).expect("a connection"))
        .collect();
    inside.exchange("Ann");
    assert!(server.report().open() > 900, "{:?}", server.report());
    // The places are taken, and yet one more comes in.
    let mut other = Conversation::acquainted(server.address(), &config);
    other.exchange("Bo");
    eventually("they have ended", || {
        (server.report().open() == 2).then_some(())
    });
    let lasted = began.elapsed();
    let most = Duration::from_secs(10) + PATIENCE / 2;
    assert!(lasted < most, "{lasted:?}");
    assert_eq!(server.report().ended("timed out"), 1000);
    inside.exchange("Cy");
    other.exchange("Di");
    drop(held);
}

/// The bystander's waits, alone and beside so many handshakes a second. A measurement, not a test:
/// `cargo test --release --features tls --test tls -- --ignored --nocapture bystander`
#[test]
#[ignore = "a measurement of a minute"]
fn bystander_beside_a_flood_of_handshakes() {
    let server = start(&["--log-level", "warn", "--framing", "line"]);
    let config = trusting();
    let mut ratios = Vec::new();
    for round in 0..ROUNDS {
        let alone = percentile(server.address(), &config);
        let flood = Flood::start(server.address(), &config);
        let beside = percentile(server.address(), &config);
        let handshakes = flood.stop();
        let ratio = beside.as_secs_f64() / alone.as_secs_f64();
        println!(
            "round {round}: p99 {alone:?} alone, {beside:?} beside {handshakes:.0} handshakes/s: \
             {ratio:.2}"
        );
        ratios.push(ratio);
    }
    ratios.sort_by(f64::total_cmp);
    println!("median of the ratios: {:.2}", ratios[ratios.len() / 2]);
}

/// Returns the 99th percentile of a bystander's exchanges, one each millisecond.
fn percentile(address: SocketAddr, config: &Arc<ClientConfig>) -> Duration {
    let mut bystander = Conversation::acquainted(address, config);
    let mut waits: Vec<_> = (0..EXCHANGES)
        .map(|_| {
            thread::sleep(Duration::from_millis(1));
            let began = Instant::now();
            bystander.exchange("Ann");
            began.elapsed()
        })
        .collect();
    waits.sort_unstable();
    waits[waits.len() * 99 / 100]
}

/// Clients that connect and leave, so many times a second.
struct Flood {
    stop: Arc<AtomicBool>,
    count: Arc<AtomicU64>,
    began: Instant,
    thread: thread::JoinHandle<()>,
}

impl Flood {
    fn start(address: SocketAddr, config: &Arc<ClientConfig>) -> Self {
        let (stop, count) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let (stop_too, count_too) = (Arc::clone(&stop), Arc::clone(&count));
        // Full handshakes: nothing is resumed.
        let mut config = ClientConfig::clone(config);
        config.resumption = rustls::client::Resumption::disabled();
        let config = Arc::new(config);
        let began = Instant::now();
        let thread = thread::spawn(move || {
            for number in 1.. {
                if stop_too.load(Ordering::Relaxed) {
                    return;
                }
                let due = began + Duration::from_secs(1) * number / HANDSHAKES_PER_SECOND;
                thread::sleep(due.saturating_duration_since(Instant::now()));
                Conversation::acquainted(address, &config).finish();
                count_too.fetch_add(1, Ordering::Relaxed);
            }
        });
        Self {
            stop,
            count,
            began,
            thread,
        }
    }

    /// Stops, and returns the handshakes per second.
    fn stop(self) -> f64 {
        let seconds = self.began.elapsed().as_secs_f64();
        let rate = self.count.load(Ordering::Relaxed) as f64 / seconds;
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the clients are served");
        rate
    }
}

const ROUNDS: usize = 7;
const EXCHANGES: usize = 3000;
const HANDSHAKES_PER_SECOND: u32 = 200;
