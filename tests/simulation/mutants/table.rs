//! The known mistakes.

use super::mutant::{Mutant, Suite};

pub(crate) const MUTANTS: &[Mutant] = &[
    // Mistakes known from the first edition.
    Mutant {
        name: "share_used_up_and_forgotten",
        file: "src/oneloop/reactor/slots.rs",
        find: "if outcome == Outcome::BudgetExhausted {",
        replace: "if false && outcome == Outcome::BudgetExhausted {",
        suite: Suite::Scenario("shares"),
    },
    Mutant {
        name: "exhausted_accept_not_tried_again",
        file: "src/oneloop/reactor/accept.rs",
        find: "self.listeners[listener].accepting = Accepting::BackingOff { until };",
        replace: "let _ = until;
        self.listeners[listener].accepting = Accepting::Idle;",
        suite: Suite::Scenario("accepting"),
    },
    Mutant {
        name: "short_read_trusted_at_the_end",
        file: "src/oneloop/reactor/drive.rs",
        find: "bytes < asked && !connection.flags.has(Flags::HUP)",
        replace: "bytes < asked",
        suite: Suite::Scenario("reading"),
    },
    Mutant {
        name: "serial_ignored",
        file: "src/oneloop/reactor/slots.rs",
        find: ".filter(|c| c.generation == id.generation)",
        replace: ".filter(|_| true)",
        suite: Suite::Scenario("events"),
    },
    Mutant {
        name: "moved_deadline_not_filed_again",
        file: "src/oneloop/reactor/timers.rs",
        find: "            if connection.deadline > now {
                self.slots.rearm_or_retire(index, now);
                continue;",
        replace: "            if connection.deadline > now {
                continue;",
        suite: Suite::Scenario("deadlines"),
    },
    Mutant {
        name: "rest_of_output_written_again",
        file: "src/oneloop/reactor/write.rs",
        find: "self.scratch.output.take_from(sent, keep);",
        replace: "self.scratch.output.take_from(sent.min(0), keep);",
        suite: Suite::Scenario("writing"),
    },
    Mutant {
        name: "rest_of_output_lost",
        file: "src/oneloop/reactor/write.rs",
        find: "let keep = |segment| buffers.output.append(segment);",
        replace: "let keep = |_| {};",
        suite: Suite::Scenario("writing"),
    },
    Mutant {
        name: "interruption_taken_for_would_block",
        file: "src/oneloop/reactor/drive.rs",
        find: "            ErrorKind::Interrupted => {}
            ErrorKind::WouldBlock => connection.flags.remove(Flags::READABLE),
            _ => connection.abort(EndReason::Reset),",
        replace: "            ErrorKind::WouldBlock | ErrorKind::Interrupted => {
                connection.flags.remove(Flags::READABLE);
            }
            _ => connection.abort(EndReason::Reset),",
        suite: Suite::Scenario("reading"),
    },
    Mutant {
        name: "one_accept_for_each_event",
        file: "src/oneloop/reactor/accept.rs",
        find: "                entry.accepting = Accepting::Ready { failures: 0 };
                if let Some(left)",
        replace: "                entry.accepting = Accepting::Idle;
                if let Some(left)",
        suite: Suite::Scenario("accepting"),
    },
    Mutant {
        name: "no_linger",
        file: "src/oneloop/reactor/lifecycle.rs",
        find: "connection.phase = Phase::Lingering { bytes_left };",
        replace: "let _ = bytes_left;
        connection.phase = Phase::Dead;",
        suite: Suite::Scenario("writing"),
    },
    Mutant {
        name: "address_not_forgotten",
        file: "src/oneloop/reactor/admission.rs",
        find: "*connections -= 1;",
        replace: "*connections -= 0;",
        suite: Suite::Scenario("accepting"),
    },
    Mutant {
        name: "drain_without_end",
        file: "src/oneloop/reactor/timers.rs",
        find: "if self.drain.is_some_and(|drain| drain.deadline <= now) {",
        replace: "if false && self.drain.is_some_and(|drain| drain.deadline <= now) {",
        suite: Suite::Scenario("draining"),
    },
    Mutant {
        name: "no_write_deadline",
        file: "src/oneloop/reactor/write.rs",
        find: "        let deadline = self.now() + self.limits.write_timeout;
        connection.set_write_deadline(deadline, &self.pressure);
    }",
        replace: "    }",
        suite: Suite::Scenario("writing"),
    },
    Mutant {
        name: "flushed_not_told",
        file: "src/oneloop/reactor/write.rs",
        find: "connection.apply(Next::Flush, false);",
        replace: "let _ = Next::Flush;",
        suite: Suite::Scenario("events"),
    },
    Mutant {
        name: "shed_counted_twice",
        file: "src/oneloop/reactor/accept.rs",
        find: "                Ok(()) => {
                    self.core.count_accepted(listener);",
        replace: "                Ok(()) => {
                    self.core.counters.accepted += 2;",
        suite: Suite::Scenario("accepting"),
    },
    Mutant {
        name: "refusal_not_forgotten",
        file: "src/oneloop/reactor/lifecycle.rs",
        find: "Origin::Refused => self.admission.refused -= 1,",
        replace: "Origin::Refused => {}",
        suite: Suite::Scenario("accepting"),
    },
    Mutant {
        name: "input_left_for_room_not_offered",
        file: "src/oneloop/reactor/drive.rs",
        find: "if self.scratch.output.room() == 0 && connection.has_input() {",
        replace: "if false && connection.has_input() {",
        suite: Suite::Scenario("reading"),
    },
    Mutant {
        name: "last_name_lost",
        file: "src/greeting/lib.rs",
        find: "        self.answer_rest(&mut prompt.peer, cx)?;
        Err(CloseReason::Eof)",
        replace: "        Err(CloseReason::Eof)",
        suite: Suite::Unit("oneloop-greeting", ""),
    },
    Mutant {
        name: "mistake_counted_twice",
        file: "src/greeting/lib.rs",
        find: "peer.mistakes.saturating_add(1)",
        replace: "peer.mistakes.saturating_add(2)",
        suite: Suite::Unit("oneloop-greeting", ""),
    },
    Mutant {
        name: "quiet_gap_skipped",
        file: "src/greeting/lib.rs",
        find: "until: cx.after(self.config.quiet_gap),",
        replace: "until: cx.now(),",
        suite: Suite::Unit("oneloop-greeting", ""),
    },
    Mutant {
        name: "events_lost_in_panic",
        file: "src/oneloop/reactor/poll.rs",
        find: "            events.nth(last);",
        replace: "            return;
            #[allow(unreachable_code)]
            events.nth(last);",
        suite: Suite::Scenario("panics"),
    },
    // Mistakes that survived the first edition's tests.
    Mutant {
        name: "event_after_panic_skipped",
        file: "src/oneloop/reactor/poll.rs",
        find: "events.nth(last);",
        replace: "events.nth(last + 1);",
        suite: Suite::Scenario("panics"),
    },
    Mutant {
        name: "output_kept_after_panic",
        file: "src/oneloop/reactor/guard.rs",
        find: "        self.scratch.reset();
        connection.abort(EndReason::Panicked);",
        replace: "        connection.abort(EndReason::Panicked);",
        suite: Suite::Scenario("panics"),
    },
    Mutant {
        name: "overflow_kept_after_panic",
        file: "src/oneloop/service/output.rs",
        find: "        self.form = Form::Plain;
        (self.mark_left",
        replace: "        if self.form == Form::Mixed {
            self.form = Form::Plain;
        }
        (self.mark_left",
        suite: Suite::Scenario("panics"),
    },
    Mutant {
        name: "steps_cost_nothing",
        file: "src/oneloop/reactor/core.rs",
        find: "bytes_in + bytes_out + steps * STEP_BYTES",
        replace: "bytes_in + bytes_out + steps * 0 * STEP_BYTES",
        suite: Suite::Scenario("shares"),
    },
    Mutant {
        name: "input_never_full",
        file: "src/oneloop/reactor/buffer.rs",
        find: "self.len() >= self.raised_max.unwrap_or(max)",
        replace: "self.len() > self.raised_max.unwrap_or(max)",
        suite: Suite::Scenario("reading"),
    },
    Mutant {
        name: "input_full_a_byte_early",
        file: "src/oneloop/reactor/buffer.rs",
        find: "self.len() >= self.raised_max.unwrap_or(max)",
        replace: "self.len() + 1 >= self.raised_max.unwrap_or(max)",
        suite: Suite::Scenario("reading"),
    },
    Mutant {
        name: "exactly_full_input_ends",
        file: "src/oneloop/reactor/drive.rs",
        find: "            Ok(_) => {
                self.counters.bytes_in += 1;",
        replace: "            _ => {
                self.counters.bytes_in += 1;",
        suite: Suite::Scenario("reading"),
    },
    Mutant {
        name: "byte_beyond_the_maximum_not_counted",
        file: "src/oneloop/reactor/drive.rs",
        find: "self.counters.bytes_in += 1;",
        replace: "",
        suite: Suite::Seeds(60),
    },
    Mutant {
        name: "end_of_stream_told_again",
        file: "src/oneloop/reactor/connection.rs",
        find: "let relevant = Flags::READABLE | Flags::PAUSED | Flags::EOF;",
        replace: "let relevant = Flags::READABLE | Flags::PAUSED;",
        suite: Suite::Scenario("events"),
    },
    Mutant {
        name: "wake_up_before_flushed",
        file: "src/oneloop/reactor/connection.rs",
        find: "        if pending == 0 && self.flags.take(Flags::FLUSHED) {
            return Some(Event::Flushed);
        }
        if self.flags.take(Flags::WAKE) {
            return Some(Event::Wake);
        }",
        replace: "        if self.flags.take(Flags::WAKE) {
            return Some(Event::Wake);
        }
        if pending == 0 && self.flags.take(Flags::FLUSHED) {
            return Some(Event::Flushed);
        }",
        suite: Suite::Scenario("events"),
    },
    Mutant {
        name: "deadline_told_though_it_has_moved",
        file: "src/oneloop/reactor/connection.rs",
        find: "if self.flags.take(Flags::DEADLINE) && self.deadline <= now {",
        replace: "if self.flags.take(Flags::DEADLINE) {",
        suite: Suite::Scenario("deadlines"),
    },
    Mutant {
        name: "wake_up_forgets_its_session",
        file: "src/oneloop/reactor/slots.rs",
        find: "            connection.flags.add(Flags::WAKE);
            self.wake_slot(id.index);",
        replace: "            connection.flags.add(Flags::WAKE);",
        suite: Suite::Scenario("events"),
    },
    Mutant {
        name: "wake_ups_in_reverse_order",
        file: "src/oneloop/reactor/requests.rs",
        find: "for id in requests.wake.drain(..) {",
        replace: "for id in requests.wake.drain(..).rev() {",
        suite: Suite::Scenario("events"),
    },
    Mutant {
        name: "end_of_drain_not_waited_for",
        file: "src/oneloop/reactor/poll.rs",
        find: "next = next.min(drain.next_at());",
        replace: "let _ = drain.next_at();",
        suite: Suite::Scenario("draining"),
    },
    Mutant {
        name: "drain_cuts_at_once",
        file: "src/oneloop/reactor/timers.rs",
        find: "drain.deadline <= now",
        replace: "drain.deadline > now",
        suite: Suite::Scenario("draining"),
    },
    Mutant {
        name: "drain_counts_lingering_as_cut",
        file: "src/oneloop/reactor/connection.rs",
        find: "Phase::Lingering { .. } | Phase::Dead => false,",
        replace: "Phase::Lingering { .. } => true,
            Phase::Dead => false,",
        suite: Suite::Scenario("draining"),
    },
    Mutant {
        name: "drain_does_not_read_first",
        file: "src/oneloop/reactor/shutdown.rs",
        find: ".notify_where(drains, Flags::DRAIN | Flags::READABLE);",
        replace: ".notify_where(drains, Flags::DRAIN);",
        suite: Suite::Scenario("draining"),
    },
    Mutant {
        name: "drain_told_before_input_is_read",
        file: "src/oneloop/reactor/connection.rs",
        find: "if !read_first && self.flags.take(Flags::DRAIN) {",
        replace: "let _ = read_first;
        if self.flags.take(Flags::DRAIN) {",
        suite: Suite::Scenario("draining"),
    },
    Mutant {
        name: "drain_closes_the_queue",
        file: "src/oneloop/reactor/shutdown.rs",
        find: "QueueOwner::Own => self.listeners[listener].close_after_queue(),",
        replace: "QueueOwner::Own => self.listeners[listener].socket = None,",
        suite: Suite::Scenario("draining"),
    },
    Mutant {
        name: "drain_takes_in_the_queue_of_another",
        file: "src/oneloop/reactor/shutdown.rs",
        find: "QueueOwner::Shared => self.leave_queue(listener),",
        replace: "QueueOwner::Shared => self.listeners[listener].close_after_queue(),",
        suite: Suite::Scenario("draining"),
    },
    Mutant {
        name: "drain_of_nothing_lasts_all_its_time",
        file: "src/oneloop/reactor/poll.rs",
        find: "if self.has_stage_drained() {
                next",
        replace: "if false && self.has_stage_drained() {
                next",
        suite: Suite::Scenario("draining"),
    },
    Mutant {
        name: "queue_of_another_is_reset",
        file: "src/oneloop/reactor/shutdown.rs",
        find: "self.core.net.release(socket);",
        replace: "drop(socket);",
        suite: Suite::Scenario("draining"),
    },
    Mutant {
        name: "handed_over_listener_accepts",
        file: "src/oneloop/reactor/shutdown.rs",
        find: "        for listener in 0..self.listeners.len() {
            self.leave_queue(listener);
        }",
        replace: "",
        suite: Suite::Scenario("draining"),
    },
    Mutant {
        name: "addresses_not_counted_from_the_change_on",
        file: "src/oneloop/reactor/adjust.rs",
        find: "self.admission.count_address(connection.claim().address);",
        replace: "let _ = connection;",
        suite: Suite::Scenario("adjusting"),
    },
    Mutant {
        name: "addresses_counted_for_ever",
        file: "src/oneloop/reactor/adjust.rs",
        find: "self.admission.forget_addresses();",
        replace: "",
        suite: Suite::Scenario("adjusting"),
    },
    Mutant {
        name: "limits_changed_in_part",
        file: "src/oneloop/reactor/adjust.rs",
        find: "        self.core.limits.check_change_to(&limits)?;
        self.admission.check_reserves(limits.connections_max)?;",
        replace: "        self.core.pressure.set_limits(&limits);
        self.core.limits.check_change_to(&limits)?;
        self.admission.check_reserves(limits.connections_max)?;",
        suite: Suite::Scenario("adjusting"),
    },
    Mutant {
        name: "longest_wait_does_not_change",
        file: "src/oneloop/reactor/adjust.rs",
        find: "        self.core.pressure.set_limits(&limits);
        self.core.limits = limits;",
        replace: "        self.core.limits = limits;",
        suite: Suite::Scenario("adjusting"),
    },
    Mutant {
        name: "reserved_places_lost_by_a_change",
        file: "src/oneloop/reactor/adjust.rs",
        find: "        self.admission.check_reserves(limits.connections_max)?;",
        replace: "",
        suite: Suite::Scenario("adjusting"),
    },
    Mutant {
        name: "drain_not_told_to_the_last_accepted",
        file: "src/oneloop/reactor/accept.rs",
        find: "connection.flags.add(Flags::DRAIN | Flags::READABLE);",
        replace: "let _ = (Flags::DRAIN, connection);",
        suite: Suite::Scenario("draining"),
    },
    Mutant {
        name: "drain_from_a_stale_clock",
        file: "src/oneloop/reactor/shutdown.rs",
        find: "let now = self.core.update_now();",
        replace: "let now = self.core.now();",
        suite: Suite::Scenario("draining"),
    },
    Mutant {
        name: "drain_cuts_at_half_its_time",
        file: "src/oneloop/reactor/shutdown.rs",
        find: "deadline: now + grace,",
        replace: "deadline: now + grace / 2,",
        suite: Suite::Seeds(60),
    },
    Mutant {
        name: "waits_never_calm_down",
        file: "src/oneloop/reactor/pressure.rs",
        find: "self.halvings = self.halvings.min(hysteresis);",
        replace: "let _ = hysteresis;",
        suite: Suite::Scenario("pressure"),
    },
    Mutant {
        name: "waits_calm_down_at_once",
        file: "src/oneloop/reactor/pressure.rs",
        find: "admitted + limits.connections_max / 20",
        replace: "admitted",
        suite: Suite::Scenario("pressure"),
    },
    Mutant {
        name: "load_not_watched_on_leaving",
        file: "src/oneloop/reactor/lifecycle.rs",
        find: "            listener.retry();
        }
        self.update_pressure();",
        replace: "            listener.retry();
        }",
        suite: Suite::Scenario("pressure"),
    },
    Mutant {
        name: "load_not_watched_on_entering",
        file: "src/oneloop/reactor/accept.rs",
        find: "        // Before its first step, which may panic.
        self.update_pressure();",
        replace: "",
        suite: Suite::Scenario("pressure"),
    },
    Mutant {
        name: "refused_above_the_maximum_lingers",
        file: "src/oneloop/reactor/accept.rs",
        find: "            self.slots[index].abort(reason);",
        replace: "            let _ = reason;
            self.slots[index].phase = Phase::Dead;",
        suite: Suite::Scenario("accepting"),
    },
    Mutant {
        name: "sweep_lengthens",
        file: "src/oneloop/reactor/connection.rs",
        find: "let wait = self.deadline.min(pressure.scale(self.requested_deadline));",
        replace: "let wait = pressure.scale(self.requested_deadline);",
        suite: Suite::Scenario("pressure"),
    },
    Mutant {
        name: "sweep_shortens_what_is_short",
        file: "src/oneloop/reactor/connection.rs",
        find: "let wait = self.deadline.min(pressure.scale(self.requested_deadline));",
        replace: "let wait = self.deadline.min(pressure.scale(self.deadline));",
        suite: Suite::Scenario("pressure"),
    },
    Mutant {
        name: "sweep_stops_after_its_first_part",
        file: "src/oneloop/reactor/pressure.rs",
        find: "self.sweep = (end < self.slots.end()).then_some(end);",
        replace: "self.sweep = None;
        let _ = end;",
        suite: Suite::Scenario("pressure"),
    },
    Mutant {
        name: "sweep_without_filing",
        file: "src/oneloop/reactor/pressure.rs",
        find: "                connection.shorten_deadline(&self.core.pressure);
                self.slots.rearm_or_retire(index, self.core.now());",
        replace: "                connection.shorten_deadline(&self.core.pressure);",
        suite: Suite::Scenario("pressure"),
    },
    Mutant {
        name: "waits_not_shortened",
        file: "src/oneloop/reactor/connection.rs",
        find: "self.deadline = pressure.scale(requested);",
        replace: "self.deadline = requested;
            let _ = pressure;",
        suite: Suite::Scenario("pressure"),
    },
    Mutant {
        name: "unmoved_deadline_renewed",
        file: "src/oneloop/reactor/connection.rs",
        find: "if self.requested_deadline != requested {",
        replace: "if true || self.requested_deadline != requested {",
        suite: Suite::Scenario("pressure"),
    },
    Mutant {
        name: "turn_deadlines_unbounded",
        file: "src/oneloop/reactor/timers.rs",
        find: "self.deadlines_left -= 1;",
        replace: "self.deadlines_left -= 0;",
        suite: Suite::Scenario("deadlines"),
    },
    Mutant {
        name: "turn_deadlines_renewed_by_panic",
        file: "src/oneloop/reactor/timers.rs",
        find: "        let now = self.core.now();
        if self.drain.is_some_and",
        replace: "        let now = self.core.now();
        self.deadlines_left = self.core.limits.turn_deadlines_max;
        if self.drain.is_some_and",
        suite: Suite::Scenario("panics"),
    },
    Mutant {
        name: "turn_accepts_unbounded",
        file: "src/oneloop/reactor/accept.rs",
        find: "self.listeners[listener].budget -= 1;",
        replace: "self.listeners[listener].budget -= 0;",
        suite: Suite::Scenario("accepting"),
    },
    Mutant {
        name: "turn_accepts_renewed_by_panic",
        file: "src/oneloop/reactor/accept.rs",
        find: "            self.listeners[listener].retry_if_over(now);",
        replace: "            self.listeners[listener].budget = self.core.limits.turn_accepts_max;
            self.listeners[listener].retry_if_over(now);",
        suite: Suite::Scenario("panics"),
    },
    Mutant {
        name: "interrupted_poll_not_repeated",
        file: "src/oneloop/reactor/poll.rs",
        find: "            polled = self.core.net.poll(&mut self.events, Some(Duration::ZERO));",
        replace: "",
        suite: Suite::Scenario("deadlines"),
    },
    Mutant {
        name: "late_look_does_not_read",
        file: "src/oneloop/reactor/timers.rs",
        find: "connection.flags.add(Flags::READABLE | Flags::WRITABLE);
            self.core.counters.looks",
        replace: "connection.flags.add(Flags::WRITABLE);
            self.core.counters.looks",
        suite: Suite::Scenario("deadlines"),
    },
    Mutant {
        name: "late_look_does_not_write",
        file: "src/oneloop/reactor/timers.rs",
        find: "connection.flags.add(Flags::READABLE | Flags::WRITABLE);
            self.core.counters.looks",
        replace: "connection.flags.add(Flags::READABLE);
            self.core.counters.looks",
        suite: Suite::Scenario("writing"),
    },
    Mutant {
        name: "late_look_not_taken",
        file: "src/oneloop/reactor/timers.rs",
        find: "            self.drive(index);
            self.expire(index);",
        replace: "            self.expire(index);",
        suite: Suite::Scenario("deadlines"),
    },
    Mutant {
        name: "alarm_without_end",
        file: "src/oneloop/reactor/keyed_timers.rs",
        find: "        self.scratch.service.timers.cancel(id);
        let called",
        replace: "        let called",
        suite: Suite::Scenario("deadlines"),
    },
    Mutant {
        name: "alarm_not_waited_for",
        file: "src/oneloop/reactor/poll.rs",
        find: "next = next.min(self.core.scratch.service.timers.next());",
        replace: "",
        suite: Suite::Scenario("deadlines"),
    },
    Mutant {
        name: "alarm_dead_after_panic",
        file: "src/oneloop/reactor/keyed_timers.rs",
        find: "timers.set(id, now + TIMER_RETRY, now);",
        replace: "let _ = TIMER_RETRY;",
        suite: Suite::Scenario("panics"),
    },
    Mutant {
        name: "alarm_of_its_own_lost_in_panic",
        file: "src/oneloop/reactor/keyed_timers.rs",
        find: "called.is_none() && timers.get(id).is_none()",
        replace: "called.is_none()",
        suite: Suite::Scenario("timers"),
    },
    Mutant {
        name: "timers_outlive_their_session",
        file: "src/oneloop/reactor/keyed_timers.rs",
        find: "timers.cancel_all_of(session);",
        replace: "let _ = session;",
        suite: Suite::Scenario("timers"),
    },
    Mutant {
        name: "timer_comes_before_input",
        file: "src/oneloop/reactor/keyed_timers.rs",
        find: "        connection.flags.add(Flags::READABLE);
",
        replace: "        let _ = (Flags::READABLE, connection);
",
        suite: Suite::Scenario("timers"),
    },
    Mutant {
        name: "timer_comes_though_input_has_moved_it",
        file: "src/oneloop/service/timers.rs",
        find: "if timer.at > now || self.queue.get(&place) != Some(&id) {",
        replace: "if self.queue.get(&place) != Some(&id) {",
        suite: Suite::Scenario("timers"),
    },
    Mutant {
        name: "timer_of_the_past_fires_without_end",
        file: "src/oneloop/service/timers.rs",
        find: "if place.time > now || place.number > self.places_before {",
        replace: "if place.time > now {",
        suite: Suite::Scenario("timers"),
    },
    Mutant {
        name: "turn_timers_unbounded",
        file: "src/oneloop/reactor/keyed_timers.rs",
        find: "self.deadlines_left -= 1;",
        replace: "self.deadlines_left -= 0;",
        suite: Suite::Scenario("timers"),
    },
    Mutant {
        name: "random_numbers_without_seed",
        file: "src/oneloop/reactor/core.rs",
        find: "scratch.service.random = net.seed();",
        replace: "let _ = net.seed();",
        suite: Suite::Scenario("chance"),
    },
    Mutant {
        name: "call_wakes_no_loop",
        file: "src/oneloop/reactor/calls.rs",
        find: "            (self.waker)();",
        replace: "            let _ = &self.waker;",
        suite: Suite::Scenario("handles"),
    },
    Mutant {
        name: "calls_behind_a_batch_forgotten",
        file: "src/oneloop/reactor/calls.rs",
        find: "!self.taken.is_empty() || self.calls.signalled.load(Ordering::Acquire)",
        replace: "!self.taken.is_empty()",
        suite: Suite::Scenario("handles"),
    },
    Mutant {
        name: "turn_calls_unbounded",
        file: "src/oneloop/reactor/calls.rs",
        find: "for _ in 0..self.core.limits.turn_calls_max {",
        replace: "for _ in 0..self.core.limits.turn_calls_max.max(1 << 20) {",
        suite: Suite::Scenario("handles"),
    },
    Mutant {
        name: "waiting_calls_unbounded",
        file: "src/oneloop/reactor/calls.rs",
        find: "Queue::Open(queue) if queue.len() < most => queue.push_back(call),",
        replace: "Queue::Open(queue) if queue.len() < most.max(1 << 20) => queue.push_back(call),",
        suite: Suite::Scenario("handles"),
    },
    Mutant {
        name: "calls_taken_after_the_end",
        file: "src/oneloop/reactor/shutdown.rs",
        find: "                self.close_calls();
                Turn::Stopped",
        replace: "                Turn::Stopped",
        suite: Suite::Scenario("handles"),
    },
    Mutant {
        name: "calls_of_a_dropped_reactor_kept",
        file: "src/oneloop/reactor/shutdown.rs",
        find: "        self.close_calls();
        self.end_all",
        replace: "        self.end_all",
        suite: Suite::Scenario("handles"),
    },
    Mutant {
        name: "loop_waits_for_itself",
        file: "src/oneloop/reactor/handle.rs",
        find: "Err(ReplyError::TimedOut) if self.loop_thread.is_current() => {",
        replace: "Err(ReplyError::TimedOut) if false => {",
        suite: Suite::Scenario("handles"),
    },
    Mutant {
        name: "stop_of_a_handle_ignored",
        file: "src/oneloop/reactor/calls.rs",
        find: "        if stop {",
        replace: "        if stop && false {",
        suite: Suite::Scenario("handles"),
    },
    Mutant {
        name: "panic_of_a_call_not_counted",
        file: "src/oneloop/reactor/guard.rs",
        find: "            counters.service_panics += 1;",
        replace: "            counters.service_panics += 0;",
        suite: Suite::Scenario("handles"),
    },
    Mutant {
        name: "job_keeps_its_place",
        file: "src/oneloop/reactor/pool.rs",
        find: "self.0.fetch_sub(1, Ordering::AcqRel);",
        replace: "self.0.fetch_sub(0, Ordering::AcqRel);",
        suite: Suite::Scenario("pools"),
    },
    Mutant {
        name: "one_job_too_many",
        file: "src/oneloop/reactor/pool.rs",
        find: "match under_way.fetch_add(1, Ordering::AcqRel) < most {",
        replace: "match under_way.fetch_add(1, Ordering::AcqRel) <= most {",
        suite: Suite::Scenario("pools"),
    },
    Mutant {
        name: "jobs_outlive_their_pool",
        file: "src/oneloop/reactor/pool.rs",
        find: "        self.jobs.close();",
        replace: "",
        suite: Suite::Scenario("pools"),
    },
    Mutant {
        name: "results_refused_as_calls_are",
        file: "src/oneloop/reactor/calls.rs",
        find: "self.append(call, usize::MAX)",
        replace: "self.append(call, self.calls_max)",
        suite: Suite::Scenario("pools"),
    },
    Mutant {
        name: "poll_waits_from_a_stale_clock",
        file: "src/oneloop/reactor/poll.rs",
        find: "next - self.core.net.now()",
        replace: "next - self.core.now()",
        suite: Suite::Scenario("deadlines"),
    },
    Mutant {
        name: "leaving_does_not_end_the_rest",
        file: "src/oneloop/reactor/lifecycle.rs",
        find: "            listener.retry();
        }
        self.update_pressure();",
        replace: "            let _ = listener;
        }
        self.update_pressure();",
        suite: Suite::Scenario("accepting"),
    },
    Mutant {
        name: "rest_ten_times_as_long",
        file: "src/oneloop/reactor/accept.rs",
        find: "self.core.now() + self.core.limits.accept_retry;",
        replace: "self.core.now() + self.core.limits.accept_retry * 10;",
        suite: Suite::Scenario("accepting"),
    },
    Mutant {
        name: "no_rest_without_descriptors",
        file: "src/oneloop/reactor/accept.rs",
        find: "            }
        }
        self.back_off(listener, error);",
        replace: "            }
        }
        let _ = error;",
        suite: Suite::Scenario("accepting"),
    },
    Mutant {
        name: "no_rest_after_failures",
        file: "src/oneloop/reactor/accept.rs",
        find: "        if *failures >= self.core.limits.turn_accepts_max {
            self.back_off(listener, error);
        }",
        replace: "",
        suite: Suite::Scenario("accepting"),
    },
    Mutant {
        name: "failures_not_counted",
        file: "src/oneloop/reactor/accept.rs",
        find: "*failures += 1;",
        replace: "*failures += 0;",
        suite: Suite::Scenario("accepting"),
    },
    Mutant {
        name: "failures_not_forgotten",
        file: "src/oneloop/reactor/accept.rs",
        find: "entry.accepting = Accepting::Ready { failures: 0 };
                if let",
        replace: "let _ = entry.accepting;
                if let",
        suite: Suite::Scenario("accepting"),
    },
    Mutant {
        name: "rest_not_waited_for",
        file: "src/oneloop/reactor/accept.rs",
        find: "Accepting::BackingOff { until } => until,",
        replace: "Accepting::BackingOff { .. } => Time::NEVER,",
        suite: Suite::Scenario("accepting"),
    },
    Mutant {
        name: "refusals_one_too_many",
        file: "src/oneloop/reactor/accept.rs",
        find: "self.admission.refused > self.core.limits.refusals_max",
        replace: "self.admission.refused > self.core.limits.refusals_max + 1",
        suite: Suite::Scenario("accepting"),
    },
    Mutant {
        name: "refusals_one_too_few",
        file: "src/oneloop/reactor/accept.rs",
        find: "self.admission.refused > self.core.limits.refusals_max",
        replace: "self.admission.refused >= self.core.limits.refusals_max",
        suite: Suite::Scenario("accepting"),
    },
    Mutant {
        name: "full_server_goes_on_accepting",
        file: "src/oneloop/reactor/accept.rs",
        find: ".has_place(listener, self.core.limits.connections_max)",
        replace: ".has_place(listener, self.core.limits.connections_max + 1)",
        suite: Suite::Scenario("accepting"),
    },
    Mutant {
        name: "one_connection_too_many",
        file: "src/oneloop/reactor/admission.rs",
        find: "self.admitted.saturating_add(kept_for_others) < max",
        replace: "self.admitted.saturating_add(kept_for_others) <= max",
        suite: Suite::Scenario("accepting"),
    },
    Mutant {
        name: "one_of_an_address_too_many",
        file: "src/oneloop/reactor/admission.rs",
        find: "if connections >= per_address_max {",
        replace: "if connections > per_address_max {",
        suite: Suite::Scenario("accepting"),
    },
    Mutant {
        name: "address_of_ipv6_in_full",
        file: "src/oneloop/service/address_key.rs",
        find: "IpAddr::from([a, b, c, d, 0, 0, 0, 0])",
        replace: "IpAddr::from([a, b, c, d, 0, 0, 0, v6.segments()[7]])",
        suite: Suite::Unit("oneloop", "reactor::admission"),
    },
    Mutant {
        name: "outbound_in_a_drain",
        file: "src/oneloop/reactor/connect.rs",
        find: "let started = if self.drain.is_some() {",
        replace: "let started = if false && self.drain.is_some() {",
        suite: Suite::Scenario("outbound"),
    },
    Mutant {
        name: "outbound_without_time_limit",
        file: "src/oneloop/reactor/connect.rs",
        find: "        connection.set_deadline(self.core.now() + timeout, &self.core.pressure);
        connection.flags.remove(Flags::WRITABLE);",
        replace: "        let _ = timeout;
        connection.flags.remove(Flags::WRITABLE);",
        suite: Suite::Scenario("outbound"),
    },
    Mutant {
        name: "outbound_not_counted",
        file: "src/oneloop/reactor/connect.rs",
        find: "self.core.counters.connecting += 1;",
        replace: "self.core.counters.connecting += 0;",
        suite: Suite::Scenario("outbound"),
    },
    Mutant {
        name: "outbound_failure_not_counted",
        file: "src/oneloop/reactor/connect.rs",
        find: "started.inspect_err(|_| *ended += 1)?",
        replace: "started.inspect_err(|_| *ended += 0)?",
        suite: Suite::Scenario("outbound"),
    },
    Mutant {
        name: "outbound_admitted",
        file: "src/oneloop/reactor/lifecycle.rs",
        find: "Origin::Outbound => self.admission.outbound -= 1,",
        replace: "Origin::Outbound => {}",
        suite: Suite::Scenario("outbound"),
    },
    Mutant {
        name: "outbound_one_too_many",
        file: "src/oneloop/reactor/connect.rs",
        find: "self.admission.outbound >= self.core.limits.outbound_max",
        replace: "self.admission.outbound > self.core.limits.outbound_max",
        suite: Suite::Scenario("outbound"),
    },
    Mutant {
        name: "outbound_leak_without_registration",
        file: "src/oneloop/reactor/connect.rs",
        find: "                self.release_admission(claim);
                return Err",
        replace: "                return Err",
        suite: Suite::Scenario("outbound"),
    },
    Mutant {
        name: "outbound_failure_not_reported",
        file: "src/oneloop/reactor/connect.rs",
        find: r#"            self.core.call("connect_failed", |service, cx| {
                service.connect_failed(connect.tag, &error, cx);
            });"#,
        replace: "            let _ = error;",
        suite: Suite::Scenario("outbound"),
    },
    Mutant {
        name: "outbound_refusal_not_reported",
        file: "src/oneloop/reactor/lifecycle.rs",
        find: r#"        self.call("connect_failed", |service, cx| {
            service.connect_failed(tag, error, cx);
        });"#,
        replace: "        let _ = (tag, error);",
        suite: Suite::Scenario("outbound"),
    },
    Mutant {
        name: "outbound_cut_off_without_a_word",
        file: "src/oneloop/reactor/shutdown.rs",
        find: "                core.connect_failed(connection, &ConnectError::Stopping);",
        replace: "                let _ = (core, ConnectError::Stopping);
                connection.abort(EndReason::ConnectFailed);",
        suite: Suite::Scenario("outbound"),
    },
    Mutant {
        name: "outbound_cut_off_counted_as_cut",
        file: "src/oneloop/reactor/shutdown.rs",
        find: "                core.connect_failed(connection, &ConnectError::Stopping);",
        replace: "                core.connect_failed(connection, &ConnectError::Stopping);
                aborted += 1;",
        suite: Suite::Scenario("outbound"),
    },
    Mutant {
        name: "outbound_ticket_lost",
        file: "src/oneloop/reactor/connect.rs",
        find: "let ends = Ends::outbound(remote, connect.tag);",
        replace: "let ends = Ends::outbound(remote, Default::default());",
        suite: Suite::Scenario("outbound"),
    },
    Mutant {
        name: "outbound_time_of_its_own_ignored",
        file: "src/oneloop/reactor/connect.rs",
        find: "let timeout = connect.timeout.unwrap_or(self.core.limits.connect_timeout);",
        replace: "let timeout = self.core.limits.connect_timeout;",
        suite: Suite::Scenario("identity"),
    },
    Mutant {
        name: "outbound_buffers_of_its_own_ignored",
        file: "src/oneloop/reactor/connect.rs",
        find: "connect.send_buffer_bytes.unwrap_or(sizes.send_bytes)",
        replace: "sizes.send_bytes",
        suite: Suite::Scenario("identity"),
    },
    Mutant {
        name: "outbound_without_its_local_address",
        file: "src/oneloop/reactor/lifecycle.rs",
        find: "connection.ends.set_local(local);",
        replace: "let _ = local;",
        suite: Suite::Scenario("identity"),
    },
    Mutant {
        name: "start_repeated",
        file: "src/oneloop/reactor/poll.rs",
        find: "        self.is_new = false;",
        replace: "",
        suite: Suite::Scenario("identity"),
    },
    Mutant {
        name: "outbound_error_taken_for_connected",
        file: "src/oneloop/reactor/lifecycle.rs",
        find: "Ok(Connecting::InProgress) => connection.flags.remove(Flags::WRITABLE),",
        replace: "Ok(Connecting::InProgress) => self.open_session(connection, id),",
        suite: Suite::Scenario("outbound"),
    },
    Mutant {
        name: "reserve_ignored",
        file: "src/oneloop/reactor/admission.rs",
        find: "self.admitted.saturating_add(kept_for_others) < max",
        replace: "self.admitted + kept_for_others * 0 < max",
        suite: Suite::Scenario("listeners"),
    },
    Mutant {
        name: "reserve_not_given_back",
        file: "src/oneloop/reactor/admission.rs",
        find: "        self.unused_reserve += places.unused_reserve();
    }",
        replace: "    }",
        suite: Suite::Scenario("listeners"),
    },
    Mutant {
        name: "maximum_of_a_listener_ignored",
        file: "src/oneloop/reactor/admission.rs",
        find: "places.admitted < places.max && ",
        replace: "",
        suite: Suite::Scenario("listeners"),
    },
    Mutant {
        name: "queue_of_one_listener_decided_by_all",
        file: "src/oneloop/reactor/accept.rs",
        find: "let own = self.listeners[listener].when_full;",
        replace: "let own: Option<WhenFull> = None;
        let _ = listener;",
        suite: Suite::Scenario("listeners"),
    },
    Mutant {
        name: "refusal_without_its_listener",
        file: "src/oneloop/reactor/lifecycle.rs",
        find: "let listener = self.listeners[connection.listener as usize].id;",
        replace: "let listener = self.listeners[0].id;",
        suite: Suite::Scenario("listeners"),
    },
    Mutant {
        name: "session_of_another_listener",
        file: "src/oneloop/reactor/accept.rs",
        find: "connection.listener = listener as u16;",
        replace: "connection.listener = 0;",
        suite: Suite::Scenario("listeners"),
    },
    Mutant {
        name: "last_listener_drains_first",
        file: "src/oneloop/reactor/shutdown.rs",
        find: "drain.stage == Stage::All || !self.is_last(listener)",
        replace: "drain.stage == Stage::All || !self.is_last(listener) || true",
        suite: Suite::Scenario("listeners"),
    },
    Mutant {
        name: "last_sessions_drain_first",
        file: "src/oneloop/reactor/shutdown.rs",
        find: "let drains = |connection: &_| order_of(connection) == order;",
        replace: "let drains = |connection: &_| order_of(connection) == order || true;",
        suite: Suite::Scenario("listeners"),
    },
    Mutant {
        name: "last_listener_waits_too_long",
        file: "src/oneloop/reactor/shutdown.rs",
        find: "until: now + grace * 9 / 10,",
        replace: "until: now + grace,",
        suite: Suite::Scenario("listeners"),
    },
    Mutant {
        name: "last_listener_drains_only_in_the_end",
        file: "src/oneloop/reactor/shutdown.rs",
        find: "if until <= self.core.now() || self.has_stage_drained() {",
        replace: "if until <= self.core.now() {",
        suite: Suite::Scenario("listeners"),
    },
    Mutant {
        name: "backlog_of_a_listener_ignored",
        file: "src/oneloop/reactor/listen.rs",
        find: "self.backlog.unwrap_or(limits.backlog)",
        replace: "limits.backlog",
        suite: Suite::Scenario("listeners"),
    },
    Mutant {
        name: "wildcard_taken_for_the_local_address",
        file: "src/oneloop/reactor/accept.rs",
        find: "address.ip().is_unspecified()",
        replace: "address.port() == 0",
        suite: Suite::Scenario("listeners"),
    },
    Mutant {
        name: "stale_file_not_replaced",
        file: "src/oneloop/net/os/unix.rs",
        find: "Ok(is_closed.then(|| identity(&file)))",
        replace: "Ok((is_closed && false).then(|| identity(&file)))",
        suite: Suite::Sockets("listeners", "unix"),
    },
    Mutant {
        name: "open_socket_taken_for_stale",
        file: "src/oneloop/net/os/unix.rs",
        find: "matches!(refused, Err(error) if error.kind() == io::ErrorKind::ConnectionRefused)",
        replace: "matches!(refused, Err(error) if error.kind() != io::ErrorKind::NotFound)",
        suite: Suite::Sockets("listeners", "unix"),
    },
    Mutant {
        name: "any_file_taken_for_a_socket",
        file: "src/oneloop/net/os/unix.rs",
        find: "if !file.file_type().is_socket() {",
        replace: "if false && !file.file_type().is_socket() {",
        suite: Suite::Sockets("listeners", "unix"),
    },
    Mutant {
        name: "file_of_a_handed_over_socket_removed",
        file: "src/oneloop/net/os/unix.rs",
        find: "file.keep();",
        replace: "drop(file);",
        suite: Suite::Sockets("listeners", "unix"),
    },
    Mutant {
        name: "file_of_an_adopted_socket_removed",
        file: "src/oneloop/net/os/unix.rs",
        find: "file: owns_file.then(",
        replace: "file: true.then(",
        suite: Suite::Sockets("listeners", "unix"),
    },
    Mutant {
        name: "file_of_another_removed",
        file: "src/oneloop/net/os/unix.rs",
        find: "let is_ours = |file: &Metadata| Some(identity(file)) == self.identity;",
        replace: "let is_ours = |_: &Metadata| true;",
        suite: Suite::Sockets("listeners", "unix"),
    },
    Mutant {
        name: "mode_of_a_socket_ignored",
        file: "src/oneloop/net/os/unix.rs",
        find: "            fs::set_permissions(path, Permissions::from_mode(mode))?;
",
        replace: "            let _ = mode;
",
        suite: Suite::Sockets("listeners", "unix"),
    },
    Mutant {
        name: "adopted_without_a_look",
        file: "src/oneloop/net/os/listener.rs",
        find: "socket.r#type()? != Type::STREAM || !unix::is_listening(&socket)?",
        replace: "false",
        suite: Suite::Sockets("listeners", "unix"),
    },
    Mutant {
        name: "second_signal_waits",
        file: "src/oneloop/net/os/signals.rs",
        find: "        flag::register(signal, Arc::clone(&repeated))?;\n",
        replace: "",
        suite: Suite::Sockets("embedding", "signal"),
    },
    Mutant {
        name: "ignored_signal_caught",
        file: "src/oneloop/net/os/signals.rs",
        find: "            continue;\n",
        replace: "",
        suite: Suite::Sockets("embedding", "signal"),
    },
    Mutant {
        name: "host_sleeps_before_the_start",
        file: "src/oneloop/reactor/embedding.rs",
        find: "true => Some(Duration::ZERO),",
        replace: "true => self.timeout(),",
        suite: Suite::Sockets("embedding", "host"),
    },
    Mutant {
        name: "no_nodelay",
        file: "src/oneloop/net/os.rs",
        find: "    socket.set_tcp_nodelay(true)
",
        replace: "    Ok(())
",
        suite: Suite::Scenario("kernel"),
    },
    Mutant {
        name: "wildcard_takes_ipv4_too",
        file: "src/oneloop/net/os/listener.rs",
        find: "socket.set_only_v6(true)?;",
        replace: "socket.set_only_v6(false)?;",
        suite: Suite::Scenario("kernel"),
    },
    Mutant {
        name: "abort_without_reset",
        file: "src/oneloop/net/os.rs",
        find: "set_linger(Some(Duration::ZERO))",
        replace: "set_linger(None)",
        suite: Suite::Scenario("kernel"),
    },
    Mutant {
        name: "backlog_of_one",
        file: "src/oneloop/net/os/listener.rs",
        find: "i32::try_from(options.backlog).unwrap_or(i32::MAX)",
        replace: "i32::from(options.backlog > 0)",
        suite: Suite::Scenario("kernel"),
    },
    Mutant {
        name: "lingering_without_bound",
        file: "src/oneloop/reactor/lifecycle.rs",
        find: "match bytes_left.checked_sub(bytes as u32) {",
        replace: "match bytes_left.checked_sub(0 * bytes as u32) {",
        suite: Suite::Scenario("writing"),
    },
    Mutant {
        name: "lingering_ends_at_the_first_byte",
        file: "src/oneloop/reactor/lifecycle.rs",
        find: "match bytes_left.checked_sub(bytes as u32) {",
        replace: "match bytes_left.checked_sub(u32::MAX) {",
        suite: Suite::Scenario("writing"),
    },
    Mutant {
        name: "lingering_without_time_limit",
        file: "src/oneloop/reactor/lifecycle.rs",
        find: "        let deadline = self.now() + self.limits.linger_timeout;
        connection.set_deadline(deadline, &self.pressure);",
        replace: "",
        suite: Suite::Scenario("writing"),
    },
    Mutant {
        name: "lingering_after_the_peer_has_finished",
        file: "src/oneloop/reactor/lifecycle.rs",
        find: "if connection.flags.has(Flags::EOF)
            || !finished && self.net.shutdown_write",
        replace: "if self.net.shutdown_write",
        suite: Suite::Scenario("writing"),
    },
    // Mistakes of layers.
    Mutant {
        name: "nested_output_not_put_back",
        file: "src/oneloop/service/nested.rs",
        find: "        std::mem::swap(&mut self.scratch.output, self.output);
",
        replace: "        let _ = (&mut self.scratch, &mut self.output);
",
        suite: Suite::Scenario("layers"),
    },
    Mutant {
        name: "nested_output_put_back_unless_it_panics",
        file: "src/oneloop/service/nested.rs",
        find: "        std::mem::swap(&mut self.scratch.output, self.output);
",
        replace: "        if !std::thread::panicking() {
            std::mem::swap(&mut self.scratch.output, self.output);
        }
