//! Timers with keys, of sessions and of the service.

use oneloop::{CloseReason, EndReason, Event, Limits, Next, Time, Usage};
use oneloop_sim::{Faults, LinkProfile, Simulation};

use super::probe::*;

/// Sets the timers `(key, millis)` when a session opens, and waits 10 s for input.
fn timers<const COUNT: usize>(
    timers: [(u32, u64); COUNT],
) -> impl FnMut(Step<'_, '_>) -> Next + 'static {
    move |mut step| {
        step.take();
        if step.event == Event::Open {
            for (key, millis) in timers {
                let at = step.cx.after(ms(millis));
                step.cx.set_timer(key, at);
            }
        }
        match step.event {
            Event::Timeout => Next::Close(CloseReason::Timeout),
            _ => Next::Read {
                until: Time::START + 10 * SECOND,
            },
        }
    }
}

/// Returns the time from the opening of session `number` to its first such event.
fn wait(simulation: &Simulation<Probe>, number: u32, event: Event) -> std::time::Duration {
    let probe = simulation.reactor().service();
    let opened = probe.time_of(Call::Step(number, Event::Open)).unwrap();
    let came = probe.time_of(Call::Step(number, event));
    came.unwrap_or_else(|| panic!("{event:?} has not come")) - opened
}

#[test]
fn timers_of_a_session_come_once_on_time_and_leave_its_deadline_alone() {
    let all = [(7, 3000), (0, 1000), (u32::MAX, 2000)];
    let mut simulation = simulate(Limits::default(), timers(all));
    let _client = simulation.connect();
    simulation.run_for(MINUTE);
    for (key, millis) in all {
        let waited = wait(&simulation, 0, Event::Timer(key));
        let range = ms(millis)..ms(millis + 3);
        assert!(range.contains(&waited), "{key}: {waited:?}");
    }
    let events = [
        Event::Open,
        Event::Timer(0),
        Event::Timer(u32::MAX),
        Event::Timer(7),
        Event::Timeout,
    ];
    let probe = simulation.reactor().service();
    assert_eq!(probe.events(0), events);
    let ended = probe.time_of(Call::Step(0, Event::Timeout)).unwrap();
    assert!(ended - (Time::START + 10 * SECOND) < ms(3), "{ended:?}");
}

#[test]
fn timer_set_again_moves_and_cancelled_does_not_come() {
    let mut simulation = simulate(Limits::default(), |mut step| {
        let said = step.take();
        let in_a_second = step.cx.after(SECOND);
        match &said[..] {
            b"set" => step.cx.set_timer(1, in_a_second),
            b"cancel" => step.cx.cancel_timer(1),
            _ => {}
        }
        step.read_for(HOUR)
    });
    let client = simulation.connect();
    client.send(b"set");
    for _ in 0..10 {
        simulation.run_for(ms(900));
        client.send(b"set");
    }
    let timer = Event::Timer(1);
    let fired = |simulation: &Simulation<Probe>| {
        let events = simulation.reactor().service().events(0);
        events.iter().filter(|&&event| event == timer).count()
    };
    assert_eq!(fired(&simulation), 0);
    simulation.run_for(ms(990));
    assert_eq!(fired(&simulation), 0);
    simulation.run_for(ms(20));
    assert_eq!(fired(&simulation), 1);
    client.send(b"set");
    simulation.run_for(ms(500));
    client.send(b"cancel");
    simulation.run_for(MINUTE);
    assert_eq!(fired(&simulation), 1);
}

#[test]
fn timers_are_not_shortened_on_a_full_server() {
    let limits = Limits {
        connections_max: 10,
        ..Limits::default()
    };
    let mut simulation = simulate(limits, |mut step| {
        step.take();
        if step.event == Event::Open {
            let at = step.cx.after(MINUTE);
            step.cx.set_timer(1, at);
        }
        match step.event {
            Event::Timeout => Next::Pause {
                until: Time::UNBOUNDED,
            },
            _ => step.read_for(MINUTE),
        }
    });
    let _clients: Vec<_> = (0..10).map(|_| simulation.connect()).collect();
    simulation.run_for(2 * MINUTE);
    for number in 0..10 {
        let shortened = wait(&simulation, number, Event::Timeout);
        assert!(shortened < 16 * SECOND, "{shortened:?}");
        let kept = wait(&simulation, number, Event::Timer(1));
        assert!((MINUTE..MINUTE + ms(3)).contains(&kept), "{kept:?}");
    }
}

#[test]
fn timers_due_while_output_is_pending_come_after_it_has_left() {
    let mut simulation = simulate(Limits::default(), |mut step| {
        step.take();
        if step.event == Event::Data {
            let at = step.cx.after(ms(100));
            step.cx.set_timer(1, at);
            step.cx.set_timer(2, at);
            step.cx.write(&[b'x'; 500_000]);
        }
        step.read_for(HOUR)
    });
    let client = simulation.connect_over(LinkProfile {
        receive_buffer_bytes: 1000,
        ..LinkProfile::ideal()
    });
    client.stop_reading();
    client.send(b"more than fits");
    simulation.run_for(SECOND);
    let before = [Event::Open, Event::Data];
    assert_eq!(simulation.reactor().service().events(0), before);
    client.resume_reading();
    simulation.run_for(SECOND);
    let all = [
        Event::Open,
        Event::Data,
        Event::Flushed,
        Event::Timer(1),
        Event::Timer(2),
    ];
    assert_eq!(simulation.reactor().service().events(0), all);
    assert_eq!(client.received().len(), 500_000);
}

