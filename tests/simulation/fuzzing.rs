//! Bodies of the fuzz targets, as plain functions: the corpus can be replayed without a fuzzer.

use std::time::Duration;

use oneloop::{Limits, Turn};
use oneloop_greeting::{Config, Framing, Greeter};
use oneloop_sim::{Client, Simulation};

use crate::swarm::run::{run_relay_script, run_script};

/// Checks that the segmentation of a peer's lines does not change the output. The first byte sets
/// the segment length.
pub fn framing(bytes: &[u8]) {
    let Some((&cut, bytes)) = bytes.split_first() else {
        return;
    };
    let whole = converse(Framing::Line, |client, simulation| {
        client.send(bytes);
        client.finish();
        simulation.run_for(LONG)
    });
    let cut = converse(Framing::Line, |client, simulation| {
        for piece in bytes.chunks(1 + usize::from(cut % 16)) {
            client.send(piece);
            simulation.run_for(Duration::from_millis(1));
        }
        client.finish();
        simulation.run_for(LONG)
    });
    assert_eq!(
        whole.escape_ascii().to_string(),
        cut.escape_ascii().to_string()
    );
}

/// Checks that a session survives any input or ends, and that the server then drains. Each byte is
/// one action of the peer or a wait.
pub fn session(bytes: &[u8]) {
    let Some((&framing, bytes)) = bytes.split_first() else {
        return;
    };
    let framings = [Framing::Auto, Framing::Line, Framing::Silence];
    let framing = framings[usize::from(framing) % framings.len()];
    let heard = converse(framing, |client, simulation| {
        for &byte in bytes {
            happen(byte, client, simulation);
        }
        simulation.run_for(LONG)
    });
    assert!(heard.starts_with(b"Welcome!\n"));
}

/// Runs a whole server among its clients and checks every invariant. The bytes decide the fault
/// schedule, the limits and the clients.
pub fn reactor(bytes: &[u8]) {
    if let Err(wrong) = run_script(bytes, 200).verdict {
        panic!("{wrong}");
    }
}

/// Runs the relay among its clients and servers, as [`reactor`] does: listeners, two-way streams,
/// layers, timers, jobs and calls.
pub fn relay(bytes: &[u8]) {
    if let Err(wrong) = run_relay_script(bytes, 200).verdict {
        panic!("{wrong}");
    }
}

fn happen(byte: u8, client: &Client, simulation: &mut Simulation<Greeter>) {
    match byte {
        0 => client.finish(),
        1 => client.stop_reading(),
        2 => client.resume_reading(),
        3 => client.send(b"exit\n"),
        4 => client.send(&[b'n'; 2000]),
        5..=9 | 11..=31 => {
            simulation.run_for(Duration::from_millis(u64::from(byte) * 10));
        }
        byte => client.send(&[byte]),
    }
}

/// Runs `body` with one client, drains the server, and returns the bytes that the client received.
fn converse(
    framing: Framing,
    body: impl FnOnce(&Client, &mut Simulation<Greeter>) -> Turn,
) -> Vec<u8> {
    let config = Config {
        framing,
        ..Config::default()
    };
    let mut simulation = Simulation::new(Greeter::new(config), Limits::default(), 1);
    let client = simulation.connect();
    simulation.run_for(Duration::from_millis(1));
    body(&client, &mut simulation);
    client.resume_reading();
    simulation.drain();
    simulation.network().stop_poll_at(None);
    assert_eq!(simulation.reactor().open_connections(), 0);
    client.received()
}

const LONG: Duration = Duration::from_secs(70);
