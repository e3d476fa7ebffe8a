//! Observing layers: idle, meter and rate limit.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use oneloop::layer::{
    Compose, Idle, Inner, Layer, Layered, Lines, Meter, Rate, RateLimit, Traffic,
};
use oneloop::{
    CloseReason, Context, EndReason, Event, Limits, Next, Peer, Service, ServiceContext, Time,
};
use oneloop_sim::{Client, LinkProfile, Simulation};

use super::super::probe::*;

/// Returns a server whose sessions run `act` inside `layer`, and a client.
fn within<L: Layer>(
    layer: L,
    act: impl FnMut(Step<'_, '_>) -> Next + 'static,
) -> (Simulation<Layered<L, Probe>>, Client) {
    let service = Probe::new(act).with(layer);
    let mut simulation = Simulation::new(service, Limits::default(), 1);
    let client = simulation.connect();
    simulation.run_for(ms(1));
    (simulation, client)
}

fn probe<L: Layer>(simulation: &Simulation<Layered<L, Probe>>) -> &Probe {
    simulation.reactor().service().inner()
}

// Idle

#[test]
fn idle_connection_ends_after_its_time() {
    let (mut simulation, client) = within(Idle::after(10 * SECOND), echo);
    for _ in 0..5 {
        simulation.run_for(9 * SECOND);
        client.send(b"x");
    }
    simulation.run_for(ms(10) + 9 * SECOND);
    assert_eq!(simulation.reactor().open_connections(), 1);
    simulation.run_for(SECOND);
    client.close();
    simulation.run_for(ms(10));
    assert_eq!(probe(&simulation).end(0), Some(EndReason::Timeout));
    assert!(!probe(&simulation).events(0).contains(&Event::Timeout));
}

#[test]
fn earlier_deadline_of_the_session_is_its_own() {
    let (mut simulation, client) =
        within(Idle::after(10 * SECOND), |step| step.read_for(4 * SECOND));
    simulation.run_for(9 * SECOND);
    let events = probe(&simulation).events(0);
    assert_eq!(events, [Event::Open, Event::Timeout, Event::Timeout]);
    // Its time-outs move no byte.
    simulation.run_for(2 * SECOND);
    client.close();
    simulation.run_for(ms(10));
    assert_eq!(probe(&simulation).events(0).len(), 3);
    assert_eq!(probe(&simulation).end(0), Some(EndReason::Timeout));
}

#[test]
fn session_that_only_writes_is_not_idle() {
    let (mut simulation, client) = within(Idle::after(3 * SECOND), |step| {
        step.cx.write(b"tick");
        step.pause_for(SECOND)
    });
    simulation.run_for(MINUTE);
    assert!(client.received().len() > 4 * 55);
    assert_eq!(simulation.reactor().open_connections(), 1);
}

#[test]
fn slow_reader_is_not_idle() {
    let limits = Limits {
        send_buffer_bytes: 1000,
        write_progress_bytes: 1,
        ..Limits::default()
    };
    let service = Probe::new(|step| {
        if step.event == Event::Open {
            step.cx.write(&[0; 50_000]);
        }
        step.read_for(HOUR)
    });
    let service = service.with(Idle::after(3 * SECOND));
    let mut simulation = Simulation::new(service, limits, 1);
    connect_sipping(&simulation, 1000, 1000);
    simulation.run_for(45 * SECOND);
    assert_eq!(probe(&simulation).events(0), [Event::Open]);
    assert_eq!(simulation.reactor().open_connections(), 1);
    // It has its whole time after that.
    simulation.run_for(MINUTE);
    assert_eq!(probe(&simulation).events(0), [Event::Open, Event::Flushed]);
    assert_eq!(probe(&simulation).end(0), Some(EndReason::Timeout));
    let time_of = |call| probe(&simulation).time_of(call).expect("it was made");
    let flushed = time_of(Call::Step(0, Event::Flushed));
    let ended = time_of(Call::Closed(0, EndReason::Timeout));
    assert!(ended - flushed >= 3 * SECOND, "{:?}", ended - flushed);
}

#[test]
fn shortened_idle_time_is_the_layer_s() {
    let limits = Limits {
        connections_max: 10,
        ..Limits::default()
    };
    let service = Probe::new(|step| step.read_for(HOUR)).with(Idle::after(MINUTE));
    let mut simulation = Simulation::new(service, limits, 1);
    let clients: Vec<_> = (0..10).map(|_| simulation.connect()).collect();
    simulation.run_for(20 * SECOND);
    clients.iter().for_each(Client::close);
    simulation.run_for(SECOND);
    let probe = probe(&simulation);
    for number in 0..10 {
        assert_eq!(probe.events(number), [Event::Open], "session {number}");
        assert_eq!(probe.end(number), Some(EndReason::Timeout));
    }
}