",
        suite: Suite::Scenario("layers"),
    },
    Mutant {
        name: "nested_overflow_forgotten",
        file: "src/oneloop/service/nested.rs",
        find: "if output.buffer.has_overflowed() {",
        replace: "if false && output.buffer.has_overflowed() {",
        suite: Suite::Scenario("layers"),
    },
    Mutant {
        name: "plaintext_without_room_not_presented_again",
        file: "src/oneloop/layer/transform/state.rs",
        find: "if (!had_room || resumes) &&",
        replace: "if resumes &&",
        suite: Suite::Scenario("layers"),
    },
    Mutant {
        name: "plaintext_after_a_pause_not_presented_again",
        file: "src/oneloop/layer/transform/state.rs",
        find: "if (!had_room || resumes) &&",
        replace: "if !had_room &&",
        suite: Suite::Scenario("layers"),
    },
    Mutant {
        name: "plaintext_behind_another_event_not_presented",
        file: "src/oneloop/layer/transform/transformed.rs",
        find: "        if plain.len() > before {
            state.presented = Presented::New;
        }
",
        replace: "        let _ = before;
",
        suite: Suite::Scenario("layers"),
    },
    Mutant {
        name: "session_behind_a_layer_not_stopped_without_room",
        file: "src/oneloop/layer/transform/transformed.rs",
        find: "if due.is_some() && (written >= room || self.transform.fit(cx.room()) == 0) {",
        replace: "if due.is_some() && written > room && self.transform.fit(cx.room()) == usize::MAX {",
        suite: Suite::Scenario("layers"),
    },
    Mutant {
        name: "flush_for_room_not_waited_for",
        file: "src/oneloop/layer/transform/state.rs",
        find: "                Next::Flush\n            }\n            Duplex::Full",
        replace: "                self.wait\n            }\n            Duplex::Full",
        suite: Suite::Scenario("layers"),
    },
    Mutant {
        name: "flush_of_the_layer_passed_on",
        file: "src/oneloop/layer/transform/state.rs",
        find: "(flush == Flush::Inner).then_some(event)",
        replace: "(flush == Flush::Inner || flush == Flush::Own).then_some(event)",
        suite: Suite::Unit("oneloop", "layer"),
    },
    Mutant {
        name: "flush_of_the_session_kept_back",
        file: "src/oneloop/layer/transform/state.rs",
        find: "(flush == Flush::Inner).then_some(event)",
        replace: "(flush == Flush::Inner && event == Event::Open).then_some(event)",
        suite: Suite::Scenario("layers"),
    },
    Mutant {
        name: "end_behind_a_layer_not_delivered_to_a_paused_session",
        file: "src/oneloop/layer/transform/state.rs",
        find: "Next::Read { .. } | Next::Pause { .. } if ended => Some(Event::Eof),",
        replace: "Next::Read { .. } if ended => Some(Event::Eof),",
        suite: Suite::Unit("oneloop", "layer"),
    },
    Mutant {
        name: "end_behind_a_layer_before_all_plaintext",
        file: "src/oneloop/layer/transform/state.rs",
        find: " && decoded != Decoded::Some;",
        replace: ";
        let _ = decoded;",
        suite: Suite::Scenario("layers"),
    },
    Mutant {
        name: "plaintext_without_bound",
        file: "src/oneloop/layer/transform/transformed.rs",
        find: "while decoded == Decoded::Some && plain.len() <= self.plain_max(state, cx) {",
        replace: "while decoded == Decoded::Some {",
        suite: Suite::Scenario("layers"),
    },
    Mutant {
        name: "truncated_wire_taken_for_an_end",
        file: "src/oneloop/layer/transform/transformed.rs",
        find: "            self.transform
                .wire_ended(&mut state.transform, cx.input())?;
",
        replace: "",
        suite: Suite::Scenario("layers"),
    },
    Mutant {
        name: "stream_behind_a_layer_without_an_end",
        file: "src/oneloop/layer/transform/transformed.rs",
        find: "let finishes = output.is_finished() || matches!(next, Next::Close(_));",
        replace: "let finishes = output.is_finished();",
        suite: Suite::Scenario("layers"),
    },
    Mutant {
        name: "wake_up_during_a_handshake_lost",
        file: "src/oneloop/layer/transform/transformed.rs",
        find: "state.wake = Wake::Pending;",
        replace: "",
        suite: Suite::Unit("oneloop", "layer"),
    },
    Mutant {
        name: "layer_not_closed_after_a_panic_in_open",
        file: "src/oneloop/layer/layered.rs",
        find: "                self.layer.closed(layer, &peer, EndReason::Panicked, cx);
",
        replace: "                drop(layer);
",
        suite: Suite::Scenario("layers"),
    },
    Mutant {
        name: "layer_not_closed_after_a_panic_in_closed",
        file: "src/oneloop/layer/unwinding.rs",
        find: "    second(cx);
    if let Err(panic) = outcome {
        resume(panic);
    }",
        replace: "    if let Err(panic) = outcome {
        resume(panic);
    }
    second(cx);",
        suite: Suite::Scenario("layers"),
    },
    Mutant {
        name: "idle_ends_at_the_deadline_of_the_session",
        file: "src/oneloop/layer/idle.rs",
        find: "event == Event::Timeout && state.due == Due::Layer",
        replace: "event == Event::Timeout",
        suite: Suite::Scenario("layers"),
    },
    Mutant {
        name: "idle_compares_with_the_clock",
        file: "src/oneloop/layer/idle.rs",
        find: "event == Event::Timeout && state.due == Due::Layer",
        replace: "event == Event::Timeout && state.until <= cx.now()",
        suite: Suite::Scenario("layers"),
    },
    Mutant {
        name: "idle_counts_time_outs_as_progress",
        file: "src/oneloop/layer/idle.rs",
        find: "if arrived || cx.written() > written || event == Event::Flushed {",
        replace: "if true || arrived || cx.written() > written {",
        suite: Suite::Scenario("layers"),
    },
    Mutant {
        name: "idle_although_it_is_flushed",
        file: "src/oneloop/layer/idle.rs",
        find: "if arrived || cx.written() > written || event == Event::Flushed {",
        replace: "if arrived || cx.written() > written {",
        suite: Suite::Scenario("layers"),
    },
    Mutant {
        name: "rate_limit_passes_the_end_on",
        file: "src/oneloop/layer/rate_limit.rs",
        find: "            Event::Eof if !cx.input().is_empty() => {}
",
        replace: "",
        suite: Suite::Scenario("layers"),
    },
    Mutant {
        name: "rate_limit_keeps_an_end_without_input",
        file: "src/oneloop/layer/rate_limit.rs",
        find: "Event::Eof if !cx.input().is_empty() => {}",
        replace: "Event::Eof => {}",
        suite: Suite::Scenario("layers"),
    },
    Mutant {
        name: "rate_limit_takes_the_deadline_of_the_session",
        file: "src/oneloop/layer/rate_limit.rs",
        find: "Event::Timeout if due == Due::Layer => {}",
        replace: "Event::Timeout => {
                let _ = due;
            }",
        suite: Suite::Scenario("layers"),
    },
    Mutant {
        name: "rate_limit_not_checked_again",
        file: "src/oneloop/layer/rate_limit.rs",
        find: "if self.charge(state, 0, cx.now()) == Level::Debt {\n            if event",
        replace: "if false {\n            if event",
        suite: Suite::Scenario("layers"),
    },
    Mutant {
        name: "debt_forgotten_when_the_address_has_left",
        file: "src/oneloop/layer/rate_limit/addresses.rs",
        find: "            self.left.insert((bucket.empty_at(), place));",
        replace: "            let _ = bucket;\n            self.left.insert((Time::START, place));",
        suite: Suite::Scenario("layers"),
    },
    Mutant {
        name: "tag_of_the_other_side",
        file: "src/oneloop/service/part.rs",
        find: "        *part = outer.child(side);",
        replace: "        *part = outer.child(Side::First);
        let _ = side;",
        suite: Suite::Scenario("layers"),
    },
    Mutant {
        name: "part_of_a_side_kept_after_its_call",
        file: "src/oneloop/service/part.rs",
        find: "        self.cx.as_mut().part = self.outer;",
        replace: "        self.cx.as_mut().part = std::mem::take(&mut self.outer.child(Side::First));",
        suite: Suite::Scenario("layers"),
    },
    Mutant {
        name: "timer_of_the_other_side",
        file: "src/oneloop/reactor/keyed_timers.rs",
        find: "        self.scratch.service.due = part;",
        replace: "        let _ = part;",
        suite: Suite::Scenario("layers"),
    },
    Mutant {
        name: "end_of_a_nested_stream_not_noticed",
        file: "src/oneloop/service/nested.rs",
        find: "output.finished = controls.contains(&(id, Control::Finish));",
        replace: "output.finished = controls.is_empty() && controls.contains(&(id, Control::Finish));",
        suite: Suite::Relay(SEEDS_OF_THE_RELAY),
    },
    Mutant {
        name: "unread_input_metered_again",
        file: "src/oneloop/layer/meter.rs",
        find: "state.bytes_in += (input.len() - state.unread) as u64;",
        replace: "state.bytes_in += input.len() as u64;",
        suite: Suite::Scenario("layers"),
    },
    // Mistakes against the second contract.
    Mutant {
        name: "past_deadline_filed_in_the_past",
        file: "src/oneloop/reactor/timer_wheel.rs",
        find: "self.place(deadline.max(now))",
        replace: "self.place(deadline)",
        suite: Suite::Scenario("deadlines"),
    },
    Mutant {
        name: "abnormal_end_without_reset",
        file: "src/oneloop/reactor/lifecycle.rs",
        find: "self.core.net.abort(connection.stream);",
        replace: "self.core.net.close(connection.stream);",
        suite: Suite::Scenario("panics"),
    },
    Mutant {
        name: "normal_end_with_reset",
        file: "src/oneloop/reactor/lifecycle.rs",
        find: "        } else {
            self.core.net.close(connection.stream);",
        replace: "        } else {
            self.core.net.abort(connection.stream);",
        suite: Suite::Scenario("writing"),
    },
    Mutant {
        name: "overflow_not_noticed",
        file: "src/oneloop/reactor/write.rs",
        find: "            return self.overflowed(connection);",
        replace: "            return true;",
        suite: Suite::Scenario("writing"),
    },
    Mutant {
        name: "overflow_a_byte_early",
        file: "src/oneloop/service/output.rs",
        find: "self.max - self.len() < bytes",
        replace: "self.max - self.len() <= bytes",
        suite: Suite::Scenario("writing"),
    },
    Mutant {
        name: "overflow_a_byte_late",
        file: "src/oneloop/service/output.rs",
        find: "self.max - self.len() < bytes",
        replace: "self.max - self.len() + 1 < bytes",
        suite: Suite::Scenario("writing"),
    },
    Mutant {
        name: "overflow_stays_for_the_next",
        file: "src/oneloop/reactor/write.rs",
        find: "        self.scratch.reset();
        connection.abort(EndReason::OutputOverflow);",
        replace: "        self.scratch.output.clear();
        connection.abort(EndReason::OutputOverflow);",
        suite: Suite::Scenario("writing"),
    },
    Mutant {
        name: "write_progress_not_counted",
        file: "src/oneloop/reactor/buffer.rs",
        find: "self.sent_since_deadline >= enough",
        replace: "self.sent_since_deadline >= usize::MAX",
        suite: Suite::Scenario("writing"),
    },
    Mutant {
        name: "any_write_is_progress",
        file: "src/oneloop/reactor/buffer.rs",
        find: "self.sent_since_deadline >= enough",
        replace: "self.sent_since_deadline >= enough.min(1)",
        suite: Suite::Scenario("writing"),
    },
    Mutant {
        name: "write_progress_counted_from_the_start",
        file: "src/oneloop/reactor/buffer.rs",
        find: "            self.sent_since_deadline = 0;",
        replace: "",
        suite: Suite::Scenario("writing"),
    },
    Mutant {
        name: "pause_deaf_to_the_end",
        file: "src/oneloop/reactor/connection.rs",
        find: "self.flags.of_these(relevant) == Flags::READABLE | Flags::HUP | Flags::PAUSED",
        replace: "false && self.flags.of_these(relevant) == Flags::READABLE | Flags::HUP | Flags::PAUSED",
        suite: Suite::Scenario("events"),
    },
    Mutant {
        name: "pause_deaf_to_a_reset",
        file: "src/oneloop/reactor/drive.rs",
        find: "if connection.flags.take(Flags::HUP_UNCHECKED)
",
        replace: "if false && connection.flags.take(Flags::HUP_UNCHECKED)
",
        suite: Suite::Scenario("events"),
    },
    Mutant {
        name: "paused_session_read",
        file: "src/oneloop/reactor/connection.rs",
        find: "let relevant = Flags::READABLE | Flags::PAUSED | Flags::EOF;",
        replace: "let relevant = Flags::READABLE | Flags::EOF;",
        suite: Suite::Scenario("events"),
    },
    Mutant {
        name: "input_after_a_pause_not_offered",
        file: "src/oneloop/reactor/connection.rs",
        find: "if self.flags.take(Flags::PAUSED) && !seen {",
        replace: "if self.flags.take(Flags::PAUSED) && !seen && false {",
        suite: Suite::Scenario("reading"),
    },
    Mutant {
        name: "unread_input_kept_by_one_too_many",
        file: "src/oneloop/reactor/buffer.rs",
        find: "self.start = self.end - left;",
        replace: "self.start = (self.end - left).saturating_sub(1);",
        suite: Suite::Unit("oneloop", "reactor::buffer"),
    },
    Mutant {
        name: "sessions_lost_when_dropped",
        file: "src/oneloop/reactor/shutdown.rs",
        find: "self.end_all(|_, connection| connection.abort(EndReason::Dropped));",
        replace: "self.end_all(|_, _| {});",
        suite: Suite::Scenario("events"),
    },
    Mutant {
        name: "line_served_last_first",
        file: "src/oneloop/reactor/slots.rs",
        find: "            self.ready_now.reverse();
",
        replace: "",
        suite: Suite::Scenario("shares"),
    },
    Mutant {
        name: "tokens_of_slots_mixed_up",
        file: "src/oneloop/reactor/token.rs",
        find: "generation: (token.0 >> INDEX_BITS) as u32,",
        replace: "generation: (token.0 >> INDEX_BITS) as u32 & 0xff,",
        suite: Suite::Unit("oneloop", "reactor::token"),
    },
    Mutant {
        name: "wheel_late_by_a_slot",
        file: "src/oneloop/reactor/timer_wheel.rs",
        find: "let expiry_tick = (deadline.as_nanos() >> TICK_BITS) + 1;",
        replace: "let expiry_tick = (deadline.as_nanos() >> TICK_BITS) + 3;",
        suite: Suite::Unit("oneloop", "reactor::timer_wheel"),
    },
    Mutant {
        name: "wheel_forgets_the_list_behind_the_first",
        file: "src/oneloop/reactor/timer_wheel.rs",
        find: "links.link(head).previous = HEAD + EXPIRED as u32;",
        replace: "links.link(head).next = NONE;
        links.link(head).previous = HEAD + EXPIRED as u32;",
        suite: Suite::Unit("oneloop", "reactor::timer_wheel"),
    },
    Mutant {
        name: "longest_wait_ignored",
        file: "src/oneloop/reactor/pressure.rs",
        find: "let until = until.min(self.now + self.wait_max);",
        replace: "let until = until.min(Time::NEVER);",
        suite: Suite::Scenario("deadlines"),
    },
    Mutant {
        name: "wait_shortened_below_the_shortest",
        file: "src/oneloop/reactor/pressure.rs",
        find: "Time::from_nanos(now + wait).max(least)",
        replace: "Time::from_nanos(now + wait).max(least.min(self.now))",
        suite: Suite::Scenario("pressure"),
    },
    Mutant {
        name: "has_room_above_the_mark",
        file: "src/oneloop/service/output.rs",
        find: "self.mark_left.saturating_sub(self.plain.filled)",
        replace: "self.max.saturating_sub(self.plain.filled)",
        suite: Suite::Unit("oneloop", "service"),
    },
    Mutant {
        name: "repeated_wake_ups_of_others_dropped",
        file: "src/oneloop/service/requests.rs",
        find: "if self.wake.last() == Some(&session) {",
        replace: "if !self.wake.is_empty() {",
        suite: Suite::Scenario("events"),
    },
    Mutant {
        name: "shared_output_not_counted_to_the_maximum",
        file: "src/oneloop/service/output.rs",
        find: "if self.accept(bytes.len()) {",
        replace: "if self.accept(0) {",
        suite: Suite::Scenario("large"),
    },
    Mutant {
        name: "shared_output_leaves_room",
        file: "src/oneloop/service/output.rs",
        find: "            Form::Mixed => self.len(),",
        replace: "            Form::Mixed => 0,",
        suite: Suite::Scenario("large"),
    },
    Mutant {
        name: "shared_output_before_what_precedes_it",
        file: "src/oneloop/service/output.rs",
        find: "let behind = self.mixed.copied.filled;",
        replace: "let behind = 0;",
        suite: Suite::Scenario("large"),
    },
    Mutant {
        name: "shared_output_copied",
        file: "src/oneloop/service/output.rs",
        find: "if bytes.len() < SHARED_AT_LEAST {",
        replace: "if bytes.len() < SHARED_AT_LEAST * 10_000 {",
        suite: Suite::Scenario("large"),
    },
    Mutant {
        name: "sent_part_of_shared_output_sent_again",
        file: "src/oneloop/service/output.rs",
        find: "keep(Segment::Shared(bytes.slice(start..)));",
        replace: "keep(Segment::Shared(bytes.slice(..)));",
        suite: Suite::Scenario("large"),
    },
    Mutant {
        name: "segments_in_reverse",
        file: "src/oneloop/reactor/buffer.rs",
        find: "self.segments.push_back(segment);",
        replace: "self.segments.push_front(segment);",
        suite: Suite::Scenario("large"),
    },
    Mutant {
        name: "pending_segments_after_the_sent_ones_lost",
        file: "src/oneloop/reactor/buffer.rs",
        find: "            sent -= length;
            self.segments.pop_front();",
        replace: "            sent -= length;
            self.segments.truncate(1);
            self.segments.pop_front();",
        suite: Suite::Scenario("large"),
    },
    Mutant {
        name: "slices_written_but_the_first",
        file: "src/oneloop/net/os.rs",
        find: "stream.write_vectored(slices)",
        replace: "stream.write_vectored(&slices[1..])",
        suite: Suite::Scenario("kernel"),
    },
    Mutant {
        name: "raised_input_maximum_stays",
        file: "src/oneloop/reactor/buffer.rs",
        find: "        if left < self.len() {
            self.raised_max = None;
        }
