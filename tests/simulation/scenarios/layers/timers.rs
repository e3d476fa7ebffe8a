//! Timers of layers: their keys are independent of those of the session and of each other.

use std::time::Duration;

use oneloop::layer::{Compose, Decoded, Inner, Layer, Layered, Output, Transform, Transformed};
use oneloop::{
    CloseReason, Context, Event, Limits, Next, Peer, Service, ServiceContext, SessionId, Time,
};
use oneloop_sim::Simulation;

use super::super::probe::*;

/// The key of every timer here.
const KEY: u32 = 5;

/// Sets a timer when the session opens, and records when it is due.
struct Alarm {
    after: Duration,
    due: Vec<Time>,
}

impl Alarm {
    fn after(after: Duration) -> Self {
        let due = Vec::new();
        Self { after, due }
    }
}

impl Layer for Alarm {
    /// The session's last answer.
    type State = Next;

    fn open(&mut self, _: &Peer, _: &mut ServiceContext) -> Next {
        Next::Flush
    }

    fn step<S: Service>(
        &mut self,
        last: &mut Next,
        event: Event,
        cx: &mut Context<'_>,
        mut inner: Inner<'_, S>,
    ) -> Next {
        match event {
            Event::Open => cx.set_timer(KEY, cx.after(self.after)),
            Event::Timer(key) => {
                assert_eq!(key, KEY);
                self.due.push(cx.now());
                return *last;
            }
            _ => {}
        }
        *last = inner.step(event, cx);
        *last
    }
}

/// Sets a timer of its own at the opening, and again at the first one.
fn ticking(after: Duration) -> Probe {
    Probe::new(move |step| {
        let ticks = matches!(step.event, Event::Open | Event::Timer(_));
        if ticks && step.cx.now() < Time::START + 2 * after {
            step.cx.set_timer(KEY, step.cx.after(after));
        }
        step.read_for(HOUR)
    })
}

fn seconds(times: &[Time]) -> Vec<u64> {
    let since_start = |time: &Time| (*time - Time::START).as_secs();
    times.iter().map(since_start).collect()
}

#[test]
fn timers_of_layers_and_session_are_kept_apart() {
    let service = ticking(10 * SECOND)
        .with(Alarm::after(7 * SECOND))
        .with(Alarm::after(3 * SECOND));
    let mut simulation = Simulation::new(service, Limits::default(), 1);
    let _client = simulation.connect();
    simulation.run_for(MINUTE);
    let outer: &Layered<Alarm, Layered<Alarm, Probe>> = simulation.reactor().service();
    assert_eq!(seconds(&outer.layer().due), [3]);
    assert_eq!(seconds(&outer.inner().layer().due), [7]);
    let probe = outer.inner().inner();
    let timer = Event::Timer(KEY);
    assert_eq!(probe.events(0), [Event::Open, timer, timer]);
    let first = probe.time_of(Call::Step(0, timer)).expect("a timer");
    assert_eq!(seconds(&[first]), [10]);
    assert_eq!(simulation.reactor().usage().timers, 0);
}

#[test]
fn cancelled_timer_of_a_session_leaves_that_of_its_layer() {
    let service = Probe::new(|step| {
        step.cx.set_timer(KEY, step.cx.after(2 * SECOND));
        step.cx.cancel_timer(KEY);
        step.read_for(HOUR)
    });
    let service = service.with(Alarm::after(3 * SECOND));
    let mut simulation = Simulation::new(service, Limits::default(), 1);
    let client = simulation.connect();
    simulation.run_for(SECOND);
    client.send(b"x");
    simulation.run_for(MINUTE);
    let service = simulation.reactor().service();
    assert_eq!(seconds(&service.layer().due), [3]);
    assert_eq!(service.inner().events(0), [Event::Open, Event::Data]);
}

#[test]
fn timers_of_a_layer_end_with_the_connection() {
    let service = Probe::new(echo).with(Alarm::after(MINUTE));
    let mut simulation = Simulation::new(service, Limits::default(), 1);
    let client = simulation.connect();
    simulation.run_for(SECOND);
    assert_eq!(simulation.reactor().usage().timers, 1);
    client.finish();
    simulation.run_for(SECOND);
    assert_eq!(simulation.reactor().usage(), Default::default());
}

#[test]
fn panic_inside_a_layer_leaves_its_timers_their_depth() {
    let service = Probe::new(|step| {
        assert!(step.number > 0, "as planned");
        step.cx.set_timer(KEY, step.cx.after(2 * SECOND));
        step.read_for(HOUR)
    });
    let service = service
        .with(Alarm::after(SECOND))
        .with(Alarm::after(SECOND));
    let mut simulation = Simulation::new(service, Limits::default(), 1);
    let _panics = simulation.connect();
    simulation.run_for(ms(10));
    let _serves = simulation.connect();
    simulation.run_for(MINUTE);
    let outer = simulation.reactor().service();
    assert_eq!(outer.layer().due.len(), 1);
    assert_eq!(outer.inner().layer().due.len(), 1);
    let events = outer.inner().inner().events(1);
    assert_eq!(events[..2], [Event::Open, Event::Timer(KEY)]);
}

/// Passes all events on, its own timer too.
struct Blind;

impl Layer for Blind {
    type State = SessionId;

    fn open(&mut self, peer: &Peer, _: &mut ServiceContext) -> SessionId {
        peer.id
    }

    fn step<S: Service>(
        &mut self,
        _: &mut SessionId,
        event: Event,
        cx: &mut Context<'_>,
        mut inner: Inner<'_, S>,
    ) -> Next {
        if event == Event::Open {
            cx.set_timer(KEY, cx.after(SECOND));
        }
        inner.step(event, cx)
    }
}

#[test]
fn timer_that_a_layer_passes_on_wakes_the_session() {
    let service = Probe::new(echo).with(Blind);
    let mut simulation = Simulation::new(service, Limits::default(), 1);
    let _client = simulation.connect();
    simulation.run_for(2 * SECOND);
    let probe = simulation.reactor().service().inner();
    assert_eq!(probe.events(0), [Event::Open, Event::Wake]);
}

/// Changes no byte, and counts its calls that a timer of its own causes.
struct Heartbeat(u32);

impl Transform for Heartbeat {
    /// The time of the next beat.
    type State = Time;

    fn open(&mut self, _: &Peer, _: &mut ServiceContext) -> Time {
        Time::START
    }

    fn decode(
        &mut self,
        next: &mut Time,
        cx: &mut Context<'_>,
        plain: &mut Vec<u8>,
    ) -> Result<Decoded, CloseReason> {
        if *next <= cx.now() {
            *next = cx.after(10 * SECOND);
            cx.set_timer(KEY, *next);
            cx.write(b".");
            self.0 += 1;
        }
        plain.extend_from_slice(cx.input());
        cx.consume(cx.input().len());
        Ok(Decoded::All)
    }

    fn encode(&mut self, _: &mut Time, plain: &Output, cx: &mut Context<'_>) {
        plain.pieces().for_each(|piece| cx.write(piece));
    }
}

#[test]
fn timer_of_a_transformation_is_its_own() {
    let service = ticking(15 * SECOND).with(Transformed::new(Heartbeat(0)));
    let mut simulation = Simulation::new(service, Limits::default(), 1);
    let client = simulation.connect();
    simulation.run_for(MINUTE);
    let service = simulation.reactor().service();
    assert_eq!(service.layer().transform().0, 6);
    assert_eq!(client.received(), b"......");
    let timer = Event::Timer(KEY);
    assert_eq!(service.inner().events(0), [Event::Open, timer, timer]);
}
