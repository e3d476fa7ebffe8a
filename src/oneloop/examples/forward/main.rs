//! Forwards TCP connections: `forward LISTEN UPSTREAM`, each an address or the path of a Unix socket.
//!
//! A client's connection and the one to the upstream server are the two ends of a [`Pair`]. Bytes
//! that one end receives wait in a [`Pipe`] until the other has room. An end whose pipe is full stops
//! reading, so memory stays bounded. The end of a stream follows its bytes; a reset resets both ends.

use hashbrown::HashMap;
use oneloop::{Address, CloseReason, Connect, Context, EndReason, Event, Limits, Next, Peer};
use oneloop::{ConnectError, Reactor, Service, ServiceContext, SessionId, Shared, Tag, Time};
use std::{collections::VecDeque, time::Duration};

const PIPE_BYTES: usize = 256 * 1024; // of one direction, beside those of one read
const IDLE: Duration = Duration::from_secs(600); // a pair ends if no byte moves for so long

struct Forward {
    upstream: Address,
    pairs: HashMap<u64, Pair>, // by the number of the client's session
}

#[derive(Default)]
struct Pair {
    ids: [Option<SessionId>; 2], // the client's end is 0, the upstream server's 1
    pipes: [Pipe; 2],
    active: Time, // when the last byte moved
}

#[derive(Default)]
struct Pipe {
    pieces: VecDeque<Shared>, // that one end has received, and the other will send
    bytes: usize,
    ending: bool,   // the peer has finished; some of its bytes may be unread
    ended: bool,    // all of its bytes are in the pipe or through it
    finished: bool, // the end was passed on
}

struct End(u64, usize); // its pair, and 0 or 1

impl Pipe {
    fn is_full(&self) -> bool {
        self.bytes >= PIPE_BYTES
    }

    /// Moves all input into the pipe, if it is not full. Returns true if there is more to send.
    fn fill(&mut self, event: Event, cx: &mut Context<'_>) -> bool {
        let (input, before) = (cx.input(), (self.bytes, self.ended));
        if !input.is_empty() && !self.is_full() {
            self.bytes += input.len();
            self.pieces.push_back(Shared::from(input));
            cx.consume(input.len());
        }
        self.ending |= event == Event::Eof;
        self.ended = self.ending && cx.input().is_empty();
        before != (self.bytes, self.ended)
    }

    /// Sends from the pipe while there is room. Returns true if it was full and is no longer.
    fn drain(&mut self, cx: &mut Context<'_>) -> bool {
        let was_full = self.is_full();
        while cx.has_room()
            && let Some(piece) = self.pieces.pop_front()
        {
            self.bytes -= piece.len();
            cx.write_shared(piece);
        }
        if self.ended && self.pieces.is_empty() && !self.finished {
            cx.finish();
            self.finished = true;
        }
        was_full && !self.is_full()
    }
}

impl Service for Forward {
    type Session = End;

    fn open(&mut self, peer: Peer, cx: &mut ServiceContext) -> End {
        let end = usize::from(peer.tag.is_some());
        let tag = peer.tag.unwrap_or(Tag::new(peer.id.number().into()));
        if end == 0 {
            cx.connect(Connect::to(self.upstream.clone()).tag(tag));
            self.pairs.insert(tag.value(), Pair::default());
        }
        if let Some(pair) = self.pairs.get_mut(&tag.value()) {
            pair.ids[end] = Some(peer.id);
        }
        End(tag.value(), end)
    }

    fn step(&mut self, end: &mut End, event: Event, cx: &mut Context<'_>) -> Next {
        let (this, other, unread) = (end.1, 1 - end.1, cx.input().len());
        let Some(pair) = self.pairs.get_mut(&end.0) else {
            return Next::Abort; // the client was gone before the upstream server answered
        };
        if event == Event::Open {
            cx.set_duplex(true);
        }
        let news = pair.pipes[this].fill(event, cx) | pair.pipes[other].drain(cx);
        if news && let Some(id) = pair.ids[other] {
            cx.wake(id);
        }
        if cx.written() > 0 || cx.input().len() < unread || event == Event::Open {
            pair.active = cx.now();
        }
        let until = pair.active + IDLE;
        match (&pair.pipes[this], &pair.pipes[other]) {
            _ if until <= cx.now() => Next::Abort,
            (read, sent) if read.ended && sent.finished => Next::Close(CloseReason::Completed),
            (read, _) if read.is_full() => Next::Pause { until },
            _ => Next::Read { until },
        }
    }

    fn closed(&mut self, end: End, _: Peer, reason: EndReason, cx: &mut ServiceContext) {
        if let Some(pair) = self.pairs.get_mut(&end.0) {
            pair.ids[end.1] = None;
            match pair.ids[1 - end.1] {
                Some(other) if reason != EndReason::Completed => cx.abort(other),
                Some(_) => {}
                None => drop(self.pairs.remove(&end.0)),
            }
        }
    }

    fn connect_failed(&mut self, tag: Tag, _: &ConnectError, cx: &mut ServiceContext) {
        if let Some(id) = self.pairs.get(&tag.value()).and_then(|pair| pair.ids[0]) {
            cx.abort(id);
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let usage = "usage: forward LISTEN UPSTREAM";
    let mut arguments = std::env::args().skip(1);
    let listen: Address = arguments.next().ok_or(usage)?.parse()?;
    let upstream = arguments.next().ok_or(usage)?.parse()?;
    let (pairs, mut limits) = (HashMap::new(), Limits::for_messages_up_to(PIPE_BYTES));
    limits.gather_time = Duration::from_micros(300); // bytes of many connections share a poll
    let mut reactor = Reactor::builder(Forward { upstream, pairs })
        .limits(limits)
        .listen(listen)
        .build()?;
    reactor.stop_on_signals()?;
    let listeners = reactor.listeners();
    listeners.for_each(|(_, address)| println!("listening on {address}"));
    reactor.run()?;
    Ok(())
}

#[cfg(test)]
mod tests;
