//! One direction of a connection: the bytes written and not yet read.

use std::collections::VecDeque;

use super::{LinkProfile, Rng};
use oneloop::Time;

/// The bytes of one direction, in three consecutive parts: arrived, in flight, unsent.
///
/// The receive buffer bounds the arrived bytes. The send buffer bounds the other two, as it holds
/// all unacknowledged bytes.
#[derive(Debug)]
pub(super) struct Pipe {
    pub(super) link: LinkProfile,
    bytes: VecDeque<u8>,
    arrived: usize,
    travelling: usize,
    finish: Finish,
    send_buffer_bytes: usize,
    /// The time at which the link is free for the next segment.
    free_at: Time,
    /// The arrival of the last segment: later ones must not overtake it.
    last_arrival: Time,
    transmit_scheduled: bool,
    sender_blocked: bool,
}

/// The position of the end of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Finish {
    Open,
    Queued,
    Travelling,
    Arrived,
}

/// The next transmission, and its arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Departure {
    Segment(usize, Time),
    Finish(Time),
}

impl Pipe {
    pub(super) fn new(link: LinkProfile, send_buffer_bytes: usize) -> Self {
        Self {
            link,
            bytes: VecDeque::new(),
            arrived: 0,
            travelling: 0,
            finish: Finish::Open,
            send_buffer_bytes,
            free_at: Time::START,
            last_arrival: Time::START,
            transmit_scheduled: false,
            sender_blocked: false,
        }
    }

    /// Buffers the bytes that fit and returns their number. The caller schedules a transmission.
    pub(super) fn push(&mut self, bytes: &[u8]) -> usize {
        let taken = bytes.len().min(self.space());
        self.bytes.extend(&bytes[..taken]);
        taken
    }

    /// Buffers all bytes, like the unbounded queue of a client's program.
    pub(super) fn push_all(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
    }

    pub(super) fn finish(&mut self) {
        if self.finish == Finish::Open {
            self.finish = Finish::Queued;
        }
    }

    /// Returns true if the caller must schedule a transmission, at most one at a time.
    pub(super) fn needs_transmit(&mut self) -> bool {
        let waits = self.unsent() > 0 || self.finish == Finish::Queued;
        waits && !std::mem::replace(&mut self.transmit_scheduled, true)
    }

    pub(super) fn transmit_begins(&mut self) {
        self.transmit_scheduled = false;
    }

    /// Sends the next segment if the receive window has room.
    pub(super) fn depart(&mut self, now: Time, rng: &mut Rng) -> Option<Departure> {
        let segment = self.next_segment(rng);
        if segment == 0 {
            return self.depart_finish(now, rng);
        }
        let leaves = self.free_at.max(now);
        self.free_at = leaves + self.link.occupied(segment);
        self.travelling += segment;
        let arrives = self.arrival(self.free_at, rng);
        Some(Departure::Segment(segment, arrives))
    }

    /// Returns the arrival of a message sent now, after all earlier ones.
    pub(super) fn arrival(&mut self, leaves: Time, rng: &mut Rng) -> Time {
        let arrives = leaves + self.link.delay(rng);
        self.last_arrival = self.last_arrival.max(arrives);
        self.last_arrival
    }

    pub(super) fn arrive(&mut self, bytes: usize) {
        // A reset that overtook the segment has emptied the pipe.
        let bytes = bytes.min(self.travelling);
        self.travelling -= bytes;
        self.arrived += bytes;
    }

    pub(super) fn finish_arrives(&mut self) {
        self.finish = Finish::Arrived;
    }

    pub(super) fn read(&mut self, buffer: &mut [u8]) -> usize {
        let taken = buffer.len().min(self.arrived);
        let (front, back) = self.bytes.as_slices();
        let from_front = taken.min(front.len());
        buffer[..from_front].copy_from_slice(&front[..from_front]);
        buffer[from_front..taken].copy_from_slice(&back[..taken - from_front]);
        self.bytes.drain(..taken);
        self.arrived -= taken;
        taken
    }

    pub(super) fn discard_arrived(&mut self) {
        self.bytes.drain(..self.arrived);
        self.arrived = 0;
    }

