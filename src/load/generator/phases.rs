//! The phases of a run, and the schedule.

use std::time::Duration;

use oneloop::{ServiceContext, Time};

use super::{ALARM, Generator, Phase, Socket};
use crate::errors::Fault;
use crate::plan::{Pace, Scenario};
use crate::record::Window;
use crate::schedule::Schedule;
use crate::walk::{UNDER_WAY_MAX, Walk};

impl Generator {
    /// Continues after a slot has ended: the alarm continues the walk, or begins the next phase.
    pub(super) fn go_on(&mut self, cx: &mut ServiceContext) {
        self.connect_waiting(cx);
        if !self.phase.is_working() {
            cx.set_service_timer(ALARM, cx.now());
        }
    }

    /// Goes on with the phase under way, or to the next.
    pub(super) fn advance(&mut self, now: Time, cx: &mut ServiceContext) {
        self.walk_on(now, cx);
        let next = match self.phase {
            Phase::Opening if self.walk.is_over() || self.is_hopeless() => self.begin_work(now, cx),
            Phase::WarmingUp { until } if now >= until => Phase::Measuring {
                until: until + self.plan.duration,
            },
            Phase::Measuring { until } if now >= until => {
                self.tally.held = self.tally.open;
                self.waiting.clear();
                let until = now + self.plan.grace;
                Phase::Settling { until }
            }
            Phase::Settling { until } if now >= until || self.has_settled() => {
                self.begin_proof(now)
            }
            Phase::Proving { until } if now >= until || self.walk.is_over() => {
                self.begin_farewell(now)
            }
            Phase::Leaving { until } if now >= until || self.walk.is_over() => {
                self.abandon_rest(now);
                Phase::Over
            }
            _ => return,
        };
        self.phase = next;
        self.phase_began = now;
        self.walk_on(now, cx);
    }

    pub(super) fn begin_work(&mut self, now: Time, cx: &mut ServiceContext) -> Phase {
        self.tally.opening = now.since(self.phase_began);
        if self.tally.open == 0 {
            return Phase::Over; // there is nothing to measure
        }
        let until = now + self.plan.warm_up;
        let window = Window {
            start: until,
            end: until + self.plan.duration,
        };
        self.recorder.measure(window);
        let lasts = self.plan.warm_up.saturating_add(self.plan.duration);
        let active = self.plan.active();
        match self.plan.pace() {
            Pace::Open { rate, .. } => {
                self.schedule = Some(Schedule::new(now, rate, lasts, active));
            }
            Pace::Closed { .. } => self.wake(0..active, cx),
        }
        Phase::WarmingUp { until }
    }

    pub(super) fn begin_proof(&mut self, now: Time) -> Phase {
        self.retries.clear();
        self.begin_walk(self.plan.active());
        if self.plan.scenario == Scenario::Idle {
            // In this scenario the proofs of life are timed.
            self.recorder.close_interval(now);
            self.recorder.measure(Window {
                start: now,
                end: Time::UNBOUNDED,
            });
        }
        let until = now + self.plan.grace;
        Phase::Proving { until }
    }

    pub(super) fn begin_farewell(&mut self, now: Time) -> Phase {
        self.recorder.close_interval(now);
        self.begin_walk(0);
        let until = now + self.plan.grace;
        Phase::Leaving { until }
    }

    /// Begins a walk through the slots from `first` on. It waits for none that an earlier walk
    /// still waits for.
    pub(super) fn begin_walk(&mut self, first: u32) {
        for slot in &mut self.slots {
            slot.awaited = false;
        }
        self.walk = Walk::new(first, self.plan.connections);
    }

    /// Counts the missing answers of connections that the farewell has not reached in time.
    pub(super) fn abandon_rest(&mut self, now: Time) {
        let farewells = u64::from(self.walk.under_way());
        self.recorder.faults.add(Fault::Missing, farewells);
        if self.tally.in_flight > 0 {
            // They were sent before the farewell began.
            let age = now.since(self.phase_began);
            self.recorder.missing(self.tally.in_flight, age);
        }
        if let Some(schedule) = &self.schedule {
            let counted = self.tally.sent + self.never_sent;
            let unsent = schedule.total().saturating_sub(counted);
            if unsent > 0 {
                let age = now.since(schedule.due(self.tally.sent));
                self.recorder.missing(unsent, age);
            }
        }
    }

