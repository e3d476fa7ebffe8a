//! The slots of all connections, the ready queue, the reap list and the timers.

use std::collections::VecDeque;
use std::ops::{Index, IndexMut};

use slab::Slab;

use super::Usage;
use super::connection::{Connection, Flags, Phase};
use super::drive::Outcome;
use super::timer_wheel::{Link, Links, TimerWheel};
use crate::service::{SessionId, Time};

/// The connections of a reactor.
#[derive(Debug)]
pub(crate) struct Slots<Stream, Session> {
    table: SlotTable<Stream, Session>,
    timers: TimerWheel,
    /// The ready queue: slots that have work but will get no event, because their budget was spent
    /// or they were woken. With edge triggers only this queue remembers them.
    ready: Vec<u32>,
    /// The ready queue of this turn, in reverse.
    ready_now: Vec<u32>,
    /// Slots that were woken, to be driven in the last phase of the turn.
    woken: VecDeque<u32>,
    /// Slots to be reaped at the end of the turn.
    dead: Vec<u32>,
}

#[derive(Debug)]
struct SlotTable<Stream, Session>(Slab<Connection<Stream, Session>>);

impl<Stream, Session> Slots<Stream, Session> {
    /// Creates an empty slab with space for `slots` connections.
    pub(crate) fn new(slots: usize) -> Self {
        Self {
            table: SlotTable(Slab::with_capacity(slots.min(SLOTS_AT_ONCE_MAX))),
            timers: TimerWheel::new(),
            ready: Vec::new(),
            ready_now: Vec::new(),
            woken: VecDeque::new(),
            dead: Vec::new(),
        }
    }

    /// Inserts a connection and returns the index of its slot.
    pub(crate) fn insert(&mut self, connection: Connection<Stream, Session>) -> u32 {
        let index = self.table.0.insert(connection);
        u32::try_from(index).expect("fewer descriptors than 2^32")
    }

    /// Removes a connection that is in no list yet.
    pub(crate) fn remove(&mut self, index: u32) -> Connection<Stream, Session> {
        self.table.0.remove(index as usize)
    }

    /// Returns the connection with this id, if it still exists.
    #[inline]
    pub(crate) fn find(&mut self, id: SessionId) -> Option<&mut Connection<Stream, Session>> {
        self.table
            .0
            .get_mut(id.index as usize)
            .filter(|c| c.generation == id.generation)
    }

    /// Returns the connection in this slot, if there is one.
    pub(crate) fn get_mut(&mut self, index: u32) -> Option<&mut Connection<Stream, Session>> {
        self.table.0.get_mut(index as usize)
    }

    /// Returns the id of the session in this slot.
    pub(crate) fn id(&self, index: u32) -> SessionId {
        let generation = self[index].generation;
        SessionId { index, generation }
    }

    pub(crate) fn len(&self) -> usize {
        self.table.0.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.table.0.is_empty()
    }

    /// Returns an upper bound of the slot indices.
    pub(crate) fn end(&self) -> u32 {
        self.table.0.capacity() as u32
    }

    /// Returns the index behind that of the last connection.
    pub(crate) fn occupied_end(&self) -> u32 {
        let last = self.table.0.iter().next_back();
        last.map_or(0, |(index, _)| index as u32 + 1)
    }

    /// Returns the number of connections to be driven without an event.
    #[inline]
    pub(crate) fn ready(&self) -> usize {
        self.ready.len() + self.woken.len()
    }

    /// Starts a turn: connections that become ready from now on are driven in the next one.
    #[inline]
    pub(crate) fn begin_turn(&mut self) {
        debug_assert!(
            self.ready_now.is_empty(),
            "the ready queue of a turn is run"
        );
        if !self.ready.is_empty() {
            std::mem::swap(&mut self.ready, &mut self.ready_now);
            self.ready_now.reverse();
        }
    }

    /// Takes the next connection from the ready queue.
    pub(crate) fn pop_ready(&mut self) -> Option<u32> {
        let index = self.ready_now.pop()?;
        self[index].flags.remove(Flags::LISTED);
        Some(index)
    }

    /// Wakes a session: it is driven in the last phase of the turn. Does nothing if it has ended.
    pub(crate) fn wake(&mut self, id: SessionId) {
        if let Some(connection) = self.find(id) {
            connection.flags.add(Flags::WAKE);
            self.wake_slot(id.index);
        }
    }

    /// Wakes all sessions.
    pub(crate) fn wake_all(&mut self) {
        for index in 0..self.end() {
            if let Some(connection) = self.get_mut(index)
                && connection.phase == Phase::Live
            {
                connection.flags.add(Flags::WAKE);
                self.wake_slot(index);
            }
        }
    }

    /// Queues a connection to be driven in the last phase of the turn.
    pub(crate) fn wake_slot(&mut self, index: u32) {
        let connection = &mut self.table.0[index as usize];
        if !connection.flags.has(Flags::LISTED) {
            connection.flags.add(Flags::LISTED);
            self.woken.push_back(index);
        }
    }

