//! Messages of one publisher to many subscribers, by a client on the library itself.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use oneloop::{CloseReason, Connect, Context, Event, Limits, Next, Peer, Reactor, Service};
use oneloop::{ConnectError, ServiceContext, Tag, Time, Turn};

/// Publishes on one channel, and counts what its listeners hear.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fanout {
    pub(crate) listeners: u64,
    /// The number of messages in one write, and unanswered.
    pub(crate) depth: u64,
}

impl Fanout {
    /// Returns the number of messages heard.
    pub(super) fn run(&self, server: SocketAddr, duration: Duration) -> io::Result<f64> {
        let rounds = MESSAGES_PER_SECOND * duration.as_secs().max(1) / self.depth;
        let audience = Audience {
            server,
            load: *self,
            subscribed: 0,
            rounds_left: rounds,
            unanswered: 0,
            heard_bytes: 0,
            wanted_bytes: rounds * self.depth * self.listeners * HEARD.len() as u64,
        };
        let mut reactor = Reactor::new(audience, Limits::default())?;
        while reactor.turn()? == Turn::Running {}
        let audience = reactor.service();
        match audience.heard_bytes == audience.wanted_bytes {
            true => Ok((rounds * self.depth * self.listeners) as f64),
            false => Err(io::Error::other("not every message was heard")),
        }
    }
}

struct Audience {
    server: SocketAddr,
    load: Fanout,
    subscribed: u64,
    rounds_left: u64,
    unanswered: u64,
    heard_bytes: u64,
    wanted_bytes: u64,
}

/// A connection of the client.
enum Role {
    /// It waits for the answer to its subscription.
    Joining,
    /// It waits for messages.
    Listening,
    /// It waits for the answers to a round of messages, and then publishes the next one.
    Publishing,
}

impl Audience {
    fn publish(&mut self, cx: &mut Context<'_>) {
        if self.rounds_left > 0 {
            self.rounds_left -= 1;
            self.unanswered = self.load.depth;
            (0..self.load.depth).for_each(|_| cx.write(PUBLISH));
        }
    }
}

impl Service for Audience {
    type Session = Role;

    fn started(&mut self, cx: &mut ServiceContext) {
        for _ in 0..self.load.listeners {
            cx.connect(Connect::tcp(self.server).tag(LISTENER));
        }
    }

    fn open(&mut self, peer: Peer, _: &mut ServiceContext) -> Role {
        match peer.tag == Some(LISTENER) {
            true => Role::Joining,
            false => Role::Publishing,
        }
    }

    fn step(&mut self, role: &mut Role, event: Event, cx: &mut Context<'_>) -> Next {
        match (&role, event) {
            (Role::Publishing, Event::Open) => self.publish(cx),
            (_, Event::Open) => cx.write(SUBSCRIBE),
            (_, Event::Eof | Event::Drain) => return Next::Close(CloseReason::Completed),
            _ => {}
        }
        match role {
            Role::Joining if cx.input().len() >= SUBSCRIBED.len() => {
                cx.consume(SUBSCRIBED.len());
                *role = Role::Listening;
                self.subscribed += 1;
                if self.subscribed == self.load.listeners {
                    cx.connect(Connect::tcp(self.server).tag(PUBLISHER));
                }
            }
            Role::Joining => {}
            Role::Listening => {
                self.heard_bytes += cx.input().len() as u64;
                cx.consume(cx.input().len());
            }
            Role::Publishing => {
                let answers = cx.input().iter().filter(|&&byte| byte == b'\n').count() as u64;
                cx.consume(cx.input().len());
                if answers > 0 {
                    self.unanswered -= answers;
                    if self.unanswered == 0 {
                        self.publish(cx);
                    }
                }
            }
        }
        if self.heard_bytes == self.wanted_bytes {
            cx.drain();
        }
        Next::Read {
            until: Time::UNBOUNDED,
        }
    }

    fn connect_failed(&mut self, _: Tag, _: &ConnectError, cx: &mut ServiceContext) {
        cx.drain();
    }
}

const LISTENER: Tag = Tag::new(0);
const PUBLISHER: Tag = Tag::new(1);
const SUBSCRIBE: &[u8] = b"*2\r\n$9\r\nSUBSCRIBE\r\n$4\r\nnews\r\n";
const SUBSCRIBED: &[u8] = b"*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n";
const PUBLISH: &[u8] = b"*3\r\n$7\r\nPUBLISH\r\n$4\r\nnews\r\n$20\r\nxxxxxxxxxxxxxxxxxxxx\r\n";
const HEARD: &[u8] = b"*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$20\r\nxxxxxxxxxxxxxxxxxxxx\r\n";
/// So many that a server on one core takes about as long.
const MESSAGES_PER_SECOND: u64 = 256;