",
        replace: "",
        suite: Suite::Scenario("large"),
    },
    Mutant {
        name: "raised_input_maximum_for_the_next",
        file: "src/oneloop/service/context.rs",
        find: "        self.output.reset();
        self.input_max = None;",
        replace: "        self.output.reset();",
        suite: Suite::Scenario("large"),
    },
    Mutant {
        name: "input_maximum_raised_above_the_hard_one",
        file: "src/oneloop/service/context.rs",
        find: "if bytes > limits.input_bytes_hard_max {",
        replace: "if bytes > limits.input_bytes_hard_max + 1 {",
        suite: Suite::Scenario("large"),
    },
    Mutant {
        name: "input_maximum_passed_after_it_fell_back",
        file: "src/oneloop/reactor/buffer.rs",
        find: "let end = self.buffer.len().min(self.start + max);",
        replace: "let end = self.buffer.len();",
        suite: Suite::Unit("oneloop", "buffer"),
    },
    Mutant {
        name: "large_output_in_a_small_send_buffer",
        file: "src/oneloop/reactor/write.rs",
        find: "if sent + buffers.output.len() >= LARGE_OUTPUT_BYTES {",
        replace: "if buffers.output.len() >= LARGE_OUTPUT_BYTES {",
        suite: Suite::Scenario("large"),
    },
    // Both directions at once, finished sending sides, aborts, wake-ups within the turn.
    Mutant {
        name: "duplex_session_not_read_while_output_waits",
        file: "src/oneloop/reactor/drive.rs",
        find: "            if !connection.is_duplex() {
                return Progress::None;
            }",
        replace: "            return Progress::None;",
        suite: Suite::Scenario("duplex"),
    },
    Mutant {
        name: "all_sessions_in_duplex",
        file: "src/oneloop/reactor/connection.rs",
        find: "self.phase == Phase::Live && self.flags.has(Flags::DUPLEX)",
        replace: "self.phase == Phase::Live",
        suite: Suite::Scenario("duplex"),
    },
    Mutant {
        name: "pending_output_of_duplex_unbounded",
        file: "src/oneloop/reactor/write.rs",
        find: "if self.scratch.output.has_overflowed() || bytes > self.limits.output_bytes_max {",
        replace: "if self.scratch.output.has_overflowed() {",
        suite: Suite::Scenario("duplex"),
    },
    Mutant {
        name: "pending_output_takes_up_no_room",
        file: "src/oneloop/service/output.rs",
        find: "false => self.mark.saturating_sub(self.pending + beside_plain),",
        replace: "false => self.mark.saturating_sub(beside_plain),",
        suite: Suite::Scenario("duplex"),
    },
    Mutant {
        name: "deadline_in_duplex_hides_the_write_deadline",
        file: "src/oneloop/reactor/drive.rs",
        find: "        connection.deadline = connection.deadline.min(connection.write_deadline());
        self.append_pending",
        replace: "        self.append_pending",
        suite: Suite::Scenario("duplex"),
    },
    Mutant {
        name: "deadline_in_duplex_taken_for_the_write_deadline",
        file: "src/oneloop/reactor/lifecycle.rs",
        find: "Phase::Live if connection.write_deadline() > self.now() => {",
        replace: "Phase::Live if !connection.has_pending_output() => {",
        suite: Suite::Scenario("duplex"),
    },
    Mutant {
        name: "flushed_in_duplex_before_all_is_flushed",
        file: "src/oneloop/reactor/connection.rs",
        find: "if pending == 0 && self.flags.take(Flags::FLUSHED) {",
        replace: "if self.flags.take(Flags::FLUSHED) {",
        suite: Suite::Scenario("duplex"),
    },
    Mutant {
        name: "input_in_duplex_offered_without_room",
        file: "src/oneloop/reactor/connection.rs",
        find: "            && pending < mark
",
        replace: "            && pending <= mark.saturating_mul(1000)
",
        suite: Suite::Scenario("duplex"),
    },
    Mutant {
        name: "end_of_stream_overtakes_output",
        file: "src/oneloop/reactor/write.rs",
        find: "        if !connection.has_pending_output() {
            self.finish_sending(connection);",
        replace: "        {
            self.finish_sending(connection);",
        suite: Suite::Scenario("duplex"),
    },
    Mutant {
        name: "end_of_stream_behind_output_forgotten",
        file: "src/oneloop/reactor/write.rs",
        find: "                    if connection.flags.has(Flags::FINISHED) {",
        replace: "                    if false && connection.flags.has(Flags::FINISHED) {",
        suite: Suite::Scenario("duplex"),
    },
    Mutant {
        name: "output_of_an_aborted_step_sent",
        file: "src/oneloop/reactor/drive.rs",
        find: "        if connection.phase == Phase::Dead {
            self.scratch.reset();
            return false;
        }
        self.send(connection)",
        replace: "        self.send(connection)",
        suite: Suite::Scenario("duplex"),
    },
    Mutant {
        name: "lingering_connection_aborted",
        file: "src/oneloop/reactor/requests.rs",
        find: "Control::Abort if connection.is_unfinished() =>",
        replace: "Control::Abort if connection.phase != super::connection::Phase::Dead =>",
        suite: Suite::Scenario("duplex"),
    },
    Mutant {
        name: "woken_sessions_wait_for_the_next_turn",
        file: "src/oneloop/reactor/requests.rs",
        find: "            self.catch_session_panics(Self::drive_woken);
",
        replace: "            if self.core.counters.turns % 2 == 0 {
                self.catch_session_panics(Self::drive_woken);
            }