    #[inline]
    pub(crate) fn has_woken(&self) -> bool {
        !self.woken.is_empty()
    }

    /// Takes the next woken connection.
    pub(crate) fn pop_woken(&mut self) -> Option<u32> {
        let index = self.woken.pop_front()?;
        self[index].flags.remove(Flags::LISTED);
        Some(index)
    }

    /// Queues an event for all sessions of such connections. Returns their number.
    pub(crate) fn notify_where(
        &mut self,
        is_meant: impl Fn(&Connection<Stream, Session>) -> bool,
        pending: Flags,
    ) -> u64 {
        let mut notified = 0;
        for (index, connection) in &mut self.table.0 {
            if is_meant(connection) {
                connection.flags.add(pending);
                push_ready(index as u32, connection, &mut self.ready);
                notified += 1;
            }
        }
        notified
    }

    pub(crate) fn enqueue(&mut self, index: u32) {
        push_ready(index, &mut self.table.0[index as usize], &mut self.ready);
    }

    /// Requeues a connection after it was driven, if its budget was spent; then rearms or retires
    /// it.
    pub(crate) fn requeue(&mut self, index: u32, outcome: Outcome, now: Time) {
        if outcome == Outcome::BudgetExhausted {
            self.enqueue(index);
        }
        self.rearm_or_retire(index, now);
    }

    /// Rearms the timer of a connection, or puts a dead connection on the reap list.
    pub(crate) fn rearm_or_retire(&mut self, index: u32, now: Time) {
        let connection = &mut self.table.0[index as usize];
        if connection.phase == Phase::Dead {
            // A dead connection in the ready queue is retired when it is popped, so that the queue
            // never holds an index that was reused.
            if !connection.flags.has(Flags::LISTED) {
                connection.flags.add(Flags::LISTED); // on the reap list
                self.timers.remove(&mut self.table, index);
                self.dead.push(index);
            }
        } else if connection.deadline < connection.link.expires_at() {
            let deadline = connection.deadline;
            self.timers.insert(&mut self.table, index, deadline, now);
        }
    }

    /// Removes the next connection from the reap list and from its slot.
    #[inline]
    pub(crate) fn next_dead(&mut self) -> Option<(u32, Connection<Stream, Session>)> {
        let index = self.dead.pop()?;
        Some((index, self.table.0.remove(index as usize)))
    }

    /// Returns a connection whose timer has expired.
    #[inline]
    pub(crate) fn pop_expired(&mut self, now: Time) -> Option<u32> {
        self.timers.pop_expired(&mut self.table, now)
    }

    /// Returns a lower bound of all deadlines.
    #[inline]
    pub(crate) fn next_deadline(&self) -> Time {
        self.timers.next()
    }

    /// Clears the ready queue, before all connections end.
    pub(crate) fn clear_ready(&mut self) {
        let ready = self.ready.drain(..).chain(self.ready_now.drain(..));
        for index in ready.chain(self.woken.drain(..)) {
            self.table.0[index as usize].flags.remove(Flags::LISTED);
        }
    }

    /// Adds the buffers and timers of all connections to `usage`.
    pub(crate) fn measure(&self, usage: &mut Usage) {
        for (_, connection) in &self.table.0 {
            let buffers = connection.buffered_bytes();
            usage.buffered_bytes += buffers;
            usage.buffered_bytes_max = usage.buffered_bytes_max.max(buffers);
            usage.deadlines += usize::from(connection.link.is_linked());
        }
        debug_assert_eq!(usage.deadlines == 0, self.timers.is_empty());
    }
}

impl<Stream, Session> Index<u32> for Slots<Stream, Session> {
    type Output = Connection<Stream, Session>;

    #[inline]
    fn index(&self, index: u32) -> &Connection<Stream, Session> {
        &self.table.0[index as usize]
    }
}

impl<Stream, Session> IndexMut<u32> for Slots<Stream, Session> {
    #[inline]
    fn index_mut(&mut self, index: u32) -> &mut Connection<Stream, Session> {
        &mut self.table.0[index as usize]
    }
}

impl<Stream, Session> Links for SlotTable<Stream, Session> {
    #[inline]
    fn link(&mut self, key: u32) -> &mut Link {
        &mut self.0[key as usize].link
    }
}

/// Appends a connection to the ready queue, once.
fn push_ready<Stream, Session>(
    index: u32,
    connection: &mut Connection<Stream, Session>,
    queue: &mut Vec<u32>,
) {
    if !connection.flags.has(Flags::LISTED) {
        connection.flags.add(Flags::LISTED);
        queue.push(index);
    }
}

/// The most slots reserved at the start. Growing later would copy all slots in use and leave the
/// smaller array as unused memory; a reserved slot that is never used costs only address space.
const SLOTS_AT_ONCE_MAX: usize = 1 << 16;
