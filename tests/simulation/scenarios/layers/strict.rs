//! A service that runs commands, and requires of the loop, or of a layer, every rule of the contract.

use std::time::Duration;

use oneloop::{
    CloseReason, Context, EndReason, Event, Next, Peer, Service, ServiceContext, SessionId,
};

/// Runs commands, each of which is a letter and a byte.
#[derive(Default)]
pub(crate) struct Strict {
    pub(crate) opened: u32,
    pub(crate) ended: Vec<EndReason>,
    /// Pieces of streams.
    pub(crate) pieces: u32,
    /// Steps in which there was unread input, but no room for its answer.
    pub(crate) full: u32,
    /// The most unread input of a session.
    pub(crate) unread_max: usize,
}

/// A session that records what it waits for.
pub(crate) struct StrictSession {
    id: SessionId,
    work: Work,
    /// The bytes written so far.
    written: usize,
    last: Option<Last>,
    end: Option<CloseReason>,
}

/// The state after the last step.
struct Last {
    next: Next,
    unread: usize,
    wrote: bool,
    had_room: bool,
    event: Event,
    /// Input that it has left at another event than data.
    unseen: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Work {
    None,
    Streaming(usize),
    Sleeping,
    AwaitingWake,
}

/// Returns the byte at a place of a session's output.
pub(crate) const fn pattern(place: usize) -> u8 {
    (place * 7 + place / 256) as u8
}

/// Returns how many bytes the commands are answered with.
pub(crate) fn answered(commands: &[u8]) -> usize {
    let bytes = |command: &[u8]| match command {
        [b'w' | b's', size] => 1 + amount(*size),
        _ => 1,
    };
    commands.chunks_exact(2).map(bytes).sum::<usize>() + 1
}

fn amount(size: u8) -> usize {
    usize::from(size) * usize::from(size) / 32
}

impl Service for Strict {
    type Session = StrictSession;

    fn open(&mut self, peer: Peer, _: &mut ServiceContext) -> StrictSession {
        self.opened += 1;
        StrictSession {
            id: peer.id,
            work: Work::None,
            written: 0,
            last: None,
            end: None,
        }
    }

    fn step(&mut self, session: &mut StrictSession, event: Event, cx: &mut Context<'_>) -> Next {
        session.require(event, cx);
        let before = cx.written();
        assert_eq!(before, 0, "the output is empty at every call");
        let unread_before = cx.input().len();
        self.unread_max = self.unread_max.max(unread_before);
        let next = self.run(session, event, cx);
        let unread = cx.input().len();
        let seen = matches!(event, Event::Data | Event::Eof);
        if unread > 1 && !cx.has_room() {
            self.full += 1;
        }
        let unseen_before = session
            .last
            .as_ref()
            .is_some_and(|last| last.unseen || unread_before > last.unread);
        session.last = Some(Last {
            next,
            unread,
            wrote: cx.written() > 0,
            had_room: cx.has_room(),
            event,
            unseen: !seen && (unseen_before || unread > 0),
        });
        next
    }

    fn closed(
        &mut self,
        session: StrictSession,
        peer: Peer,
        reason: EndReason,
        _: &mut ServiceContext,
    ) {
        assert_eq!(session.id, peer.id);
        self.ended.push(reason);
    }
}

impl Strict {
    fn run(&mut self, session: &mut StrictSession, event: Event, cx: &mut Context<'_>) -> Next {
        match event {
            Event::Eof => session.end = Some(CloseReason::Eof),
            Event::Drain => session.end = session.end.or(Some(CloseReason::Shutdown)),
            _ => {}
        }
        match (session.work, event) {
            (Work::Streaming(left), Event::Flushed) => {
                return self.stream(session, left, cx);
            }
            (Work::Sleeping, Event::Timeout) | (Work::AwaitingWake, Event::Wake) => {
                session.work = Work::None;
            }
            (Work::None, _) => {}
            _ => {
                // Only these may come meanwhile: it waits on.
                return session.last.as_ref().expect("it was opened").next;
            }
        }
        self.run_commands(session, cx)
    }

    fn run_commands(&mut self, session: &mut StrictSession, cx: &mut Context<'_>) -> Next {
        while cx.has_room()
            && let Some(&[command, size]) = cx.input().first_chunk::<2>()
        {
            cx.consume(2);
            session.write(1, cx);
            match command {
                b'w' => session.write(amount(size), cx),
                b's' if amount(size) > 0 => return self.stream(session, amount(size), cx),
                b'p' => {
                    session.work = Work::Sleeping;
                    let until = cx.after(Duration::from_millis(size.into()));
                    return Next::Pause { until };
                }
                b'a' => {
                    session.work = Work::AwaitingWake;
                    cx.wake(cx.id());
                    let until = cx.after(MINUTE);
                    return Next::Pause { until };
                }
                _ => {}
            }
        }
        // With commands left there was no room, and they are presented again.
        if let Some(reason) = session.end
            && cx.input().len() < 2
        {
            session.write(1, cx);
            return Next::Close(reason);
        }
        Next::Read {
            until: cx.after(MINUTE),
        }
    }

    /// Sends the next piece of a stream, as much as there is room for.
    fn stream(&mut self, session: &mut StrictSession, left: usize, cx: &mut Context<'_>) -> Next {
        if left == 0 {
            session.work = Work::None;
            // The rest of the input is presented when the session reads again.
            return Next::Read {
                until: cx.after(MINUTE),
            };
        }
        self.pieces += 1;
        let piece = left.min(cx.room());
        session.write(piece, cx);
        session.work = Work::Streaming(left - piece);
        Next::Flush
    }
}

impl StrictSession {
    fn write(&mut self, bytes: usize, cx: &mut Context<'_>) {
        let from = self.written;
        self.written += bytes;
        let bytes: Vec<_> = (from..self.written).map(pattern).collect();
        cx.write(&bytes);
    }

    /// Requires that an event is due.
    fn require(&self, event: Event, cx: &Context<'_>) {
        assert_eq!(cx.id(), self.id);
        let Some(last) = &self.last else {
            return assert_eq!(event, Event::Open);
        };
        let unread = cx.input().len();
        assert!(unread >= last.unread, "unread input was lost");
        let ended = self.end == Some(CloseReason::Eof);
        let more = unread > last.unread;
        let again = unread > 0 && (!last.had_room || last.unseen);
        match event {
            Event::Open => panic!("a second opening"),
            Event::Data => {
                assert!(matches!(last.next, Next::Read { .. }), "{:?}", last.next);
                assert!(more || again, "data without data after {:?}", last.event);
                assert!(!ended, "data after the end");
            }
            Event::Eof => {
                assert!(last.next != Next::Flush, "an end before the flush");
                assert!(!ended || again, "a second end");
            }
            // A step without room is followed by it, also one that had none from the start.
            Event::Flushed => assert!(last.next == Next::Flush || last.wrote || !last.had_room),
            Event::Timeout => match last.next {
                Next::Read { until } | Next::Pause { until } => assert!(until <= cx.now()),
                next => panic!("a timeout of {next:?}"),
            },
            Event::Wake => assert!(matches!(self.work, Work::AwaitingWake)),
            _ => {}
        }
        assert!(cx.has_room(), "a step without room");
        assert!(last.next != Next::Flush || event == Event::Flushed);
    }
}

const MINUTE: Duration = Duration::from_secs(60);
