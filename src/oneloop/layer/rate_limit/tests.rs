use super::*;
use crate::layer::{Compose, Layered};
use crate::service::{CloseReason, Time};
use crate::testing::Harness;

const SECOND: u64 = 1_000_000_000;

fn at(seconds: u64) -> Time {
    Time::from_nanos(seconds * SECOND)
}

#[test]
fn burst_is_free_and_more_is_paid_off_at_the_rate() {
    let (rate, mut bucket) = (Rate::per_second(10, 20), Bucket::default());
    assert_eq!(bucket.charge(rate, 20, at(100)), Level::Allowed);
    assert_eq!(bucket.charge(rate, 10, at(100)), Level::Debt);
    assert_eq!(bucket.paid_at(rate), at(101));
    assert_eq!(bucket.charge(rate, 0, at(101)), Level::Allowed);
    assert_eq!(bucket.charge(rate, 10, at(101)), Level::Debt);
    assert_eq!(bucket.paid_at(rate), at(102));
    // After a long time there is one burst, not more.
    assert_eq!(bucket.charge(rate, 20, at(1000)), Level::Allowed);
    assert_eq!(bucket.charge(rate, 1, at(1000)), Level::Debt);
}

#[test]
fn unlimited_rate_is_always_allowed() {
    let mut bucket = Bucket::default();
    for units in [0, 1, u32::MAX] {
        let level = bucket.charge(Rate::UNLIMITED, units, at(5));
        assert_eq!(level, Level::Allowed);
    }
}

#[test]
fn charge_beyond_all_time_is_bounded() {
    let (rate, mut bucket) = (Rate::per_second(1, 0), Bucket::default());
    for _ in 0..10_000 {
        assert_eq!(bucket.charge(rate, u32::MAX, at(1)), Level::Debt);
        bucket.bound(at(1));
    }
    assert!(bucket.paid_at(rate) < Time::UNBOUNDED);
}

#[test]
fn table_keeps_addresses_with_a_session_or_a_debt() {
    let (rate, mut table) = (Rate::per_second(1, 1), Addresses::default());
    let address = |host: u8| [10, 0, 0, host].into();
    let places: Vec<_> = (0..100)
        .map(|host| table.enter(address(host % 50), at(0)))
        .collect();
    assert_eq!(table.len(), 50);
    table
        .bucket(&places[7])
        .expect("a bucket")
        .charge(rate, 60, at(0));
    for place in places {
        table.leave(place, at(1));
    }
    assert_eq!(table.len(), 1, "the one with a debt");
    let place = table.enter(address(7), at(30));
    assert_eq!(
        table.bucket(&place).expect("a bucket").paid_at(rate),
        at(59)
    );
    table.leave(place, at(59));
    assert_eq!(table.len(), 1);
    let other = table.enter(address(8), at(60));
    assert_eq!(table.len(), 1);
    table.leave(other, at(60));
    assert_eq!(table.len(), 0);
}

#[test]
fn neighbours_in_one_ipv6_network_share_a_bucket() {
    let (rate, mut table) = (Rate::per_second(1, 1), Addresses::default());
    let mut enter = |address: &str| table.enter(address.parse().expect("an address"), at(0));
    let one = enter("2001:db8::1");
    let two = enter("2001:db8::2");
    table
        .bucket(&one)
        .expect("a bucket")
        .charge(rate, 10, at(0));
    assert_eq!(table.bucket(&two).expect("a bucket").paid_at(rate), at(9));
}

/// Records its events, takes all input at each, and closes at the end of the stream.
#[derive(Default)]
struct Taking {
    events: Vec<Event>,
}

impl Service for Taking {
    type Session = ();

    fn open(&mut self, _: Peer, _: &mut ServiceContext) {}

    fn step(&mut self, (): &mut (), event: Event, cx: &mut Context<'_>) -> Next {
        self.events.push(event);
        cx.consume(cx.input().len());
        match event {
            Event::Eof => Next::Close(CloseReason::Eof),
            _ => Next::Read { until: at(1000) },
        }
    }
}

/// Returns a session that is held back, and has unread input before the end of its stream.
fn held_at_the_end() -> (
    Harness,
    Layered<RateLimit, Taking>,
    <Layered<RateLimit, Taking> as Service>::Session,
) {
    let limit = RateLimit::bytes().per_session(Rate::per_second(1, 1));
    let (mut service, mut harness) = (Taking::default().with(limit), Harness::new());
    let mut session = harness.open(&mut service);
    harness.step(&mut service, &mut session, Event::Open);
    harness.receive(b"much");
    let held = harness.step(&mut service, &mut session, Event::Data);
    assert!(matches!(held, Next::Pause { .. }), "{held:?}");
    harness.receive(b"the rest");
    let held = harness.step(&mut service, &mut session, Event::Eof);
    assert!(matches!(held, Next::Pause { .. }), "{held:?}");
    service.inner_mut().events.clear();
    (harness, service, session)
}

#[test]
fn end_of_the_stream_comes_though_another_event_has_taken_the_input_before_it() {
    let (mut harness, mut service, mut session) = held_at_the_end();
    let next = harness.step(&mut service, &mut session, Event::Wake);
    assert_eq!(service.inner().events, [Event::Wake, Event::Eof]);
    assert_eq!(next, Next::Close(CloseReason::Eof));
}

#[test]
fn end_of_the_stream_comes_once_with_the_input_that_was_held_back() {
    let (mut harness, mut service, mut session) = held_at_the_end();
    harness.set_now(at(10));
    let next = harness.step(&mut service, &mut session, Event::Timeout);
    assert_eq!(next, Next::Read { until: at(1000) });
    // The loop presents the unread input again.
    harness.step(&mut service, &mut session, Event::Eof);
    assert_eq!(service.inner().events, [Event::Eof]);
}
