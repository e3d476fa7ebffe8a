//! Speaks Redis' protocol: `cargo run --release -p oneloop --example resp -- 127.0.0.1:6379`, then
//! `redis-cli` or `redis-benchmark`. A second argument is the length of the longest value in bytes.
//! This file has the sessions, and the commands that concern them; [`data`] has those on values.

mod data;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use data::{Database, Text, integer};
use hashbrown::HashMap;
use oneloop::framing::{RespReply as Reply, RespRequest};
use oneloop::{CloseReason, Context, EndReason, Event, Limits, Next, Peer, Reactor, Service};
use oneloop::{ServiceContext, SessionId, Time};
use smallvec::SmallVec;

/// A command has written its reply, or nothing: then this is the text of its error.
type Outcome<T = ()> = Result<T, String>;
#[inline(always)] // most replies are constants
fn reply(reply: Reply<'_>, cx: &mut Context<'_>) -> Outcome {
    cx.write_parts(reply.encode().parts());
    Ok(())
}

/// The messages that a listener has yet to send. Those that publish share it.
type Inbox = Rc<RefCell<Vec<u8>>>;

/// A server that answers as Redis does.
#[derive(Default)]
struct Resp {
    /// The length of the longest value.
    value_max: usize,
    databases: [Database; 16],
    /// The sessions that listen to each channel, and their inboxes.
    listeners: HashMap<Text, Vec<(SessionId, Inbox)>>,
    draining: bool,
}

/// The state of one client's connection.
#[derive(Default)]
struct Session {
    /// The channels that it listens to. If there are any, it waits for messages too: they wake it.
    channels: i64,
    database: usize,
    name: Text,
    inbox: Inbox,
    /// The least input that can hold a whole request.
    awaited: usize,
}

impl Service for Resp {
    type Session = Session;

    fn started(&mut self, cx: &mut ServiceContext) {
        cx.set_service_timer(0, cx.after(SWEEP));
    }

    fn open(&mut self, _: Peer, _: &mut ServiceContext) -> Session {
        Session::default()
    }

    fn step(&mut self, session: &mut Session, event: Event, cx: &mut Context<'_>) -> Next {
        cx.write(&session.inbox.take());
        let requests = RespRequest::new(self.value_max);
        // Requests that are left for lack of room come again, once the replies have left.
        while cx.has_room() {
            let mut args = SmallVec::<[&[u8]; 8]>::new();
            match requests.first(cx.input(), &mut session.awaited, |arg| args.push(arg)) {
                Ok(Some(bytes)) => {
                    cx.consume(bytes);
                    if let Err(text) = self.run(session, &args, cx) {
                        let _ = reply(Reply::Error(&text), cx);
                    }
                    if args.first().is_some_and(|name| is(name, "quit")) {
                        return Next::Close(CloseReason::Completed);
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    let _ = reply(Reply::Error(&format!("ERR Protocol error: {error}")), cx);
                    return Next::Close(CloseReason::ProtocolError);
                }
            }
        }
        let until = cx.after(Duration::MAX); // a day at most, by the limits
        match event {
            Event::Eof if cx.has_room() || cx.input().is_empty() => Next::Close(CloseReason::Eof),
            Event::Timeout => Next::Close(CloseReason::Timeout),
            // A request that has arrived in part is still served.
            _ if self.draining && cx.input().is_empty() => Next::Close(CloseReason::Shutdown),
            _ => Next::Read { until },
        }
    }

    fn closed(&mut self, session: Session, peer: Peer, _: EndReason, _: &mut ServiceContext) {
        if session.channels > 0 {
            self.listeners.retain(|_, all| {
                all.retain(|(id, _)| *id != peer.id);
                !all.is_empty()
            });
        }
    }

    fn on_timer(&mut self, _: u64, cx: &mut ServiceContext) {
        self.databases.iter_mut().for_each(|it| it.sweep(cx.now()));
        cx.set_service_timer(0, cx.after(SWEEP));
    }

    fn draining(&mut self, _: usize, _: Duration, _: &mut ServiceContext) {
        self.draining = true;
    }
}

impl Resp {
    /// Runs a command. Those on data are the database's.
    fn run(&mut self, session: &mut Session, words: &[&[u8]], cx: &mut Context<'_>) -> Outcome {
        let Some((name, args)) = words.split_first() else {
            return Ok(()); // an empty line
        };
        let name = RespRequest::capitals(name);
        match (&*name, args, session.channels) {
            (b"QUIT", ..) => {} // its reply is the last one
            (b"SUBSCRIBE", [_, ..], _) => return self.listen(session, args, cx),
            (b"PING", [] | [_], 1..) => {
                reply(Reply::Array(2), cx)?;
                reply(Reply::Bulk(b"pong"), cx)?;
                return reply(Reply::Bulk(args.first().copied().unwrap_or_default()), cx);
            }
            (name, _, 1..) if is_known(name) && !matches!(name, b"PING" | b"SUBSCRIBE") => {
                let name = name.escape_ascii().to_string().to_lowercase();
                return Err(format!("ERR Can't execute '{name}': {NOT_NOW}"));
            }
            (b"PING", [], _) => return reply(Reply::Simple("PONG"), cx),
            (b"PING" | b"ECHO", [text], _) => return reply(Reply::Bulk(text), cx),
            (b"PUBLISH", [channel, text], _) => return self.publish(channel, text, cx),
            (b"SELECT", [index], _) => match integer(index)? {
                index @ 0..16 => session.database = index as usize,
                _ => return Err("ERR DB index is out of range".into()),
            },
            (b"FLUSHALL", [], _) => self.databases = Default::default(),
            (b"CLIENT", [sub, name], _) if is(sub, "setname") => session.name = (*name).into(),
            (b"CLIENT", [sub], _) if is(sub, "getname") => match &*session.name {
                [] => return reply(Reply::Nil, cx),
                name => return reply(Reply::Bulk(name), cx),
            },
            (b"CONFIG", [sub, name], _) if is(sub, "get") => {
                let mut found = CONFIG.iter().filter(|[known, _]| is(name, known)).flatten();
                reply(Reply::Array(found.clone().count()), cx)?;
                return found.try_for_each(|text| reply(Reply::Bulk(text.as_bytes()), cx));
            }
            (b"COMMAND", ..) => return reply(Reply::Array(0), cx),
            (b"INFO", ..) => {
                let seconds = cx.now().since(Time::START).as_secs();
                return reply(Reply::Bulk(format!("{INFO}{seconds}\r\n").as_bytes()), cx);
            }
            _ => return self.databases[session.database].run(&name, words, cx),
        }
        reply(Reply::Simple("OK"), cx)
    }