    /// Discards the unsent bytes.
    pub(super) fn drop_unsent(&mut self) {
        self.bytes.truncate(self.arrived + self.travelling);
    }

    pub(super) fn set_send_buffer(&mut self, bytes: usize) {
        self.send_buffer_bytes = bytes;
    }

    pub(super) fn block_sender(&mut self) {
        self.sender_blocked = true;
    }

    /// Returns true once after [`block_sender`](Self::block_sender), when a third of the buffer is
    /// free again, as on Linux.
    pub(super) fn unblock_sender(&mut self) -> bool {
        self.is_roomy() && std::mem::take(&mut self.sender_blocked)
    }

    pub(super) fn is_roomy(&self) -> bool {
        self.space() * 3 >= self.send_buffer_bytes.max(1)
    }

    pub(super) fn space(&self) -> usize {
        self.send_buffer_bytes
            .saturating_sub(self.travelling + self.unsent())
    }

    pub(super) fn arrived(&self) -> usize {
        self.arrived
    }

    pub(super) fn unsent(&self) -> usize {
        self.bytes.len() - self.arrived - self.travelling
    }

    pub(super) fn is_finishing(&self) -> bool {
        self.finish != Finish::Open
    }

    pub(super) fn has_finished(&self) -> bool {
        self.finish == Finish::Arrived
    }

    fn depart_finish(&mut self, now: Time, rng: &mut Rng) -> Option<Departure> {
        if self.finish != Finish::Queued || self.unsent() > 0 {
            return None;
        }
        self.finish = Finish::Travelling;
        let arrives = self.arrival(self.free_at.max(now), rng);
        Some(Departure::Finish(arrives))
    }

    fn next_segment(&self, rng: &mut Rng) -> usize {
        let window = self
            .link
            .receive_buffer_bytes
            .saturating_sub(self.arrived + self.travelling);
        let most = self.unsent().min(window);
        if most == 0 {
            return 0;
        }
        let drawn = rng.range(self.link.segment_bytes.clone()).max(1);
        most.min(usize::try_from(drawn).unwrap_or(usize::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pipe(receive: usize, send: usize) -> (Pipe, Rng) {
        let mut link = LinkProfile::ideal();
        link.receive_buffer_bytes = receive;
        (Pipe::new(link, send), Rng::new(1))
    }

    #[test]
    fn push_is_bounded_by_send_buffer_until_arrival() {
        let (mut pipe, mut rng) = pipe(100, 4);
        assert_eq!(pipe.push(b"abcdef"), 4);
        let departure = pipe.depart(Time::START, &mut rng);
        assert_eq!(departure, Some(Departure::Segment(4, Time::START)));
        assert_eq!(pipe.push(b"ef"), 0);
        pipe.arrive(4);
        assert_eq!(pipe.push(b"ef"), 2);
    }

    #[test]
    fn receive_buffer_bounds_bytes_in_flight() {
        let (mut pipe, mut rng) = pipe(3, 100);
        pipe.push(b"abcdef");
        let departure = pipe.depart(Time::START, &mut rng);
        assert_eq!(departure, Some(Departure::Segment(3, Time::START)));
        assert_eq!(pipe.depart(Time::START, &mut rng), None);
        pipe.arrive(3);
        let mut buffer = [0; 2];
        assert_eq!((pipe.read(&mut buffer), &buffer), (2, b"ab"));
        let departure = pipe.depart(Time::START, &mut rng);
        assert_eq!(departure, Some(Departure::Segment(2, Time::START)));
    }

    #[test]
    fn end_is_sent_after_last_byte() {
        let (mut pipe, mut rng) = pipe(2, 100);
        pipe.push(b"abc");
        pipe.finish();
        pipe.depart(Time::START, &mut rng);
        assert_eq!(pipe.depart(Time::START, &mut rng), None);
        pipe.arrive(2);
        pipe.read(&mut [0; 2]);
        pipe.depart(Time::START, &mut rng);
        let departure = pipe.depart(Time::START, &mut rng);
        assert_eq!(departure, Some(Departure::Finish(Time::START)));
        assert_eq!(pipe.depart(Time::START, &mut rng), None);
    }
}
