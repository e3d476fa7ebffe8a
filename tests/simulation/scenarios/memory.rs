//! What a connection holds in memory, and for how long.

use oneloop::{CloseReason, Event, Limits, Next};
use oneloop_sim::{Client, LinkProfile, Simulation};

use super::probe::*;

fn wide() -> Limits {
    Limits {
        input_bytes_max: 1 << 20,
        output_bytes_max: 4 << 20,
        ..Limits::default()
    }
}

/// Returns the bytes held for all connections.
fn held(simulation: &Simulation<Probe>) -> usize {
    simulation.reactor().usage().buffered_bytes
}

/// Starts a server with one connection that has sent `bytes`. Its session leaves them unread, and
/// runs `act` when it is woken. All other sessions wake it, and close.
fn with_unread(
    limits: Limits,
    bytes: usize,
    mut act: impl FnMut(Step<'_, '_>) -> Next + 'static,
) -> (Simulation<Probe>, Client) {
    let mut simulation = simulate(limits, move |step| match (step.number, step.event) {
        (0, Event::Wake) => act(step),
        (0, _) => step.read_for(HOUR),
        _ => {
            step.cx.wake(step.ids[0]);
            Next::Close(CloseReason::Completed)
        }
    });
    let client = simulation.connect();
    client.send(&vec![b'x'; bytes]);
    simulation.run_for(10 * SECOND);
    (simulation, client)
}

/// Starts a server whose session has `bytes` of unread input and consumes `consumes` of them at
/// each wake-up.
fn with_consumer(bytes: usize, consumes: usize) -> (Simulation<Probe>, Client) {
    with_unread(wide(), bytes, move |step| {
        step.cx.consume(consumes);
        step.read_for(HOUR)
    })
}

/// Wakes the first session.
fn wake(simulation: &mut Simulation<Probe>) {
    let other = simulation.connect();
    simulation.run_for(SECOND);
    other.close();
    simulation.run_for(SECOND);
}

#[test]
fn unread_input_is_held_in_no_more_than_twice_its_length_and_one_read() {
    for bytes in [1, 5_000, 50_000, 300_000] {
        let (simulation, _client) = with_consumer(bytes, 0);
        let held = held(&simulation);
        let most = 2 * bytes + 8 * 1024;
        assert!((bytes..=most).contains(&held), "{held} for {bytes}");
    }
}

#[test]
fn large_buffer_is_given_back_when_little_of_its_input_is_left() {
    let (mut simulation, _client) = with_consumer(200_000, 199_000);
    assert!(held(&simulation) >= 200_000);
    wake(&mut simulation);
    assert!((1000..20_000).contains(&held(&simulation)));
}

#[test]
fn input_consumed_message_by_message_stays_where_it_is() {
    let (mut simulation, _client) = with_consumer(200_000, 100);
    let before = held(&simulation);
    for _ in 0..10 {
        wake(&mut simulation);
        assert_eq!(held(&simulation), before, "it was copied");
    }
}

#[test]
fn small_buffer_stays_where_it_is() {
    let (mut simulation, _client) = with_consumer(4000, 1900);
    let before = held(&simulation);
    wake(&mut simulation);
    wake(&mut simulation);
    assert_eq!(held(&simulation), before, "it was copied");
}

#[test]
fn input_that_is_all_consumed_leaves_nothing_behind() {
    let (mut simulation, _client) = with_consumer(50_000, 50_000);
    wake(&mut simulation);
    assert_eq!(held(&simulation), 0);
}

#[test]
fn closing_gives_unread_input_back_at_once() {
    let limits = Limits {
        linger_timeout: HOUR,
        linger_bytes_max: 0,
        ..wide()
    };
    let (mut simulation, _client) =
        with_unread(limits, 50_000, |_| Next::Close(CloseReason::Completed));
    assert!(held(&simulation) >= 50_000);
    wake(&mut simulation);
    assert!(simulation.reactor().open_connections() > 0, "it lingers");
    assert_eq!(held(&simulation), 0);
}

/// Starts a server whose session answers with `bytes` to a peer that does not read.
fn with_output(limits: Limits, bytes: usize) -> (Simulation<Probe>, Client) {
    let mut simulation = simulate(limits, move |mut step| {
        if !step.take().is_empty() {
            step.cx.write(&vec![b'x'; bytes]);
        }
        step.read_for(HOUR)
    });
    let client = simulation.connect_over(LinkProfile {
        receive_buffer_bytes: 1000,
        ..LinkProfile::ideal()
    });
    client.stop_reading();
    client.send(b"go");
    while simulation.reactor().counters().bytes_out() == 0 {
        simulation.turn();
    }
    (simulation, client)
}

#[test]
fn output_that_the_kernel_does_not_take_is_held_in_no_more_than_twice_its_length() {
    let kernel = Limits::default().send_buffer_bytes as usize;
    for pending in [1, 100, kernel / 4, kernel / 2, 9 * kernel / 10] {
        let (simulation, _client) = with_output(wide(), kernel + pending);
        let held = held(&simulation);
        let most = 2 * pending + 64;
        assert!((pending..=most).contains(&held), "{held} for {pending}");
    }
}

#[test]
fn output_is_given_back_as_soon_as_it_has_left() {
    let (mut simulation, client) = with_output(wide(), 40_000);
    assert!(held(&simulation) > 0);
    client.resume_reading();
    simulation.run_for(SECOND);
    assert_eq!(client.received().len(), 40_000);
    assert_eq!(held(&simulation), 0);
}

#[test]
fn much_pending_output_gets_a_larger_send_buffer_and_little_does_not() {
    let taken = |bytes| {
        let (mut simulation, _client) = with_output(wide(), bytes);
        simulation.run_for(SECOND);
        simulation.reactor().counters().bytes_out()
    };
    let kernel = u64::from(Limits::default().send_buffer_bytes);
    let (little, much) = (taken(60_000), taken(1_000_000));
    assert!(
        little < 60_000 && much >= little + 6 * kernel,
        "{little}, {much}"
    );
}