    fn listen(&mut self, session: &mut Session, names: &[&[u8]], cx: &mut Context<'_>) -> Outcome {
        for name in names {
            let all = self.listeners.entry_ref(*name).or_default();
            if all.iter().all(|(id, _)| *id != cx.id()) {
                all.push((cx.id(), Rc::clone(&session.inbox)));
                session.channels += 1;
            }
            reply(Reply::Array(3), cx)?;
            reply(Reply::Bulk(b"subscribe"), cx)?;
            reply(Reply::Bulk(name), cx)?;
            reply(Reply::Integer(session.channels), cx)?;
        }
        Ok(())
    }

    /// Puts a message into the inbox of each listener, and wakes it. Replies with their number.
    fn publish(&mut self, channel: &[u8], text: &[u8], cx: &mut Context<'_>) -> Outcome {
        let head = format!("*3\r\n$7\r\nmessage\r\n${}\r\n", channel.len());
        let middle = format!("\r\n${}\r\n", text.len());
        let message = [head.as_bytes(), channel, middle.as_bytes(), text, b"\r\n"].concat();
        let all = self.listeners.get(channel).map_or(&[][..], Vec::as_slice);
        for (id, inbox) in all {
            let mut inbox = inbox.borrow_mut();
            match inbox.len() {
                0 => cx.wake(*id),
                1..INBOX_BYTES_MAX => {} // it was woken for the first one
                _ => cx.abort(*id),      // it does not read: memory is for those that do
            }
            inbox.extend_from_slice(&message);
        }
        reply(Reply::Integer(all.len() as i64), cx)
    }
}

fn is(text: &[u8], name: &str) -> bool {
    text.eq_ignore_ascii_case(name.as_bytes())
}

fn is_known(name: impl AsRef<[u8]>) -> bool {
    COMMANDS.split(' ').any(|known| is(name.as_ref(), known))
}

/// Returns the error of a command that is unknown, or has no form with these arguments.
fn misuse(words: &[&[u8]]) -> String {
    let text = |bytes| String::from_utf8_lossy(bytes).replace(['\r', '\n'], " ");
    let (name, lower) = (text(words[0]), text(words[0]).to_lowercase());
    match &words[1..] {
        [sub, ..] if matches!(&*lower, "client" | "config") => {
            let (sub, group) = (text(sub), lower.to_uppercase());
            format!("ERR unknown subcommand '{sub:.128}'. Try {group} HELP.")
        }
        _ if is_known(&lower) => format!("ERR wrong number of arguments for '{lower}' command"),
        args => {
            let shown = args
                .iter()
                .fold(String::new(), |shown, arg| match shown.len() {
                    ..128 => format!("{shown}'{:.*}' ", 128 - shown.len(), text(arg)),
                    _ => shown,
                });
            format!("ERR unknown command '{name:.128}', with args beginning with: {shown}")
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: resp ADDRESS:PORT [VALUE_BYTES_MAX]";
    let address = arguments.next().ok_or(usage)?.parse()?;
    let value_max = arguments.next().map_or(Ok(512 << 20), |max| max.parse())?;
    let mut limits = Limits::for_messages_up_to(value_max.max(INBOX_BYTES_MAX));
    limits.gather_time = Duration::from_micros(300); // requests of many clients share each poll
    let mut reactor = Reactor::new(Resp::default(), limits)?;
    reactor.service_mut().value_max = value_max;
    println!("listening on {}", reactor.listen(address)?);
    reactor.stop_on_signals()?;
    reactor.run()?;
    Ok(())
}

const COMMANDS: &str = "get set incr incrby decr decrby mget mset del exists expire ttl lpush rpush \
                        lpop lrange sadd hset hget ping echo publish subscribe select flushall \
                        client config command info quit";
const INFO: &str = "# Server\r\nuptime_in_seconds:";
const NOT_NOW: &str = "only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed \
                       in this context";
const CONFIG: [[&str; 2]; 2] = [["save", ""], ["appendonly", "no"]]; // clients ask for these
const INBOX_BYTES_MAX: usize = 32 << 20; // as in Redis
const SWEEP: Duration = Duration::from_secs(10); // between removals of expired keys
