//! Calls of other threads, and requests to stop.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use oneloop::{
    CallError, EndReason, Event, Handle, Limits, Reply, ReplyError, ServiceContext, Time, Turn,
};
use oneloop_sim::{Network, Simulation};

use super::probe::*;

fn at(millis: u64) -> Time {
    Time::START + ms(millis)
}

/// Notes a call under the number `key`, as a timer of the service.
fn called(key: u64) -> impl FnOnce(&mut Probe, &mut ServiceContext) + Send {
    move |probe, cx| probe.calls.push((cx.now(), Call::Timer(key)))
}

/// Returns the keys of the calls, and their times in milliseconds.
fn calls_of(simulation: &Simulation<Probe>) -> Vec<(u64, u128)> {
    let call = |&(when, call): &(Time, Call)| match call {
        Call::Timer(key) => Some((key, (when - Time::START).as_millis())),
        _ => None,
    };
    let calls = &simulation.reactor().service().calls;
    calls.iter().filter_map(call).collect()
}

/// Runs `act` as another thread at a time, and returns its result once that has come.
fn act_at<T: 'static>(
    network: &Network,
    when: Time,
    act: impl FnOnce() -> T + 'static,
) -> Rc<RefCell<Option<T>>> {
    let result = Rc::new(RefCell::new(None));
    let to = Rc::clone(&result);
    network.act_at(when, move || *to.borrow_mut() = Some(act()));
    result
}

fn take<T>(result: &RefCell<Option<T>>) -> T {
    result.borrow_mut().take().expect("its time has come")
}

#[test]
fn call_wakes_the_sleeping_loop_and_a_session() {
    let mut simulation = simulate(Limits::default(), echo);
    let client = simulation.connect();
    simulation.run_for(ms(10));
    let id = simulation.reactor().service().peers[0].id;
    simulation.call_at(at(5000), move |probe, cx| {
        called(1)(probe, cx);
        cx.wake(id);
    });
    simulation.run_for(6 * SECOND);
    assert_eq!(calls_of(&simulation), [(1, 5000)]);
    let events = simulation.reactor().service().events(0);
    assert_eq!(events, [Event::Open, Event::Wake]);
    assert!(!client.at_end());
    assert_eq!(simulation.reactor().counters().calls(), 1);
    assert!(simulation.reactor().counters().turns() < 10);
}

#[test]
fn calls_of_a_turn_end_at_their_bound_and_the_others_follow_in_order() {
    let limits = Limits {
        turn_calls_max: 4,
        ..Limits::default()
    };
    let mut simulation = simulate(limits, echo);
    let handle = simulation.reactor_mut().handle();
    for key in 0..10 {
        assert_eq!(handle.run(called(key)), Ok(()));
    }
    let mut done = Vec::new();
    while done.last() != Some(&10) {
        simulation.turn();
        done.push(calls_of(&simulation).len());
        // More calls come while the first are carried out: they wait for their turn.
        if done.len() == 1 {
            assert_eq!(handle.run(called(10)), Ok(()));
        }
    }
    assert_eq!(done, [4, 8, 10]);
    simulation.turn();
    let keys = calls_of(&simulation).into_iter().map(|(key, _)| key);
    assert_eq!(keys.collect::<Vec<_>>(), Vec::from_iter(0..=10));
}

#[test]
fn call_beyond_the_maximum_is_refused_until_the_loop_looks() {
    let limits = Limits {
        calls_max: 3,
        ..Limits::default()
    };
    let mut simulation = simulate(limits, echo);
    let handle = simulation.reactor_mut().handle();
    for round in 0..3 {
        for _ in 0..3 {
            assert_eq!(handle.run(called(round)), Ok(()));
        }
        assert_eq!(handle.run(called(99)), Err(CallError::Busy));
        assert!(handle.ask(|_, _| ()).is_err());
        simulation.turn();
    }
    assert_eq!(calls_of(&simulation).len(), 9);
}

#[test]
fn panic_of_a_call_is_counted_and_the_next_one_carried_out() {
    let mut simulation = simulate(Limits::default(), echo);
    let handle = simulation.reactor_mut().handle();
    let mut reply = handle
        .ask(|_, _| -> u32 { std::panic::resume_unwind(Box::new("as planned")) })
        .expect("room");
    assert_eq!(handle.run(called(1)), Ok(()));
    simulation.turn();
    assert_eq!(reply.try_take(), Err(ReplyError::Abandoned));
    assert_eq!(calls_of(&simulation).len(), 1);
    let counters = simulation.reactor().counters();
    assert_eq!((counters.service_panics(), counters.calls()), (1, 2));
}