    /// Returns `true` if so many connections have failed, and none has been greeted, that trying
    /// the rest is a waste of time.
    pub(super) fn is_hopeless(&self) -> bool {
        self.tally.open_max == 0 && self.ungreeted >= UNDER_WAY_MAX
    }

    /// Returns `true` when everything that was begun has ended.
    pub(super) fn has_settled(&self) -> bool {
        let owed = self.schedule.map_or(0, |schedule| schedule.total());
        self.tally.in_flight == 0 && self.tally.sent >= owed && self.tally.conversations == 0
    }

    /// Begins with as many slots as may be under way.
    pub(super) fn walk_on(&mut self, now: Time, cx: &mut ServiceContext) {
        let limit = self.walk_limit(now);
        while let Some(slot) = self.next_slot(limit) {
            self.slots[slot as usize].awaited = true;
            match (self.phase, self.slots[slot as usize].socket) {
                (Phase::Opening, _) => self.connect(slot, now, cx),
                (_, Socket::Open(id)) => cx.wake(id),
                _ => self.pass_over(slot, now),
            }
        }
    }

    pub(super) fn next_slot(&mut self, limit: u32) -> Option<u32> {
        match self.phase {
            Phase::Opening | Phase::Proving { .. } | Phase::Leaving { .. } => {
                self.walk.begin(limit)
            }
            _ => None,
        }
    }

    /// Passes over a slot without a connection: it has nothing to prove and nothing to close; but
    /// names that were due in the meantime were never answered.
    pub(super) fn pass_over(&mut self, slot: u32, now: Time) {
        self.is_done_with(slot);
        if let Phase::Leaving { .. } = self.phase {
            self.count_unsent(slot, self.slots[slot as usize].sent, now);
        }
    }

    /// Counts the names of a slot that were due and could not be sent as missing since they were
    /// due.
    pub(super) fn count_unsent(&mut self, slot: u32, sent: u64, now: Time) {
        if let Some(schedule) = &self.schedule
            && slot < self.plan.active()
        {
            let unsent = schedule.share(slot, schedule.total()).saturating_sub(sent);
            if unsent > 0 {
                let age = now.since(schedule.due_of(slot, sent));
                self.never_sent += unsent;
                self.recorder.missing(unsent, age);
            }
        }
    }

    /// Returns the slot before which the walk must stop for now.
    pub(super) fn walk_limit(&self, now: Time) -> u32 {
        if self.phase != Phase::Opening || self.plan.ramp.is_zero() {
            return u32::MAX;
        }
        let part = now.since(self.phase_began).as_secs_f64() / self.plan.ramp.as_secs_f64();
        (part * f64::from(self.plan.connections)) as u32 + 1
    }

    /// Wakes the slots whose names have become due.
    pub(super) fn announce(&mut self, now: Time, cx: &mut ServiceContext) {
        let Some(schedule) = &self.schedule else {
            return;
        };
        let due = schedule.due_by(now);
        let active = u64::from(self.plan.active());
        let fresh = self.announced..due.min(self.announced + active);
        self.announced = due;
        for number in fresh {
            let slot = (number % active) as u32;
            self.wake(slot..slot + 1, cx);
        }
    }

    pub(super) fn wake(&self, slots: std::ops::Range<u32>, cx: &mut ServiceContext) {
        for slot in slots {
            if let Socket::Open(id) = self.slots[slot as usize].socket {
                cx.wake(id);
            }
        }
    }

    /// Returns the time at which there is something to do next.
    pub(super) fn soonest(&self, now: Time) -> Time {
        let mut next = now + LOOK_AFTER;
        if let Phase::WarmingUp { until } | Phase::Measuring { until } = self.phase {
            let tick = self.recorder.next_tick().max(now);
            next = until.min(tick).min(now + SHOW_AFTER);
        }
        if let Some(schedule) = &self.schedule
            && self.announced < schedule.total()
        {
            next = next.min(schedule.due(self.announced).max(now + TOGETHER));
        }
        if let Some(&(at, _)) = self.retries.front() {
            next = next.min(at);
        }
        next
    }
}

/// Names due within this time are sent together. A wake-up for each would cost more than sending
/// it; how late that makes them is little, and is reported.
const TOGETHER: Duration = Duration::from_micros(50);
/// The time between two checks of the phases that end when all have answered.
const LOOK_AFTER: Duration = Duration::from_millis(5);
/// The longest time between two turns, so that the progress is shown.
const SHOW_AFTER: Duration = Duration::from_millis(100);
