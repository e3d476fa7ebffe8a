//! A layer around the greeting service that keeps its journal: how long a session took and how much
//! it sent, and which other protocols clients used on the greeting port.

use log::{Level, log, warn};
use oneloop::inspect::Description;
use oneloop::{
    Context, EndReason, Event, ListenerId, Next, Peer, Service, ServiceContext, SessionId, Time,
};
use oneloop_greeting::{self, Greeter};

use crate::foreign::Protocol;

/// The greeting service with a journal.
#[derive(Debug)]
pub(crate) struct Journal {
    greeter: Greeter,
    /// The protocols that were named in the log already.
    named: Vec<Protocol>,
}

/// A session of the greeting service, and the journal's notes on it.
#[derive(Debug)]
pub(crate) struct Session {
    greeting: oneloop_greeting::Session,
    opened: Time,
    /// Bytes of input that the service has consumed, or had when it closed.
    bytes_in: u64,
    /// Bytes of output that the service has written.
    bytes_out: u64,
    /// Names that the service has greeted.
    names: u64,
}

impl Journal {
    pub(crate) const fn new(greeter: Greeter) -> Self {
        Self {
            greeter,
            named: Vec::new(),
        }
    }

    /// Names a protocol that is not the greeting protocol, the first time that a client uses it.
    #[cold]
    #[inline(never)]
    fn look(&mut self, input: &[u8], session: SessionId) {
        let Some(protocol) = Protocol::of(input) else {
            return;
        };
        if self.named.contains(&protocol) {
            return;
        }
        self.named.push(protocol);
        warn!(
            session = session.number();
            "a client speaks {protocol} to the greeting port; its lines are taken for names, and \
             this is logged once"
        );
    }
}

impl Service for Journal {
    type Session = Session;

    fn open(&mut self, peer: Peer, cx: &mut ServiceContext) -> Session {
        Session {
            opened: cx.now(),
            bytes_in: 0,
            bytes_out: 0,
            names: 0,
            greeting: self.greeter.open(peer, cx),
        }
    }

    #[inline(always)]
    fn step(&mut self, session: &mut Session, event: Event, cx: &mut Context<'_>) -> Next {
        let unread = cx.input().len();
        if session.bytes_in == 0 && unread > 0 {
            self.look(cx.input(), cx.id());
        }
        let greeted = self.greeter.greeted();
        let next = self.greeter.step(&mut session.greeting, event, cx);
        // Unread input at the end was received, too.
        let rest = match next {
            Next::Close(_) => 0,
            _ => cx.input().len(),
        };
        session.bytes_in += (unread - rest) as u64;
        session.bytes_out += cx.written() as u64;
        session.names += self.greeter.greeted() - greeted;
        next
    }

    /// Logs the session's last line. The service's own one has less in it, so it is not called.
    fn closed(&mut self, session: Session, peer: Peer, why: EndReason, cx: &mut ServiceContext) {
        let nanos = cx.now().as_nanos() - session.opened.as_nanos();
        // To the millisecond.
        let seconds = (nanos / 1_000_000) as f64 / 1e3;
        let level = match peer.is_probe() {
            // A proxy makes one every second, to check the server.
            true => Level::Debug,
            false => Level::Info,
        };
        let Session {
            bytes_in,
            bytes_out,
            names,
            ..
        } = session;
        let (session, address) = (peer.id.number(), peer.address);
        match peer.via() {
            None => log!(
                level,
                session, seconds, names, bytes_in, bytes_out;
                "Connection from {address} is closed ({why})"
            ),
            Some(via) => log!(
                level,
                session, via:%, seconds, names, bytes_in, bytes_out;
                "Connection from {address} is closed ({why})"
            ),
        }
    }

    fn describe(&self, session: &Session, description: &mut Description) {
        self.greeter.describe(&session.greeting, description);
    }

    fn refusal_message(&self, listener: ListenerId, why: EndReason) -> &[u8] {
        self.greeter.refusal_message(listener, why)
    }
}
