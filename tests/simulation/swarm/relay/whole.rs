//! The whole service: two relays, one of them in layers, beside a service for administrators.

use std::net::SocketAddr;

use oneloop::layer::{
    ByListener, Compose, Fork, Idle, Inner, Layer, Layered, Meter, RateLimit, Traffic, Transformed,
};
use oneloop::{Context, EndReason, Event, Next, Peer, Service, ServiceContext};

use super::admin::Admin;
use super::ledger::Shared;
use super::plan::{Door, IDLE, Plan};
use super::service::Relay;
use crate::swarm::cipher::Cipher;

/// The service under test.
pub type Whole = Layered<Counted, Fork<Relays, Admin, ByListener>>;

type Relays = Fork<Relay, Sealed, ByListener>;

type Sealed = Layered<Transformed<Cipher>, Limited>;
type Limited = Layered<RateLimit, Layered<Idle, Layered<Meter<Report>, Relay>>>;

/// Takes the report of the meter.
type Report = Box<dyn FnMut(&Peer, EndReason, &Traffic)>;

/// Counts the steps of all sessions, and notes those that the layers close.
#[derive(Debug)]
pub struct Counted(Shared);

impl Layer for Counted {
    type State = SocketAddr;

    fn open(&mut self, peer: &Peer, _: &mut ServiceContext) -> SocketAddr {
        peer.address.socket_addr().expect("an IP address")
    }

    fn step<S: Service>(
        &mut self,
        peer: &mut SocketAddr,
        event: Event,
        cx: &mut Context<'_>,
        mut inner: Inner<'_, S>,
    ) -> Next {
        self.0.0.borrow_mut().steps += 1;
        let next = inner.step(event, cx);
        if let Next::Close(reason) = next {
            self.0.0.borrow_mut().closes(*peer, reason);
        }
        next
    }
}

/// Returns the service of a plan.
pub fn new(plan: &Plan, shared: &Shared) -> Whole {
    let relay = |door| Relay::new(door, shared.clone());
    let ledger = shared.clone();
    let report: Report = Box::new(move |peer, _, traffic| {
        let bytes = (traffic.bytes_in, traffic.bytes_out);
        ledger.0.borrow_mut().metered(peer, bytes);
    });
    let cipher = Cipher {
        frame_bytes_max: plan.frame_bytes_max,
    };
    let sealed = relay(Door::Sealed)
        .with(Meter::new(report))
        .with(Idle::after(IDLE))
        .with(RateLimit::bytes().per_session(plan.session_rate()))
        .with(Transformed::new(cipher));
    relay(Door::Open)
        .beside(sealed, ByListener(Door::Sealed.name()))
        .beside(Admin::new(shared.clone()), ByListener(Door::Admin.name()))
        .with(Counted(shared.clone()))
}

/// Calls one of the relays, as the part of the service that it is.
pub fn with_relay(
    whole: &mut Whole,
    door: Door,
    cx: &mut ServiceContext,
    call: impl FnOnce(&mut Relay, &mut ServiceContext),
) {
    whole.inner_mut().with_first(cx, |relays, cx| match door {
        Door::Open | Door::Admin => relays.with_first(cx, call),
        Door::Sealed => relays.with_second(cx, |sealed, cx| call(relay_in(sealed), cx)),
    });
}

/// Changes both relays.
pub fn for_each_relay(whole: &mut Whole, mut change: impl FnMut(&mut Relay)) {
    let relays = whole.inner_mut().first_mut();
    change(relays.first_mut());
    change(relay_in(relays.second_mut()));
}

fn relay_in(sealed: &mut Sealed) -> &mut Relay {
    sealed.inner_mut().inner_mut().inner_mut().inner_mut()
}

/// Handles the call of another thread with this number, and returns the number.
pub fn called(whole: &mut Whole, (sender, number): (usize, u64), cx: &mut ServiceContext) -> u64 {
    let door = match number % 2 {
        0 => Door::Open,
        _ => Door::Sealed,
    };
    with_relay(whole, door, cx, |relay, cx| {
        relay.called((sender, number), cx)
    });
    number
}