#[test]
fn timer_comes_to_a_session_in_full_duplex_while_its_output_is_pending() {
    let mut simulation = simulate(Limits::default(), |mut step| {
        step.take();
        match step.event {
            Event::Open => step.cx.set_duplex(true),
            Event::Data => {
                let at = step.cx.after(ms(100));
                step.cx.set_timer(1, at);
                step.cx.write(&[b'x'; 500_000]);
            }
            _ => {}
        }
        step.read_for(HOUR)
    });
    let client = simulation.connect_over(LinkProfile {
        receive_buffer_bytes: 1000,
        ..LinkProfile::ideal()
    });
    client.stop_reading();
    simulation.run_for(ms(10));
    client.send(b"more than fits");
    simulation.run_for(SECOND);
    let events = simulation.reactor().service().events(0);
    assert_eq!(events, [Event::Open, Event::Data, Event::Timer(1)]);
    client.resume_reading();
    simulation.run_for(SECOND);
    assert_eq!(client.received().len(), 500_000);
}

#[test]
fn timer_comes_to_a_session_that_does_not_read() {
    let mut simulation = simulate(Limits::default(), |step| {
        if step.event == Event::Open {
            let at = step.cx.after(SECOND);
            step.cx.set_timer(1, at);
        }
        step.pause_for(HOUR)
    });
    let client = simulation.connect();
    client.send(b"not read");
    simulation.run_for(2 * SECOND);
    let events = simulation.reactor().service().events(0);
    assert_eq!(events, [Event::Open, Event::Timer(1)]);
}

#[test]
fn timers_end_with_their_session_and_do_not_come_to_the_next() {
    let mut simulation = simulate(Limits::default(), |mut step| {
        step.take();
        if step.number == 0 {
            for key in 0..100 {
                let at = step.cx.after(SECOND);
                step.cx.set_timer(key, at);
            }
        }
        match step.event {
            Event::Eof => Next::Close(CloseReason::Eof),
            _ => step.read_for(HOUR),
        }
    });
    let first = simulation.connect();
    simulation.run_for(ms(10));
    assert_eq!(simulation.reactor().usage().timers, 100);
    first.close();
    simulation.run_for(ms(10));
    assert_eq!(simulation.reactor().usage(), Usage::default());
    let _second = simulation.connect();
    simulation.run_for(MINUTE);
    let probe = simulation.reactor().service();
    assert_eq!(probe.events(0), [Event::Open, Event::Eof]);
    assert_eq!(probe.events(1), [Event::Open]);
}

#[test]
fn timer_does_not_come_to_a_session_that_has_closed() {
    let mut simulation = simulate(Limits::default(), |step| {
        let at = step.cx.after(ms(100));
        step.cx.set_timer(1, at);
        Next::Close(CloseReason::Completed)
    });
    // It lingers, because its client does not close.
    let _client = simulation.connect();
    simulation.run_for(SECOND);
    let probe = simulation.reactor().service();
    assert_eq!(probe.events(0), [Event::Open]);
    assert_eq!(simulation.reactor().open_connections(), 1);
    simulation.run_for(5 * SECOND);
    assert_eq!(simulation.reactor().usage(), Usage::default());
}

#[test]
fn input_that_came_before_a_timer_counts_though_its_event_is_late() {
    let mut simulation = simulate(Limits::default(), |mut step| {
        step.take();
        match step.event {
            Event::Open => {
                let at = step.cx.after(SECOND);
                step.cx.set_timer(1, at);
            }
            Event::Data if step.number % 2 == 0 => step.cx.cancel_timer(1),
            Event::Data => {
                let later = step.cx.after(HOUR);
                step.cx.set_timer(1, later);
            }
            Event::Timer(_) => return Next::Close(CloseReason::Timeout),
            _ => {}
        }
        step.read_for(HOUR)
    });
    let clients: Vec<_> = (0..50).map(|_| simulation.connect()).collect();
    simulation.run_for(ms(985));
    simulation.network().set_faults(Faults {
        late_events: 1.0,
        ..Faults::NONE
    });
    clients.iter().for_each(|client| client.send(b"in time"));
    simulation.run_for(SECOND);
    let gone = clients.iter().filter(|client| client.at_end()).count();
    assert_eq!(gone, 0, "cut off though they had sent");
}

