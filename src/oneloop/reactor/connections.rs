//! All connections: their slots, and the lists that they stand in.

use std::ops::{Index, IndexMut};

use slab::Slab;

use super::Usage;
use super::connection::{Connection, Flags, Phase};
use super::deadlines::{Deadlines, Link, Links};
use super::drive::Driven;
use crate::service::{SessionId, Time};

/// The connections of a reactor.
#[derive(Debug)]
pub(crate) struct Connections<Stream, Session> {
    slots: Slots<Stream, Session>,
    deadlines: Deadlines,
    /// Connections with something to do for which no event will come: a share used up, a wake-up.
    /// With edge triggers nobody else remembers them.
    ready: Vec<u32>,
    /// The ready list of a moment ago, the first one last: those whose turn it is.
    serving: Vec<u32>,
    /// Connections to be reaped at the end of the turn.
    dead: Vec<u32>,
}

#[derive(Debug)]
struct Slots<Stream, Session>(Slab<Connection<Stream, Session>>);

impl<Stream, Session> Connections<Stream, Session> {
    /// No connections yet, but room for so many.
    pub(crate) fn new(slots: usize) -> Self {
        Self {
            slots: Slots(Slab::with_capacity(slots.min(SLOTS_AT_ONCE_MAX))),
            deadlines: Deadlines::new(),
            ready: Vec::new(),
            serving: Vec::new(),
            dead: Vec::new(),
        }
    }

    /// Gives a connection a slot.
    pub(crate) fn insert(&mut self, connection: Connection<Stream, Session>) -> u32 {
        let index = self.slots.0.insert(connection);
        u32::try_from(index).expect("fewer descriptors than 2^32")
    }

    /// Takes back the slot of a connection that stands in no list yet.
    pub(crate) fn remove(&mut self, index: u32) -> Connection<Stream, Session> {
        self.slots.0.remove(index as usize)
    }

    /// The connection with this id, unless it is gone.
    #[inline]
    pub(crate) fn find(&mut self, id: SessionId) -> Option<&mut Connection<Stream, Session>> {
        self.slots
            .0
            .get_mut(id.index as usize)
            .filter(|c| c.serial == id.serial)
    }

    /// The connection in this slot, if there is one.
    pub(crate) fn get_mut(&mut self, index: u32) -> Option<&mut Connection<Stream, Session>> {
        self.slots.0.get_mut(index as usize)
    }

    /// The name of the session in this slot.
    pub(crate) fn id(&self, index: u32) -> SessionId {
        let serial = self[index].serial;
        SessionId { index, serial }
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.0.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.slots.0.is_empty()
    }

    /// Every slot is below this.
    pub(crate) fn end(&self) -> u32 {
        self.slots.0.capacity() as u32
    }

    /// How many are ready without an event.
    #[inline]
    pub(crate) fn ready(&self) -> usize {
        self.ready.len()
    }

    /// From now on those who are ready have their turn; who becomes ready meanwhile has the next.
    #[inline]
    pub(crate) fn begin_turn(&mut self) {
        debug_assert!(self.serving.is_empty(), "everybody has had a turn");
        if !self.ready.is_empty() {
            std::mem::swap(&mut self.ready, &mut self.serving);
            self.serving.reverse();
        }
    }

    /// Takes one out of the line.
    pub(crate) fn first_in_line(&mut self) -> Option<u32> {
        let index = self.serving.pop()?;
        self[index].flags.remove(Flags::QUEUED);
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
    pub(crate) fn tell_all(&mut self, news: Flags) {
        for (index, connection) in &mut self.slots.0 {
            connection.flags.add(news);
            line_up(index as u32, connection, &mut self.ready);
        }
    }

    fn enqueue(&mut self, index: u32) {
        line_up(index, &mut self.slots.0[index as usize], &mut self.ready);
    }

    /// After a connection was driven: puts it in line again if there is more to do, and settles it.
    pub(crate) fn put_back(&mut self, index: u32, driven: Driven, now: Time) {
        if driven == Driven::OutOfShare {
            self.enqueue(index);
        }
        self.settle(index, now);
    }

    /// Files the deadline of a connection, or marks it to be reaped.
    pub(crate) fn settle(&mut self, index: u32, now: Time) {
        let connection = &mut self.slots.0[index as usize];
        if connection.phase == Phase::Dead {
            // One that stands in line is reaped when its turn comes, so that the line never
            // names a slot that was given to another.
            if !connection.flags.has(Flags::QUEUED) {
                connection.flags.add(Flags::QUEUED); // to be reaped, and for nothing else
                self.deadlines.remove(&mut self.slots, index);
                self.dead.push(index);
            }
        } else if connection.due < connection.link.fires() {
            let due = connection.due;
            self.deadlines.file(&mut self.slots, index, due, now);
        }
    }

    /// The next one of those that have ended; its slot is free.
    #[inline]
    pub(crate) fn next_dead(&mut self) -> Option<(u32, Connection<Stream, Session>)> {
        let index = self.dead.pop()?;
        Some((index, self.slots.0.remove(index as usize)))
    }

    /// A connection whose deadline may have come.
    #[inline]
    pub(crate) fn fire(&mut self, now: Time) -> Option<u32> {
        self.deadlines.fire(&mut self.slots, now)
    }

    /// Before this no deadline comes.
    #[inline]
    pub(crate) fn next_deadline(&self) -> Time {
        self.deadlines.next()
    }

    /// Takes all out of the line: they are about to end.
    pub(crate) fn clear_ready(&mut self) {
        for list in [&mut self.ready, &mut self.serving] {
            while let Some(index) = list.pop() {
                self.slots.0[index as usize].flags.remove(Flags::QUEUED);
            }
        }
    }

    /// Adds up what is held.
    pub(crate) fn weigh(&self, usage: &mut Usage) {
        for (_, connection) in &self.slots.0 {
            let held = connection.held_bytes();
            usage.held_bytes += held;
            usage.held_bytes_max = usage.held_bytes_max.max(held);
            usage.deadlines += usize::from(connection.link.is_filed());
        }
        debug_assert_eq!(usage.deadlines == 0, self.deadlines.is_empty());
    }
}

impl<Stream, Session> Index<u32> for Connections<Stream, Session> {
    type Output = Connection<Stream, Session>;

    #[inline]
    fn index(&self, index: u32) -> &Connection<Stream, Session> {
        &self.slots.0[index as usize]
    }
}

impl<Stream, Session> IndexMut<u32> for Connections<Stream, Session> {
    #[inline]
    fn index_mut(&mut self, index: u32) -> &mut Connection<Stream, Session> {
        &mut self.slots.0[index as usize]
    }
}

impl<Stream, Session> Links for Slots<Stream, Session> {
    #[inline]
    fn link(&mut self, key: u32) -> &mut Link {
        &mut self.0[key as usize].link
    }
}

/// Puts a connection in line, once.
fn line_up<Stream, Session>(
    index: u32,
    connection: &mut Connection<Stream, Session>,
    line: &mut Vec<u32>,
) {
    if !connection.flags.has(Flags::QUEUED) {
        connection.flags.add(Flags::QUEUED);
        line.push(index);
    }
}

/// Slots whose place is set aside at the start. Growing later would copy those in use, and leave the
/// smaller array behind as memory that nobody needs; a place that was never used costs nothing but
/// addresses.
const SLOTS_AT_ONCE_MAX: usize = 1 << 16;