#[test]
fn answers_and_counters_are_sent_back() {
    let mut simulation = simulate(Limits::default(), echo);
    let handle = simulation.reactor_mut().handle();
    let _clients = [simulation.connect(), simulation.connect()];
    let asked = handle.clone();
    let replies = act_at(simulation.network(), at(100), move || {
        let peers = asked.ask(|probe, _| probe.peers.len()).expect("room");
        (peers, asked.counters().expect("room"))
    });
    simulation.run_for(SECOND);
    let (mut peers, mut counters) = take(&replies);
    assert_eq!(peers.try_take(), Ok(2));
    assert_eq!(peers.try_take(), Err(ReplyError::Abandoned));
    assert_eq!(
        counters.wait(Duration::ZERO).expect("an answer").accepted(),
        2
    );
}

#[test]
fn waiting_on_the_thread_of_the_loop_fails_at_once() {
    let mut simulation = simulate(Limits::default(), echo);
    let handle = simulation.reactor_mut().handle();
    simulation.run_for(ms(1));
    let mut reply = handle.ask(|_, _| 7).expect("room");
    assert_eq!(reply.wait(ms(100)), Err(ReplyError::OnLoopThread));
    simulation.turn();
    assert_eq!(reply.wait(ms(100)), Ok(7));
}

#[test]
fn handle_stops_the_loop_though_its_queue_is_full() {
    let limits = Limits {
        calls_max: 2,
        turn_calls_max: 1,
        ..Limits::default()
    };
    let mut simulation = simulate(limits, echo);
    let _client = simulation.connect();
    simulation.run_for(ms(10));
    let handle = simulation.reactor_mut().handle();
    let stopped = act_at(simulation.network(), at(5000), move || {
        while handle.run(called(1)).is_ok() {}
        handle.stop();
    });
    simulation.run_for(20 * SECOND);
    take(&stopped);
    let probe = simulation.reactor().service();
    assert_eq!(probe.end(0), Some(EndReason::Shutdown));
    assert_eq!(probe.time_of(Call::Draining(1)), Some(at(5000)));
}

/// Asks `handle`, and returns the reply.
fn ask(handle: &Handle<Probe>) -> Reply<u32> {
    handle.ask(|_, _| 7).expect("room for a call")
}

#[test]
fn calls_during_a_drain_are_carried_out_and_those_after_it_refused() {
    // A session that ignores the drain, which then takes its whole time.
    let mut simulation = simulate(Limits::default(), |mut step| {
        step.take();
        step.pause_for(HOUR)
    });
    let _client = simulation.connect();
    simulation.run_for(ms(10));
    let handle = simulation.reactor_mut().handle();
    simulation.network().stop_at(at(1000));
    let asked = handle.clone();
    let during = act_at(simulation.network(), at(5000), move || ask(&asked));
    assert!(matches!(simulation.run_for(HOUR), Turn::Stopped(_)));
    assert_eq!(take(&during).try_take(), Ok(7));
    assert_eq!(handle.run(called(1)), Err(CallError::Stopped));
    assert_eq!(handle.ask(|_, _| 7).err(), Some(CallError::Stopped));
}

#[test]
fn calls_that_wait_when_the_loop_stops_are_abandoned() {
    let limits = Limits {
        turn_calls_max: 2,
        ..Limits::default()
    };
    let mut simulation = simulate(limits, echo);
    let handle = simulation.reactor_mut().handle();
    let mut replies: Vec<_> = (0..5).map(|_| ask(&handle)).collect();
    handle.stop();
    simulation.drain();
    let answers: Vec<_> = replies.iter_mut().map(Reply::try_take).collect();
    let abandoned = Err(ReplyError::Abandoned);
    assert_eq!(answers[..2], [Ok(7), Ok(7)]);
    assert_eq!(answers[4], abandoned);
    assert!(!answers.contains(&Err(ReplyError::TimedOut)), "{answers:?}");
}

#[test]
fn calls_that_wait_when_the_reactor_is_dropped_are_abandoned() {
    let mut simulation = simulate(Limits::default(), echo);
    let handle = simulation.reactor_mut().handle();
    let mut reply = ask(&handle);
    drop(simulation);
    assert_eq!(reply.wait(ms(100)), Err(ReplyError::Abandoned));
    assert_eq!(handle.run(called(1)), Err(CallError::Stopped));
    handle.stop();
}

#[test]
fn call_that_is_dropped_may_use_the_handle() {
    /// Calls again when it is dropped.
    struct Again(Handle<Probe>);
    impl Drop for Again {
        fn drop(&mut self) {
            assert_eq!(self.0.run(called(1)), Err(CallError::Stopped));
        }
    }
    let mut simulation = simulate(Limits::default(), echo);
    let handle = simulation.reactor_mut().handle();
    let again = Again(handle.clone());
    assert_eq!(handle.run(move |_, _| drop(again)), Ok(()));
    drop(simulation);
}