",
        suite: Suite::Scenario("duplex"),
    },
    Mutant {
        name: "wake_ups_beyond_the_budget_forgotten",
        file: "src/oneloop/reactor/requests.rs",
        find: "        while self.wakes_left > 0
            && let Some(index) = self.slots.pop_woken()
        {
            self.wakes_left -= 1;",
        replace: "        while let Some(index) = self.slots.pop_woken() {
            if self.wakes_left == 0 {
                continue;
            }
            self.wakes_left -= 1;",
        suite: Suite::Scenario("duplex"),
    },
    // The framings.
    Mutant {
        name: "framed_length_compared_before_its_adjustment",
        file: "src/oneloop/framing/length.rs",
        find: "Ok(body) if body <= self.max =>",
        replace: "Ok(body) if value <= self.max as u64 =>",
        suite: Suite::Unit("oneloop", "framing"),
    },
    Mutant {
        name: "delimiter_searched_from_the_start_again",
        file: "src/oneloop/framing/delimited.rs",
        find: "scanned.set(window.len());",
        replace: "scanned.set(0);",
        suite: Suite::Unit("oneloop", "framing"),
    },
    Mutant {
        name: "delimiter_in_two_pieces_missed",
        file: "src/oneloop/framing/search.rs",
        find: ".saturating_sub(length - 1)",
        replace: ".saturating_sub(length.min(0))",
        suite: Suite::Unit("oneloop", "framing"),
    },
    Mutant {
        name: "encoder_without_the_maximum",
        file: "src/oneloop/framing/mod.rs",
        find: "if length > max {",
        replace: "if false && length > max {",
        suite: Suite::Unit("oneloop", "framing"),
    },
    Mutant {
        name: "delimiter_begun_in_the_body_encoded",
        file: "src/oneloop/framing/delimited.rs",
        find: "|| begins_in(body, delimiter)",
        replace: "|| (false && begins_in(body, delimiter))",
        suite: Suite::Unit("oneloop", "framing"),
    },
    Mutant {
        name: "step_without_room_followed_by_nothing",
        file: "src/oneloop/reactor/write.rs",
        find: "if output.room() == 0 && !offered_again {",
        replace: "if false && !offered_again {",
        suite: Suite::Scenario("writing"),
    },
    Mutant {
        name: "end_in_a_pause_told_twice",
        file: "src/oneloop/reactor/connection.rs",
        find: "if self.flags.take(Flags::PAUSED) && !seen {",
        replace: "if self.flags.take(Flags::PAUSED) || !seen {",
        suite: Suite::Scenario("reading"),
    },
    Mutant {
        name: "large_input_buffer_kept",
        file: "src/oneloop/reactor/buffer.rs",
        find: "left < self.buffer.len() / 8 {",
        replace: "left < self.buffer.len() / 8 && false {",
        suite: Suite::Scenario("memory"),
    },
    Mutant {
        name: "input_copied_after_each_message",
        file: "src/oneloop/reactor/buffer.rs",
        find: "self.buffer.len() > READ_AT_LEAST && left",
        replace: "self.buffer.len() > READ_AT_LEAST || left",
        suite: Suite::Scenario("memory"),
    },
    Mutant {
        name: "closing_keeps_unread_input",
        file: "src/oneloop/reactor/connection.rs",
        find: "buffers.input.keep_last(0);",
        replace: "",
        suite: Suite::Scenario("memory"),
    },
    Mutant {
        name: "large_output_keeps_a_small_send_buffer",
        file: "src/oneloop/reactor/write.rs",
        find: "            self.widen_send_buffer(connection, sent);",
        replace: "",
        suite: Suite::Scenario("memory"),
    },
    Mutant {
        name: "late_comers_accepted_in_a_drain_without_end",
        file: "src/oneloop/reactor/accept.rs",
        find: "*left -= 1;",
        replace: "let _ = left;",
        suite: Suite::Scenario("draining"),
    },
    Mutant {
        name: "drain_over_while_others_wait_in_the_queue",
        file: "src/oneloop/reactor/shutdown.rs",
        find: "Some(_) => self.slots.is_empty() && !self.listens_at_all(),",
        replace: "Some(_) => self.slots.is_empty(),",
        suite: Suite::Scenario("draining"),
    },
    Mutant {
        name: "short_read_not_taken_for_the_last",
        file: "src/oneloop/reactor/drive.rs",
        find: "N::SHORT_READ_DRAINS && bytes < asked &&",
        replace: "N::SHORT_READ_DRAINS && bytes > asked &&",
        suite: Suite::Scenario("reading"),
    },
    Mutant {
        name: "interrupted_read_ends_lingering",
        file: "src/oneloop/reactor/lifecycle.rs",
        find: "                ErrorKind::Interrupted => {}\n",
        replace: "",
        suite: Suite::Scenario("writing"),
    },
    // Proxies and the clients that they announce.
    Mutant {
        name: "announced_client_not_counted",
        file: "src/oneloop/reactor/admission.rs",
        find: "Ok(()) if per_address_max.is_some() => self.count_address(address),",
        replace: "Ok(()) if false && per_address_max.is_some() => self.count_address(address),",
        suite: Suite::Scenario("proxied"),
    },
    Mutant {
        name: "announced_client_leaves_its_old_address_counted",
        file: "src/oneloop/reactor/admission.rs",
        find: "if per_address_max.is_some() && claim.origin == Origin::Accepted {",
        replace: "if false && claim.origin == Origin::Accepted {",
        suite: Suite::Scenario("proxied"),
    },
    Mutant {
        name: "announced_client_refused_and_still_counted_as_served",
        file: "src/oneloop/reactor/admission.rs",
        find: "                self.leave(claim.listener);\n                self.refused += 1;",
        replace: "                self.refused += 1;",
        suite: Suite::Scenario("proxied"),
    },
    Mutant {
        name: "announced_client_refused_without_lingering_within_a_maximum",
        file: "src/oneloop/reactor/readdress.rs",
        find: "if self.admission.refused > self.core.limits.refusals_max {",
        replace: "if false {",
        suite: Suite::Scenario("proxied"),
    },
    Mutant {
        name: "proxy_counted_for_its_own_address",
        file: "src/oneloop/reactor/accept.rs",
        find: "true => (Origin::Proxy, None),",
        replace: "true => (Origin::Proxy, limits.connections_per_address_max),",
        suite: Suite::Scenario("proxied"),
    },
    Mutant {
        name: "proxied_end_of_input_lost_behind_the_header",
        file: "src/oneloop/reactor/connection.rs",
        find: "        if self.flags.take(Flags::EOF) {\n            self.flags.add(Flags::READABLE);\n        }\n",
        replace: "",
        suite: Suite::Scenario("proxied"),
    },
    Mutant {
        name: "proxied_input_behind_the_header_not_presented",
        file: "src/oneloop/reactor/connection.rs",
        find: "self.flags.add(Flags::OPEN | Flags::REDELIVER);",
        replace: "self.flags.add(Flags::OPEN);",
        suite: Suite::Scenario("proxied"),
    },
    Mutant {
        name: "proxied_drain_lost_behind_the_header",
        file: "src/oneloop/reactor/readdress.rs",
        find: "        if drains {\n",
        replace: "        if drains && false {\n",
        suite: Suite::Scenario("proxied"),
    },
    Mutant {
        name: "proxied_header_not_consumed",
        file: "src/oneloop/proxy/service.rs",
        find: "        cx.consume(header.bytes);\n",
        replace: "",
        suite: Suite::Scenario("proxied"),
    },
    Mutant {
        name: "proxied_header_deadline_moved_by_each_byte",
        file: "src/oneloop/proxy/service.rs",
        find: "Ok(false) if event != Event::Eof => Next::Read { until },",
        replace: "Ok(false) if event != Event::Eof => Next::Read {\n                    until: cx.after(std::time::Duration::from_secs(5)),\n                },",
        suite: Suite::Scenario("proxied"),
    },
    Mutant {
        name: "proxied_header_longer_than_the_input_not_waited_for",
        file: "src/oneloop/proxy/service.rs",
        find: "let _ = cx.raise_input_max(bytes_max);",
        replace: "let _ = bytes_max;",
        suite: Suite::Scenario("proxied"),
    },
    Mutant {
        name: "proxied_foreign_peer_may_announce",
        file: "src/oneloop/proxy/service.rs",
        find: "        networks.any(|network| network.contains_peer(peer.address))",
        replace: "        networks.any(|network| network.contains_peer(peer.address) || true)",
        suite: Suite::Scenario("proxied"),
    },
    Mutant {
        name: "proxied_end_within_the_header_taken_for_a_check",
        file: "src/oneloop/proxy/service.rs",
        find: "Ok(false) if cx.input().is_empty() => Next::Close(CloseReason::Eof),",
        replace: "Ok(false) if true => Next::Close(CloseReason::Eof),",
        suite: Suite::Scenario("proxied"),
    },
    Mutant {
        name: "probe_hides_a_timeout",
        file: "src/oneloop/service/end.rs",
        find: "Self::Completed | Self::Eof | Self::Reset => Self::Probe,",
        replace: "Self::Completed | Self::Eof | Self::Reset | Self::Timeout => Self::Probe,",
        suite: Suite::Scenario("proxied"),
    },
    Mutant {
        name: "probe_counted_as_a_reset",
        file: "src/oneloop/reactor/connection.rs",
        find: "            Origin::Proxy => reason.of_probe(),",
        replace: "            Origin::Proxy => reason,",
        suite: Suite::Scenario("proxied"),
    },
    Mutant {
        name: "header_port_with_leading_zeros",
        file: "src/oneloop/proxy/v1.rs",
        find: "!text.starts_with(['0', '+'])",
        replace: "!text.starts_with('+')",
        suite: Suite::Unit("oneloop", "proxy"),
    },
    Mutant {
        name: "header_line_one_byte_too_long",
        file: "src/oneloop/proxy/v1.rs",
        find: "const LINE_BYTES_MAX: usize = 107;",
        replace: "const LINE_BYTES_MAX: usize = 108;",
        suite: Suite::Unit("oneloop", "proxy"),
    },
    Mutant {
        name: "header_checksum_not_verified",
        file: "src/oneloop/proxy/v2.rs",
        find: "        false => Err(Violation::Checksum),",
        replace: "        false => Ok(()),",
        suite: Suite::Unit("oneloop", "proxy"),
    },
    Mutant {
        name: "header_record_beyond_its_end",
        file: "src/oneloop/proxy/v2.rs",
        find: "        1..RECORD_HEAD_BYTES => Err(Violation::Record),",
        replace: "        0..1 => Err(Violation::Record),",
        suite: Suite::Unit("oneloop", "proxy"),
    },
    Mutant {
        name: "short_write_retried_at_once",
        file: "src/oneloop/reactor/write.rs",
        find: "if N::SHORT_WRITE_FILLS && bytes < offered {",
        replace: "if N::SHORT_WRITE_FILLS && bytes > offered {",
        suite: Suite::Scenario("writing"),
    },
    Mutant {
        name: "layers_share_timer_keys",
        file: "src/oneloop/service/service_context.rs",
        find: "        let layer = self.layer;",
        replace: "        let layer = Default::default();",
        suite: Suite::Scenario("layers"),
    },
    Mutant {
        name: "panic_leaves_the_depth_of_layers",
        file: "src/oneloop/service/depth.rs",
        find: "        self.cx.as_mut().layer.0 -= 1;",
        replace: "        if !std::thread::panicking() {
            self.cx.as_mut().layer.0 -= 1;
        }",
        suite: Suite::Scenario("layers"),
    },
    // Reports, the admin service and the loop's measurements.
    Mutant {
        name: "walk_without_a_budget",
        file: "src/oneloop/reactor/inspect.rs",
        find: "self.walks_left -= 1;",
        replace: "",
        suite: Suite::Scenario("admin"),
    },
    Mutant {
        name: "walk_skips_a_slot_between_reports",
        file: "src/oneloop/reactor/inspect.rs",
        find: "return (found, Some(Cursor(index)));",
        replace: "return (found, Some(Cursor(index + 1)));",
        suite: Suite::Scenario("admin"),
    },
    Mutant {
        name: "report_that_had_to_wait_is_forgotten",
        file: "src/oneloop/reactor/inspect.rs",
        find: "self.core.scratch.service.requests.inspect.push(request);",
        replace: "",
        suite: Suite::Scenario("admin"),
    },
    Mutant {
        name: "end_not_counted_for_its_listener",
        file: "src/oneloop/reactor/core.rs",
        find: "self.listeners[listener].counts.ended[reason as usize] += 1;",
        replace: "let _ = listener;",
        suite: Suite::Scenario("admin"),
    },
    Mutant {
        name: "report_goes_to_the_first_side",
        file: "src/oneloop/reactor/inspect.rs",
        find: "self.core.scratch.service.due = request.part;",
        replace: "",
        suite: Suite::Scenario("admin"),
    },
    Mutant {
        name: "changes_over_tcp",
        file: "src/oneloop/admin/service.rs",
        find: "PeerAddress::Unix => Door::Local,",
        replace: "_ if true => Door::Local,",
        suite: Suite::Scenario("admin"),
    },
    Mutant {
        name: "task_outlives_its_session",
        file: "src/oneloop/admin/service.rs",
        find: "self.tasks.retain(|task| task.id != peer.id);",
        replace: "let _ = peer;",
        suite: Suite::Scenario("admin"),
    },
    Mutant {
        name: "list_longer_than_its_limit",
        file: "src/oneloop/admin/task.rs",
        find: "*most -= report.sessions.len();",
        replace: "*most -= 0;",
        suite: Suite::Scenario("admin"),
    },
    Mutant {
        name: "leaving_server_is_ready",
        file: "src/oneloop/admin/service.rs",
        find: "        self.stage = Stage::Draining;
        self.readiness.set(Ready::Leaving);",
        replace: "        self.stage = Stage::Draining;",
        suite: Suite::Scenario("admin"),
    },
    Mutant {
        name: "stop_in_the_wait_excuses_a_turn",
        file: "src/oneloop/reactor/watch.rs",
        find: "            watching.watch.take_continued();
",
        replace: "",
        suite: Suite::Scenario("admin"),
    },
    Mutant {
        name: "wait_measured_as_a_part_of_the_turn",
        file: "src/oneloop/reactor/watch.rs",
        find: "watching.began = Snapshot::of(counters, now);",
        replace: "watching.began = Snapshot::of(counters, watching.threads_at);",
        suite: Suite::Scenario("admin"),
    },
    // Mistakes in what a relay needs: streams in both directions, aborts, listeners, calls, layers.
    Mutant {
        name: "end_of_a_session_waits_for_its_output",
        file: "src/oneloop/reactor/requests.rs",
        find: "Control::Abort if connection.is_unfinished() => connection.abort(EndReason::Aborted),",
        replace: "Control::Abort if connection.is_unfinished() => connection.close(EndReason::Aborted),",
        suite: Suite::Relay(SEEDS_OF_THE_RELAY),
    },
    Mutant {
        name: "aborted_session_not_retired",
        file: "src/oneloop/reactor/requests.rs",
        find: "        self.slots.rearm_or_retire(id.index, now);",
        replace: "        let _ = now;",
        suite: Suite::Relay(SEEDS_OF_THE_RELAY),
    },
    Mutant {
        name: "wake_all_forgotten",
        file: "src/oneloop/reactor/requests.rs",
        find: "        if requests.wake_all {",
        replace: "        if false && requests.wake_all {",
        suite: Suite::Relay(SEEDS_OF_THE_RELAY),
    },
    Mutant {
        name: "wake_all_skips_the_first_slot",
        file: "src/oneloop/reactor/slots.rs",
        find: "        for index in 0..self.end() {",
        replace: "        for index in 1..self.end() {",
        suite: Suite::Relay(SEEDS_OF_THE_RELAY),
    },
    Mutant {
        name: "finished_session_not_read",
        file: "src/oneloop/reactor/write.rs",
        find: "        let _ = self.net.shutdown_write(&mut connection.stream);",
        replace: "        let _ = self.net.shutdown_write(&mut connection.stream);
        connection.flags.add(Flags::EOF);",
        suite: Suite::Relay(SEEDS_OF_THE_RELAY),
    },
    Mutant {
        name: "output_in_duplex_pauses_its_session",
        file: "src/oneloop/reactor/write.rs",
        find: "        if connection.is_duplex() {",
        replace: "        if false && connection.is_duplex() {",
        suite: Suite::Scenario("duplex"),
    },
    Mutant {
        name: "moved_timer_comes_at_its_old_time",
        file: "src/oneloop/service/timers.rs",
        find: "            timer.at = at;
            return;",
        replace: "            return;",
        suite: Suite::Relay(SEEDS_OF_THE_RELAY),
    },
    Mutant {
        name: "cancelled_timer_keeps_its_place",
        file: "src/oneloop/service/timers.rs",
        find: "                self.queue.remove(&place);
            }",
        replace: "                let _ = place;
            }",
        suite: Suite::Relay(SEEDS_OF_THE_RELAY),
    },
    Mutant {
        name: "calls_in_reverse_order",
        file: "src/oneloop/reactor/calls.rs",
        find: "receiver.taken.pop_front()",
        replace: "receiver.taken.pop_back()",
        suite: Suite::Relay(SEEDS_OF_THE_RELAY),
    },
    Mutant {
        name: "calls_beyond_the_budget_dropped",
        file: "src/oneloop/reactor/calls.rs",
        find: "        self.receiver = Some(receiver);",
        replace: "        receiver.taken.clear();
        self.receiver = Some(receiver);",
        suite: Suite::Relay(SEEDS_OF_THE_RELAY),
    },
    Mutant {
        name: "answer_not_sent",
        file: "src/oneloop/reactor/handle.rs",
        find: "            let _ = sender.try_send(task(service, cx, counters));",
        replace: "            let _ = (&sender, task(service, cx, counters));",
        suite: Suite::Relay(SEEDS_OF_THE_RELAY),
    },
    Mutant {
        name: "result_of_a_panicked_job_lost",
        file: "src/oneloop/reactor/pool.rs",
        find: "            let _ = calls.push_result(Box::new(move |service, cx, _| {
                drop(place);
                then(service, result, cx);
            }));",
        replace: "            if result.is_ok() {
                let _ = calls.push_result(Box::new(move |service, cx, _| {
                    drop(place);
                    then(service, result, cx);
                }));
            }",
        suite: Suite::Relay(SEEDS_OF_THE_RELAY),
    },
    Mutant {
        name: "place_of_a_job_free_before_its_result",
        file: "src/oneloop/reactor/pool.rs",
        find: "            let _ = calls.push_result(Box::new(move |service, cx, _| {
                drop(place);",
        replace: "            drop(place);
            let _ = calls.push_result(Box::new(move |service, cx, _| {",
        suite: Suite::Relay(6 * SEEDS_OF_THE_RELAY),
    },
    Mutant {
        name: "place_at_a_listener_not_given_back",
        file: "src/oneloop/reactor/admission.rs",
        find: "self.change_admitted(listener, |admitted| admitted - 1);",
        replace: "self.change_admitted(listener, |admitted| admitted);",
        suite: Suite::Relay(SEEDS_OF_THE_RELAY),
    },
    Mutant {
        name: "queue_of_a_listener_waits_for_the_first",
        file: "src/oneloop/reactor/poll.rs",
        find: "            if self.may_accept(index) {",
        replace: "            if self.may_accept(index.min(0)) {",
        suite: Suite::Relay(SEEDS_OF_THE_RELAY),
    },
    Mutant {
        name: "last_drain_though_servers_are_connected",
        file: "src/oneloop/reactor/shutdown.rs",
        find: "        let open = self.admission.admitted + self.admission.outbound;
        open == left",
        replace: "        let open = self.admission.admitted;
        open == left",
        suite: Suite::Relay(SEEDS_OF_THE_RELAY),
    },
    Mutant {
        name: "last_sessions_never_drain",
        file: "src/oneloop/reactor/shutdown.rs",
        find: "        self.notify_of_drain(DrainOrder::Last);",
        replace: "        let _ = DrainOrder::Last;",
        suite: Suite::Relay(SEEDS_OF_THE_RELAY),
    },
    Mutant {
        name: "end_behind_a_layer_written_twice",
        file: "src/oneloop/layer/transform/transformed.rs",
        find: "            state.sending = Sending::Finished;
",
        replace: "",
        suite: Suite::Relay(SEEDS_OF_THE_RELAY),
    },
    Mutant {
        name: "rate_limit_never_reads_again",
        file: "src/oneloop/layer/rate_limit.rs",
        find: "Some(read) // presents unread input again",
        replace: "Some(Next::Pause { until: inner }) // presents it",
        suite: Suite::Relay(SEEDS_OF_THE_RELAY),
    },
    Mutant {
        name: "server_of_the_other_side",
        file: "src/oneloop/layer/fork.rs",
        find: "            Some(tag) => tag.split().0,",
        replace: "            Some(_) => Side::First,",
        suite: Suite::Relay(SEEDS_OF_THE_RELAY),
    },
    Mutant {
        name: "failed_connection_of_the_other_side",
        file: "src/oneloop/layer/fork.rs",
        find: "            Side::First => self.with_first(cx, |first, cx| first.connect_failed(tag, error, cx)),",
        replace: "            Side::First | Side::Second if true => {
                self.with_first(cx, |first, cx| first.connect_failed(tag, error, cx));
            }
            Side::First => {}",
        suite: Suite::Relay(SEEDS_OF_THE_RELAY),
    },
    Mutant {
        name: "end_of_a_session_that_is_held_back_forgotten",
        file: "src/oneloop/layer/rate_limit.rs",
        find: "                state.end = End::Owed;",
        replace: "                state.end = End::None;",
        suite: Suite::Unit("oneloop", "layer"),
    },
    Mutant {
        name: "room_on_the_wire_for_a_session_without_room",
        file: "src/oneloop/service/nested.rs",
        find: "            self.scratch.output.leave_no_room();",
        replace: "            self.scratch.output.leave_plain();",
        suite: Suite::Unit("oneloop", "layer"),
    },
    Mutant {
        name: "flushed_not_owed_for_part_of_a_frame",
        file: "src/oneloop/layer/transform/transformed.rs",
        find: "None if !pending && state.owes_flushed(plain) =>",
        replace: "None if false && !pending && state.owes_flushed(plain) =>",
        suite: Suite::Unit("oneloop", "layer"),
    },
    Mutant {
        name: "drain_waits_for_a_listener_without_a_place",
        file: "src/oneloop/reactor/shutdown.rs",
        find: "                && self.may_accept(info.id.index())\n",
        replace: "                && (true || self.may_accept(info.id.index()))\n",
        suite: Suite::Scenario("listeners"),
    },
    Mutant {
        name: "events_gather_beyond_a_deadline",
        file: "src/oneloop/reactor/poll.rs",
        find: "let pause = timeout.map_or(left, |timeout| timeout.min(left));",
        replace: "let (pause, timeout) = (left, timeout.map(|timeout| timeout.max(left)));",
        suite: Suite::Scenario("gathering"),
    },
    Mutant {
        name: "events_gather_after_few",
        file: "src/oneloop/reactor/limits.rs",
        find: "_ if events < enough.div_ceil(2) => Duration::ZERO,",
        replace: "0 => Duration::ZERO,",
        suite: Suite::Scenario("gathering"),
    },
    Mutant {
        name: "few_events_gather_as_long_as_many",
        file: "src/oneloop/reactor/limits.rs",
        find: "_ => self.gather_time * events as u32 / enough as u32,",
        replace: "_ => self.gather_time,",
        suite: Suite::Scenario("gathering"),
    },
    Mutant {
        name: "gather_time_begins_after_the_turn",
        file: "src/oneloop/reactor/poll.rs",
        find: "let left = due - self.core.net.now();",
        replace: "let left = due - self.polled_at;",
        suite: Suite::Scenario("gathering"),
    },
    Mutant {
        name: "gather_time_added_to_the_wait",
        file: "src/oneloop/reactor/poll.rs",
        find: "timeout.map(|timeout| timeout - pause)",
        replace: "timeout",
        suite: Suite::Scenario("gathering"),
    },
    // TLS.
    Mutant {
        name: "tls_stream_cut_off_taken_for_whole",
        file: "src/oneloop/tls/mod.rs",
        find: "        Err(CloseReason::Truncated)",
        replace: "        Ok(())",
        suite: Suite::Tls(""),
    },
    Mutant {
        name: "tls_notify_not_taken_for_the_end",
        file: "src/oneloop/tls/engine.rs",
        find: "Ok(if state.peer_has_closed() {",
        replace: "Ok(if false && state.peer_has_closed() {",
        suite: Suite::Tls(""),
    },
    Mutant {
        name: "tls_handshake_without_time_limit",
        file: "src/oneloop/tls/handshake.rs",
        find: "let until = self.until;",
        replace: "let until = Time::UNBOUNDED;",
        suite: Suite::Tls(""),
    },
    Mutant {
        name: "tls_handshakes_of_a_turn_unbounded",
        file: "src/oneloop/tls/queue.rs",
        find: "while self.granted.len() < self.turns_max",
        replace: "while self.granted.len() < usize::MAX",
        suite: Suite::Tls(""),
    },
    Mutant {
        name: "tls_place_kept_after_the_handshake",
        file: "src/oneloop/tls/queue.rs",
        find: "        self.in_flight.remove(&number);",
        replace: "",
        suite: Suite::Tls(""),
    },
    Mutant {
        name: "tls_signature_for_a_client_that_has_left",
        file: "src/oneloop/tls/handshake.rs",
        find: "if self.wire == Wire::Ended && !may_complete {",
        replace: "if false && self.wire == Wire::Ended && !may_complete {",
        suite: Suite::Tls(""),
    },
    Mutant {
        name: "tls_records_behind_the_handshake_lost",
        file: "src/oneloop/tls/engine.rs",
        find: "let left = cx.input().len() - bytes;",
        replace: "let left = bytes.min(0);",
        suite: Suite::Tls(""),
    },
    Mutant {
        name: "tls_refusal_without_an_alert",
        file: "src/oneloop/tls/engine.rs",
        find: "let _ = alert.write_all(&mut Wire(cx));",
        replace: "let _ = (&mut alert, Wire(cx));",
        suite: Suite::Tls(""),
    },
    Mutant {
        name: "tls_output_behind_its_second_piece_lost",
        file: "src/oneloop/tls/engine.rs",
        find: "let pieces = [first, second].into_iter().chain(pieces);",
        replace: "let pieces = [first, second].into_iter();",
        suite: Suite::Tls(""),
    },
];

/// Seeds of the relay that find each of its mutants.
const SEEDS_OF_THE_RELAY: u32 = 100;