// Meter

type Reports = Rc<RefCell<Vec<(EndReason, Traffic)>>>;

fn reporting() -> (Reports, impl FnMut(&Peer, EndReason, &Traffic)) {
    let reports = Reports::default();
    let report = {
        let reports = Rc::clone(&reports);
        move |_: &Peer, reason, traffic: &Traffic| reports.borrow_mut().push((reason, *traffic))
    };
    (reports, report)
}

#[test]
fn traffic_of_a_session_is_reported_at_its_end() {
    let (reports, report) = reporting();
    let (mut simulation, client) = within(Meter::new(report).messages(Lines), |step| {
        // It consumes whole lines.
        let input = step.cx.input();
        let end = input.iter().rposition(|&byte| byte == b'\n');
        let bytes = end.map_or(0, |end| end + 1);
        step.cx.consume(bytes);
        step.cx.write(&vec![b'.'; 3 * bytes]);
        match step.event {
            Event::Eof => Next::Close(CloseReason::Eof),
            _ => step.read_for(HOUR),
        }
    });
    for piece in [&b"on"[..], b"e\ntwo\nth", b"ree\n", b"rest"] {
        client.send(piece);
        simulation.run_for(SECOND);
    }
    assert!(reports.borrow().is_empty());
    client.finish();
    simulation.run_for(ms(1));
    let (reason, traffic) = reports.borrow()[0];
    assert_eq!(reason, EndReason::Eof);
    assert_eq!((traffic.bytes_in, traffic.bytes_out), (18, 42));
    assert_eq!(traffic.messages, 3);
    let duration = traffic.duration.as_secs_f64();
    assert!((3.9..4.2).contains(&duration), "{duration}");
    assert_eq!(reports.borrow().len(), 1);
}

#[test]
fn session_that_panics_is_reported_too() {
    let (reports, report) = reporting();
    let (mut simulation, client) = within(Meter::new(report), |step| {
        assert!(step.event == Event::Open, "as planned");
        step.read_for(HOUR)
    });
    client.send(b"x");
    simulation.run_for(SECOND);
    assert_eq!(reports.borrow().len(), 1);
    assert_eq!(reports.borrow()[0].0, EndReason::Panicked);
}

// Rate limit

/// Consumes lines and answers each with a dot.
fn dots(step: Step<'_, '_>) -> Next {
    let input = step.cx.input();
    let end = input.iter().rposition(|&byte| byte == b'\n');
    let whole = &input[..end.map_or(0, |end| end + 1)];
    let lines = whole.iter().filter(|&&byte| byte == b'\n').count();
    step.cx.consume(whole.len());
    step.cx.write(&vec![b'.'; lines]);
    match step.event {
        Event::Eof => Next::Close(CloseReason::Eof),
        Event::Timeout => Next::Close(CloseReason::Timeout),
        Event::Drain => Next::Close(CloseReason::Shutdown),
        _ => step.read_for(MINUTE),
    }
}

#[test]
fn session_is_slowed_down_to_its_rate_after_its_burst() {
    let rate = Rate::per_second(10, 5);
    let (mut simulation, client) = within(RateLimit::of(Lines).per_session(rate), dots);
    client.send(&b"line\n".repeat(3));
    let mut answered = 0;
    for _ in 0..1000 {
        simulation.run_for(ms(10));
        let more = client.received().len();
        answered += more;
        client.send(&b"line\n".repeat(more));
    }
    // Ten seconds at this rate, the burst, and one step more.
    assert!((100..=110).contains(&answered), "{answered}");
    simulation.run_for(10 * SECOND);
    assert!(client.received().len() <= 3);
    // The burst is free again after a pause.
    client.send(&b"line\n".repeat(5));
    simulation.run_for(ms(5));
    assert_eq!(client.received().len(), 5);
}

#[test]
fn input_that_arrives_too_fast_is_kept_and_consumed_at_the_rate() {
    let rate = Rate::per_second(10, 5);
    let (mut simulation, client) = within(RateLimit::of(Lines).per_session(rate), dots);
    let mut answered = 0;
    for second in 0..60 {
        // Twice as fast.
        (0..20).for_each(|_| client.send(b"line\n"));
        simulation.run_for(SECOND);
        answered += client.received().len();
        let backlog = Limits::default().input_bytes_max / b"line\n".len();
        assert!(answered <= 10 * (second + 1) + 5 + backlog);
    }
    simulation.run_for(MINUTE);
    answered += client.received().len();
    assert_eq!(answered, 60 * 20, "nothing is lost");
}

