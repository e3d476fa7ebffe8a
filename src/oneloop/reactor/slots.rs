//! All connections: their slots, and the lists that they stand in.

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
    deadlines: TimerWheel,
    /// Slots with something to do for which no event will come: a share used up, a wake-up.
    /// With edge triggers nobody else remembers them.
    ready: Vec<u32>,
    /// The ready list of a moment ago, the first one last: those whose turn it is.
    ready_now: Vec<u32>,
    /// Slots to be reaped at the end of the turn.
    dead: Vec<u32>,
}

#[derive(Debug)]
struct SlotTable<Stream, Session>(Slab<Connection<Stream, Session>>);

impl<Stream, Session> Slots<Stream, Session> {
    /// No connections yet, but room for so many.
    pub(crate) fn new(slots: usize) -> Self {
        Self {
            table: SlotTable(Slab::with_capacity(slots.min(SLOTS_AT_ONCE_MAX))),
            deadlines: TimerWheel::new(),
            ready: Vec::new(),
            ready_now: Vec::new(),
            dead: Vec::new(),
        }
    }

    /// Gives a connection a slot.
    pub(crate) fn insert(&mut self, connection: Connection<Stream, Session>) -> u32 {
        let index = self.table.0.insert(connection);
        u32::try_from(index).expect("fewer descriptors than 2^32")
    }

    /// Takes back the slot of a connection that stands in no list yet.
    pub(crate) fn remove(&mut self, index: u32) -> Connection<Stream, Session> {
        self.table.0.remove(index as usize)
    }

    /// The connection with this id, unless it is gone.
    #[inline]
    pub(crate) fn find(&mut self, id: SessionId) -> Option<&mut Connection<Stream, Session>> {
        self.table
            .0
            .get_mut(id.index as usize)
            .filter(|c| c.generation == id.generation)
    }

    /// The connection in this slot, if there is one.
    pub(crate) fn get_mut(&mut self, index: u32) -> Option<&mut Connection<Stream, Session>> {
        self.table.0.get_mut(index as usize)
    }

    /// The name of the session in this slot.
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

    /// Every slot is below this.
    pub(crate) fn end(&self) -> u32 {
        self.table.0.capacity() as u32
    }

    /// How many are ready without an event.
    #[inline]
    pub(crate) fn ready(&self) -> usize {
        self.ready.len()
    }

    /// From now on those who are ready have their turn; who becomes ready meanwhile has the next.
    #[inline]
    pub(crate) fn begin_turn(&mut self) {
        debug_assert!(self.ready_now.is_empty(), "everybody has had a turn");
        if !self.ready.is_empty() {
            std::mem::swap(&mut self.ready, &mut self.ready_now);
            self.ready_now.reverse();
        }
    }

    /// Takes one out of the line.
    pub(crate) fn pop_ready(&mut self) -> Option<u32> {
        let index = self.ready_now.pop()?;
        self[index].flags.remove(Flags::LISTED);
        Some(index)
    }

    /// Has something told to the session with this id soon, unless it is gone.
    pub(crate) fn tell(&mut self, id: SessionId, news: Flags) {
        if let Some(connection) = self.find(id) {
            connection.flags.add(news);
            self.enqueue(id.index);
        }
    }

    /// Has something told to all sessions soon.
    pub(crate) fn notify_all(&mut self, news: Flags) {
        for (index, connection) in &mut self.table.0 {
            connection.flags.add(news);
            push_ready(index as u32, connection, &mut self.ready);
        }
    }

    pub(crate) fn enqueue(&mut self, index: u32) {
        push_ready(index, &mut self.table.0[index as usize], &mut self.ready);
    }

    /// After a connection was outcome: puts it in line again if there is more to do, and settles it.
    pub(crate) fn requeue(&mut self, index: u32, outcome: Outcome, now: Time) {
        if outcome == Outcome::BudgetExhausted {
            self.enqueue(index);
        }
        self.rearm_or_retire(index, now);
    }

    /// Files the deadline of a connection, or marks it to be reaped.
    pub(crate) fn rearm_or_retire(&mut self, index: u32, now: Time) {
        let connection = &mut self.table.0[index as usize];
        if connection.phase == Phase::Dead {
            // One that stands in line is reaped when its turn comes, so that the line never
            // names a slot that was given to another.
            if !connection.flags.has(Flags::LISTED) {
                connection.flags.add(Flags::LISTED); // to be reaped, and for nothing else
                self.deadlines.remove(&mut self.table, index);
                self.dead.push(index);
            }
        } else if connection.due < connection.link.fires() {
            let due = connection.due;
            self.deadlines.file(&mut self.table, index, due, now);
        }
    }

    /// The next one of those that have ended; its slot is free.
    #[inline]
    pub(crate) fn next_dead(&mut self) -> Option<(u32, Connection<Stream, Session>)> {
        let index = self.dead.pop()?;
        Some((index, self.table.0.remove(index as usize)))
    }

    /// A connection whose deadline may have come.
    #[inline]
    pub(crate) fn fire(&mut self, now: Time) -> Option<u32> {
        self.deadlines.fire(&mut self.table, now)
    }

    /// Before this no deadline comes.
    #[inline]
    pub(crate) fn next_deadline(&self) -> Time {
        self.deadlines.next()
    }

    /// Takes all out of the line: they are about to end.
    pub(crate) fn clear_ready(&mut self) {
        for list in [&mut self.ready, &mut self.ready_now] {
            while let Some(index) = list.pop() {
                self.table.0[index as usize].flags.remove(Flags::LISTED);
            }
        }
    }

    /// Adds up what is buffers.
    pub(crate) fn measure(&self, usage: &mut Usage) {
        for (_, connection) in &self.table.0 {
            let buffers = connection.buffered_bytes();
            usage.buffered_bytes += buffers;
            usage.buffered_bytes_max = usage.buffered_bytes_max.max(buffers);
            usage.deadlines += usize::from(connection.link.is_linked());
        }
        debug_assert_eq!(usage.deadlines == 0, self.deadlines.is_empty());
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

/// Puts a connection in line, once.
fn push_ready<Stream, Session>(
    index: u32,
    connection: &mut Connection<Stream, Session>,
    line: &mut Vec<u32>,
) {
    if !connection.flags.has(Flags::LISTED) {
        connection.flags.add(Flags::LISTED);
        line.push(index);
    }
}

/// SlotTable whose place is set aside at the start. Growing later would copy those in use, and leave the
/// smaller array behind as memory that nobody needs; a place that was never used costs nothing but
/// addresses.
const SLOTS_AT_ONCE_MAX: usize = 1 << 16;
