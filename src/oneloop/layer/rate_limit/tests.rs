use super::*;
use crate::service::Time;

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
    for units in [0, 1, u64::MAX] {
        let level = bucket.charge(Rate::UNLIMITED, units, at(5));
        assert_eq!(level, Level::Allowed);
    }
}

#[test]
fn charge_beyond_all_time_is_bounded() {
    let (rate, mut bucket) = (Rate::per_second(1, 0), Bucket::default());
    for _ in 0..10_000 {
        assert_eq!(bucket.charge(rate, u64::MAX, at(1)), Level::Debt);
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
    table[&places[7]].charge(rate, 60, at(0));
    for place in places {
        table.leave(place, at(1));
    }
    assert_eq!(table.len(), 1, "the one with a debt");
    let place = table.enter(address(7), at(30));
    assert_eq!(table[&place].paid_at(rate), at(59));
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
    table[&one].charge(rate, 10, at(0));
    assert_eq!(table[&two].paid_at(rate), at(9));
}