#[test]
fn end_of_the_stream_waits_behind_unread_input() {
    let rate = Rate::per_second(10, 1);
    let (mut simulation, client) = within(RateLimit::of(Lines).per_session(rate), dots);
    client.send(&b"a\n".repeat(20));
    simulation.run_for(ms(10));
    assert_eq!(client.received().len(), 20);
    client.send(b"b\n");
    client.finish();
    simulation.run_for(SECOND);
    assert_eq!(client.received(), b"");
    simulation.run_for(SECOND);
    assert_eq!(client.received(), b".");
    assert_eq!(probe(&simulation).end(0), Some(EndReason::Eof));
}

#[test]
fn end_of_the_stream_without_input_comes_at_once() {
    let rate = Rate::per_second(10, 1);
    let (mut simulation, client) = within(RateLimit::of(Lines).per_session(rate), dots);
    client.send(&b"a\n".repeat(20));
    simulation.run_for(ms(10));
    client.finish();
    simulation.run_for(ms(10));
    assert_eq!(probe(&simulation).end(0), Some(EndReason::Eof));
}

#[test]
fn deadline_of_a_session_that_is_held_back_is_its_own() {
    let rate = Rate::per_second(1, 1);
    let (mut simulation, client) = within(RateLimit::of(Lines).per_session(rate), dots);
    client.send(&b"a\n".repeat(100));
    simulation.run_for(MINUTE + SECOND);
    client.close();
    simulation.run_for(ms(10));
    assert_eq!(probe(&simulation).end(0), Some(EndReason::Timeout));
    let ended = probe(&simulation).time_of(Call::Step(0, Event::Timeout));
    let after = ended.expect("a timeout") - Time::START;
    assert!((MINUTE..MINUTE + SECOND).contains(&after), "{after:?}");
}

#[test]
fn sessions_of_one_address_share_its_rate() {
    let rate = Rate::per_second(10, 1);
    let (mut simulation, _) = within(RateLimit::of(Lines).per_address(rate), dots);
    let from = |port: u16, host: u8| ([10, 1, 1, host], port).into();
    let clients: Vec<_> = [(1000, 1), (1001, 1), (1002, 1), (1000, 2)]
        .into_iter()
        .map(|(port, host)| {
            let (network, to) = (simulation.network().clone(), simulation.address());
            network.connect(from(port, host), to, LinkProfile::ideal())
        })
        .collect();
    clients.iter().for_each(|client| client.send(b"line\n"));
    let mut answered = [0; 4];
    for _ in 0..1000 {
        for (client, answered) in clients.iter().zip(&mut answered) {
            let more = client.received().len();
            *answered += more;
            client.send(&b"line\n".repeat(more));
        }
        simulation.run_for(ms(10));
    }
    let together: usize = answered[..3].iter().sum();
    assert!((98..=110).contains(&together), "{answered:?}");
    assert!((98..=110).contains(&answered[3]), "{answered:?}");
}

#[test]
fn address_is_remembered_until_it_has_paid_off() {
    let rate = Rate::per_second(10, 10);
    let (mut simulation, client) = within(RateLimit::of(Lines).per_address(rate), dots);
    let table = |simulation: &Simulation<Layered<RateLimit<Lines>, Probe>>| {
        simulation.reactor().service().layer().addresses()
    };
    client.close();
    simulation.run_for(ms(10));
    assert_eq!(table(&simulation), 0, "there is nothing to remember");
    let network = simulation.network().clone();
    let to = simulation.address();
    let again = |port: u16| network.connect(([10, 1, 1, 1], port).into(), to, LinkProfile::ideal());
    let first = again(1000);
    first.send(&b"line\n".repeat(50));
    simulation.run_for(ms(10));
    assert_eq!(first.received().len(), 50);
    first.close();
    simulation.run_for(ms(10));
    assert_eq!(table(&simulation), 1);
    let second = again(1001);
    second.send(b"line\n");
    simulation.run_for(3 * SECOND);
    let early = second.received().len();
    simulation.run_for(2 * SECOND);
    assert_eq!((early, second.received().len()), (0, 1));
    second.close();
    simulation.run_for(10 * SECOND);
    // The table is cleared at the next call.
    let _other = simulation.connect();
    simulation.run_for(ms(10));
    assert_eq!(table(&simulation), 1);
}

#[test]
fn units_taken_in_advance_are_returned_at_the_end() {
    let rate = Rate::per_second(100, 16_000);
    let (mut simulation, client) = within(RateLimit::of(Lines).per_address(rate), dots);
    client.send(b"line\n");
    simulation.run_for(ms(10));
    client.close();
    simulation.run_for(ms(100));
    // The table is cleared at the next call. One line takes 10 ms, a lease ten seconds.
    let other = simulation.connect();
    simulation.run_for(ms(100));
    other.close();
    simulation.run_for(ms(100));
    assert_eq!(simulation.reactor().service().layer().addresses(), 0);
}

