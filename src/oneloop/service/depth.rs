//! The depth of a layer: whose timer a key belongs to.

use super::timers::TimerKey;
use super::{Context, Event, ServiceContext};

/// The number of layers around a session, or around a layer of it.
///
/// It is kept with each timer of a session, so that a layer and what is inside it cannot confuse
/// their keys. Only [`Inside`] changes that of a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Depth(u32);

impl Depth {
    /// That of the outermost layer, and of a session without layers.
    pub(crate) const OUTERMOST: Self = Self(0);
    /// Deeper than any.
    pub(crate) const MAX: Self = Self(u32::MAX);
}

impl ServiceContext {
    /// Returns the event of a session's timer that is due, for the outermost layer.
    pub(crate) fn timer_event(&mut self, TimerKey { layer, key }: TimerKey) -> Event {
        self.due_layer = layer;
        match layer {
            Depth::OUTERMOST => Event::Timer(key),
            _ => Event::InnerTimer(key),
        }
    }
}

/// A context during a call of what is inside a layer, until it is dropped.
pub(crate) struct Inside<'a, C: AsMut<ServiceContext>> {
    pub(crate) cx: &'a mut C,
}

impl<'a, C: AsMut<ServiceContext>> Inside<'a, C> {
    #[inline(always)]
    pub(crate) fn new(cx: &'a mut C) -> Self {
        cx.as_mut().layer.0 += 1;
        Self { cx }
    }
}

impl Inside<'_, Context<'_>> {
    /// Returns the event that comes in place of `event`, which the layer passes on.
    #[inline(always)]
    pub(crate) fn event(&self, event: Event) -> Event {
        match event {
            Event::Timer(_) => Event::Wake,
            Event::InnerTimer(key) if self.is_due() => Event::Timer(key),
            _ => event,
        }
    }

    /// Returns true if the timer that is due was set at this depth.
    fn is_due(&self) -> bool {
        let cx = &self.cx.scratch.service;
        cx.due_layer == cx.layer
    }
}

impl<C: AsMut<ServiceContext>> Drop for Inside<'_, C> {
    #[inline(always)]
    fn drop(&mut self) {
        self.cx.as_mut().layer.0 -= 1;
    }
}