#[test]
fn timers_of_one_turn_end_at_their_bound_and_the_others_follow() {
    let limits = Limits {
        turn_deadlines_max: 4,
        ..Limits::default()
    };
    let mut simulation = simulate(limits, timers([(1, 1000)]));
    let _clients: Vec<_> = (0..30).map(|_| simulation.connect()).collect();
    simulation.run_for(ms(990));
    simulation.network().stop_poll_at(None);
    let mut fired = Vec::new();
    while fired.iter().sum::<usize>() < 30 {
        let before = simulation.reactor().service().calls.len();
        simulation.turn();
        let calls = &simulation.reactor().service().calls[before..];
        let timer = |&&(_, call): &&(_, Call)| matches!(call, Call::Step(_, Event::Timer(_)));
        fired.push(calls.iter().filter(timer).count());
        assert!(fired.len() < 200, "{fired:?}");
    }
    assert_eq!(fired.iter().max(), Some(&4), "{fired:?}");
}

#[test]
fn timer_of_the_past_comes_once_a_turn_and_holds_up_no_other() {
    let mut simulation = simulate(Limits::default(), |mut step| {
        step.take();
        match step.number {
            0 => step.cx.set_timer(1, Time::START),
            _ if step.event == Event::Open => {
                let at = step.cx.after(SECOND);
                step.cx.set_timer(1, at);
            }
            _ => {}
        }
        step.read_for(HOUR)
    });
    let _restless = simulation.connect();
    let _patient = simulation.connect();
    simulation.turn();
    let mut most = 0;
    while simulation.network().time() < Time::START + ms(1010) {
        let before = simulation.reactor().service().events(0).len();
        simulation.turn();
        most = most.max(simulation.reactor().service().events(0).len() - before);
        // A simulated turn takes no time.
        simulation.network().advance(ms(1));
    }
    assert_eq!(most, 1);
    assert!(wait(&simulation, 1, Event::Timer(1)) < ms(1005));
}

#[test]
fn panic_at_a_timer_ends_that_session_alone() {
    let mut simulation = simulate(Limits::default(), |step| {
        match step.event {
            Event::Open => {
                for key in [1, 2] {
                    let at = step.cx.after(SECOND);
                    step.cx.set_timer(key, at);
                }
            }
            Event::Timer(1) if step.number % 2 == 0 => {
                std::panic::resume_unwind(Box::new("as planned"))
            }
            _ => {}
        }
        step.read_for(HOUR)
    });
    let _clients: Vec<_> = (0..10).map(|_| simulation.connect()).collect();
    simulation.run_for(2 * SECOND);
    let reactor = simulation.reactor();
    let both = [Event::Open, Event::Timer(1), Event::Timer(2)];
    for number in 0..10 {
        if number % 2 == 0 {
            assert_eq!(reactor.service().end(number), Some(EndReason::Panicked));
        } else {
            assert_eq!(reactor.service().events(number), both);
        }
    }
    assert_eq!(reactor.usage().timers, 0);
}

#[test]
fn timers_of_the_service_are_independent_of_each_other_and_of_sessions() {
    let mut simulation = simulate(Limits::default(), |step| {
        for (key, wait) in [(1, SECOND), (2, 2 * SECOND), (u64::MAX, 3 * SECOND)] {
            let at = step.cx.after(wait);
            step.cx.set_service_timer(key, at);
            step.cx.set_timer(1, at + SECOND);
        }
        step.cx.cancel_service_timer(2);
        Next::Close(CloseReason::Completed)
    });
    let client = simulation.connect();
    simulation.run_for(ms(1));
    client.close();
    simulation.run_for(MINUTE);
    let probe = simulation.reactor().service();
    let calls = [
        Call::Open(0),
        Call::Step(0, Event::Open),
        Call::Closed(0, EndReason::Completed),
        Call::Timer(1),
        Call::Timer(u64::MAX),
    ];
    assert_eq!(probe.calls(), calls);
    assert_eq!(simulation.reactor().usage(), Usage::default());
}

#[test]
fn timer_set_by_its_own_call_before_a_panic_keeps_its_time() {
    let mut simulation = simulate(Limits::default(), |step| {
        let at = step.cx.after(SECOND);
        step.cx.set_service_timer(1, at);
        step.read_for(HOUR)
    });
    simulation.reactor_mut().service_mut().besides = Box::new(|call, cx| {
        if call == Call::Timer(1) {
            let at = cx.after(10 * SECOND);
            cx.set_service_timer(1, at);
            std::panic::resume_unwind(Box::new("as planned"));
        }
    });
    let _client = simulation.connect();
    simulation.run_for(ms(10_900));
    assert_eq!(simulation.reactor().service().count(Call::Timer(1)), 1);
    simulation.run_for(ms(200));
    assert_eq!(simulation.reactor().service().count(Call::Timer(1)), 2);
}

#[test]
fn loop_sleeps_until_a_timer() {
    let mut simulation = simulate(Limits::default(), |step| {
        let at = step.cx.after(HOUR);
        step.cx.set_timer(1, at);
        step.cx.set_service_timer(1, at + HOUR);
        Next::Read {
            until: Time::UNBOUNDED,
        }
    });
    let _clients: Vec<_> = (0..100).map(|_| simulation.connect()).collect();
    simulation.run_for(SECOND);
    let before = simulation.reactor().counters().turns();
    simulation.run_for(50 * MINUTE);
    assert!(simulation.reactor().counters().turns() - before < 5);
}