#[test]
fn large_burst_is_kept_to_and_then_the_rate() {
    let rate = Rate::per_second(10, 160);
    let (mut simulation, client) = within(RateLimit::of(Lines).per_session(rate), dots);
    let mut answered = 0;
    client.send(b"line\n");
    for _ in 0..1000 {
        simulation.run_for(ms(10));
        let more = client.received().len();
        answered += more;
        client.send(&b"line\n".repeat(more));
    }
    // Ten seconds at the rate, the burst, and a lease at most.
    assert!((250..=272).contains(&answered), "{answered}");
}

#[test]
fn session_that_is_held_back_answers_a_drain() {
    let rate = Rate::per_second(1, 1);
    let (mut simulation, client) = within(RateLimit::of(Lines).per_session(rate), dots);
    client.send(&b"a\n".repeat(30));
    simulation.run_for(ms(10));
    assert_eq!(simulation.drain().aborted, 0);
    assert_eq!(probe(&simulation).end(0), Some(EndReason::Shutdown));
}

// Composition

/// Closes at its second event, with the reason that its service does not give.
struct Refusing(Vec<EndReason>);

impl Layer for Refusing {
    type State = u32;

    fn open(&mut self, peer: &Peer, _: &mut ServiceContext) -> u32 {
        peer.id.number()
    }

    fn step<S: Service>(
        &mut self,
        number: &mut u32,
        event: Event,
        cx: &mut Context<'_>,
        mut inner: Inner<'_, S>,
    ) -> Next {
        match event {
            Event::Data if *number % 2 == 1 => Next::Close(CloseReason::Refused),
            _ => inner.step(event, cx),
        }
    }

    fn closed(&mut self, number: u32, peer: &Peer, reason: EndReason, _: &mut ServiceContext) {
        assert_eq!(number, peer.id.number());
        self.0.push(reason);
    }
}

#[test]
fn layer_may_answer_instead_of_the_service() {
    let (mut simulation, client) = within(Refusing(Vec::new()), echo);
    let other = simulation.connect();
    client.send(b"x");
    other.send(b"y");
    simulation.run_for(ms(10));
    client.close();
    other.finish();
    simulation.run_for(SECOND);
    assert_eq!(
        (client.received(), other.received()),
        (vec![], b"y".to_vec())
    );
    assert_eq!(probe(&simulation).end(0), Some(EndReason::Refused));
    assert_eq!(probe(&simulation).end(1), Some(EndReason::Eof));
    let closed = &simulation.reactor().service().layer().0;
    assert_eq!(closed.len(), 2);
}

#[test]
fn panic_in_open_or_closed_of_the_service_reaches_no_layer() {
    let (mut simulation, client) = within(Refusing(Vec::new()), echo);
    let probe = simulation.reactor_mut().service_mut().inner_mut();
    probe.besides = Box::new(|call, _| {
        assert!(
            !matches!(call, Call::Open(1) | Call::Closed(..)),
            "as planned"
        );
    });
    let _refused = simulation.connect();
    simulation.run_for(ms(10));
    client.finish();
    simulation.run_for(SECOND);
    let closed = &simulation.reactor().service().layer().0;
    assert_eq!(closed, &[EndReason::Panicked, EndReason::Eof]);
    assert_eq!(simulation.reactor().usage(), Default::default());
}

#[test]
fn layers_around_layers_serve_as_the_service_alone() {
    let (reports, report) = reporting();
    let service = Probe::new(echo)
        .with(Meter::new(report))
        .with(Idle::after(10 * SECOND))
        .with(RateLimit::bytes().per_session(Rate::per_second(1000, 1000)))
        .with(Idle::after(HOUR));
    let mut simulation = Simulation::new(service, Limits::default(), 1);
    let client = simulation.connect();
    let mut received = Vec::new();
    for number in 0..50_u8 {
        client.send(&[number; 100]);
        simulation.run_for(ms(70));
        received.extend(client.received());
    }
    simulation.run_for(3 * SECOND);
    received.extend(client.received());
    let sent: Vec<u8> = (0..50).flat_map(|number| [number; 100]).collect();
    assert!(received == sent);
    simulation.run_for(Duration::from_secs(10));
    client.close();
    simulation.run_for(ms(10));
    let (reason, traffic) = reports.borrow()[0];
    assert_eq!(reason, EndReason::Timeout);
    assert_eq!((traffic.bytes_in, traffic.bytes_out), (5000, 5000));
}
