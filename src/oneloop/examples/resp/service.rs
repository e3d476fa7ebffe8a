//! The service: a session for each client, and what all of them share.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::time::Duration;

use hashbrown::HashMap;
use oneloop::{CloseReason, Context, EndReason, Event, Next, Peer, Service, ServiceContext};
use oneloop::{SessionId, Time};
use smallvec::SmallVec;

use super::data::Database;
use super::reply::{OK, Outcome, Reply, Text};
use super::request::{self, Args};

/// A server that answers as Redis does.
#[derive(Default)]
pub(crate) struct Resp {
    /// The longest value, in bytes.
    value_max: usize,
    databases: [Database; 16],
    /// The sessions that listen to each channel.
    listeners: HashMap<Text, Vec<SessionId>>,
    inboxes: HashMap<SessionId, Inbox>,
    draining: bool,
}

/// The messages that a listener has yet to send. All listeners share the bytes of a message.
#[derive(Default)]
struct Inbox {
    messages: VecDeque<Text>,
    bytes: usize,
}

/// The state of one client's connection.
#[derive(Default)]
pub(crate) struct Session {
    mode: Mode,
    database: usize,
    name: Vec<u8>,
    /// The least input that can hold a whole request.
    awaited: usize,
}

/// What a client does now.
#[derive(Default, PartialEq)]
enum Mode {
    /// It sends commands: the session waits for input.
    #[default]
    Commands,
    /// It listens to this many channels: the session waits for messages too. Each one wakes it.
    Subscribed(i64),
    /// It has sent QUIT: the session waits for nothing but the departure of its last reply.
    Leaving,
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
        let listens = matches!(session.mode, Mode::Subscribed(_));
        let has_messages = listens && self.deliver(cx);
        let mut args = Args::new();
        while session.mode != Mode::Leaving && cx.has_room() && cx.input().len() >= session.awaited
        {
            match request::parse(cx.input(), &mut args, &mut session.awaited, self.value_max) {
                Ok(None) if cx.raise_input_max(session.awaited) => {}
                Ok(None) => return Next::Close(CloseReason::ProtocolError), // it is too long
                Ok(Some(length)) => {
                    cx.consume(length);
                    session.awaited = 1;
                    let outcome = self.run(session, &args, cx);
                    outcome.unwrap_or_else(Reply::Error).write(cx);
                }
                Err(reason) => {
                    Reply::Error(format!("ERR Protocol error: {reason}").into()).write(cx);
                    return Next::Close(CloseReason::ProtocolError);
                }
            }
        }
        match event {
            _ if session.mode == Mode::Leaving => Next::Close(CloseReason::Completed),
            // Input that is left for lack of room comes again, and so does this event.
            Event::Eof if cx.has_room() || cx.input().is_empty() => Next::Close(CloseReason::Eof),
            Event::Timeout => Next::Close(CloseReason::Timeout),
            _ if has_messages => Next::Flush,
            // A request that has arrived in part is still served.
            _ if self.draining && cx.input().is_empty() => Next::Close(CloseReason::Shutdown),
            _ => Next::Read {
                until: cx.after(SILENCE_MAX),
            },
        }
    }

    fn closed(&mut self, session: Session, peer: Peer, _: EndReason, _: &mut ServiceContext) {
        if let Mode::Subscribed(_) = session.mode {
            self.inboxes.remove(&peer.id);
            self.listeners.retain(|_, ids| {
                ids.retain(|id| *id != peer.id);
                !ids.is_empty()
            });
        }
    }

    fn on_timer(&mut self, _: u64, cx: &mut ServiceContext) {
        let now = cx.now();
        self.databases
            .iter_mut()
            .for_each(|database| database.sweep(now));
        cx.set_service_timer(0, cx.after(SWEEP));
    }

    fn draining(&mut self, _: usize, _: Duration, _: &mut ServiceContext) {
        self.draining = true;
    }
}

impl Resp {
    pub(crate) fn new(value_max: usize) -> Self {
        Self {
            value_max,
            ..Self::default()
        }
    }

    /// Runs a command. Those on data are the database's.
    fn run(&mut self, session: &mut Session, args: &[&[u8]], cx: &mut Context<'_>) -> Outcome {
        let Some((name, args)) = args.split_first() else {
            return Ok(Reply::Several(Vec::new())); // an empty line
        };
        let mut lower = SmallVec::<[u8; 16]>::from_slice(name);
        lower.make_ascii_lowercase();
        match (&*lower, args, &mut session.mode) {
            (b"quit", _, mode) => *mode = Mode::Leaving,
            (b"subscribe", [_, ..], mode) => return Ok(self.subscribe(mode, args, cx.id())),
            (b"ping", [] | [_], Mode::Subscribed(_)) => {
                let text = Reply::text(args.first().copied().unwrap_or_default());
                return Ok(Reply::Array(vec![Reply::text(b"pong"), text]));
            }
            (b"subscribe" | b"ping", _, Mode::Subscribed(_)) => return Err(misuse(name, args)),
            (lower, _, Mode::Subscribed(_)) if is_known(lower) => {
                let name = String::from_utf8_lossy(lower);
                return Err(format!("ERR Can't execute '{name}': {NOT_NOW}").into());
            }
            (b"ping", [], _) => return Ok(Reply::Simple("PONG")),
            (b"ping" | b"echo", [text], _) => return Ok(Reply::text(text)),
            (b"publish", [channel, text], _) => return Ok(self.publish(channel, text, cx)),
            (b"select", [number], _) => match request::number(number)? {
                number @ 0..16 => session.database = number as usize,
                _ => return Err("ERR DB index is out of range".into()),
            },
            (b"flushall", [], _) => self.databases = Default::default(),
            (b"client", [sub], _) if is(sub, "id") => {
                return Ok(Reply::Integer(cx.id().number().into()));
            }
            (b"client", [sub, name], _) if is(sub, "setname") => session.name = name.to_vec(),
            (b"client", [sub], _) if is(sub, "getname") => match &*session.name {
                [] => return Ok(Reply::Nil),
                name => return Ok(Reply::text(name)),
            },
            (b"config", [sub, name], _) if is(sub, "get") => {
                let found = CONFIG.iter().filter(|[known, _]| is(name, known)).flatten();
                let texts = found.map(|text| Reply::text(text.as_bytes()));
                return Ok(Reply::Array(texts.collect()));
            }
            (b"command", [sub], _) if is(sub, "count") => {
                return Ok(Reply::Integer(COMMANDS.split_whitespace().count() as i64));
            }
            (b"command", ..) => return Ok(Reply::Array(Vec::new())),
            (b"info", ..) => {
                let uptime = cx.now().since(Time::START).as_secs();
                let info = format!("# Server\r\nuptime_in_seconds:{uptime}\r\n");
                return Ok(Reply::text(info.as_bytes()));
            }
            _ => {
                let database = &mut self.databases[session.database];
                database.now = cx.now();
                return database.run(name, &lower, args);
            }
        }
        OK
    }

    fn subscribe(&mut self, mode: &mut Mode, channels: &[&[u8]], id: SessionId) -> Reply {
        let mut count = match *mode {
            Mode::Subscribed(count) => count,
            _ => 0,
        };
        let replies = channels.iter().map(|channel| {
            let ids = self.listeners.entry_ref(*channel).or_default();
            if !ids.contains(&id) {
                ids.push(id);
                count += 1;
            }
            let name = Reply::text(b"subscribe");
            Reply::Array(vec![name, Reply::text(channel), Reply::Integer(count)])
        });
        let replies = Reply::Several(replies.collect());
        *mode = Mode::Subscribed(count);
        replies
    }

    /// Puts a message into the inbox of each listener, and wakes it. Replies with their number.
    fn publish(&mut self, channel: &[u8], text: &[u8], cx: &mut Context<'_>) -> Reply {
        let head = format!("*3\r\n$7\r\nmessage\r\n${}\r\n", channel.len());
        let middle = format!("\r\n${}\r\n", text.len());
        let parts = [head.as_bytes(), channel, middle.as_bytes(), text, b"\r\n"];
        let message = Text::from(parts.concat());
        let ids = self.listeners.get(channel).map_or(&[][..], Vec::as_slice);
        for &id in ids {
            let inbox = self.inboxes.entry(id).or_default();
            inbox.messages.push_back(message.clone());
            inbox.bytes += message.len();
            match inbox.bytes {
                ..INBOX_BYTES_MAX if inbox.messages.len() > 1 => {} // it was woken for the first
                ..INBOX_BYTES_MAX => cx.wake(id),
                _ => cx.abort(id), // it does not read: memory is for those that do
            }
        }
        Reply::Integer(ids.len() as i64)
    }

    /// Sends a listener its messages while there is room. Returns true if some are left.
    fn deliver(&mut self, cx: &mut Context<'_>) -> bool {
        let inbox = self.inboxes.entry(cx.id()).or_default();
        while cx.has_room()
            && let Some(message) = inbox.messages.pop_front()
        {
            inbox.bytes -= message.len();
            cx.write_shared(message.into());
        }
        !inbox.messages.is_empty()
    }
}

fn is(text: &[u8], name: &str) -> bool {
    text.eq_ignore_ascii_case(name.as_bytes())
}

fn is_known(name: &[u8]) -> bool {
    COMMANDS.split_whitespace().any(|known| is(name, known))
}

/// Returns the error of a command that is unknown, or has no form with these arguments.
pub(crate) fn misuse(name: &[u8], args: &[&[u8]]) -> Cow<'static, str> {
    let text = |bytes| String::from_utf8_lossy(bytes);
    let (name, lower) = (text(name), text(name).to_lowercase());
    if is_known(lower.as_bytes()) {
        return match args {
            [sub, ..] if matches!(&*lower, "client" | "config") => {
                let (sub, group) = (text(sub), lower.to_uppercase());
                format!("ERR unknown subcommand '{sub:.128}'. Try {group} HELP.").into()
            }
            _ => format!("ERR wrong number of arguments for '{lower}' command").into(),
        };
    }
    let mut shown = String::new();
    for arg in args.iter().map(|arg| text(arg)) {
        if let Some(left @ 1..) = 128_usize.checked_sub(shown.len()) {
            shown += &format!("'{arg:.left$}' ");
        }
    }
    format!("ERR unknown command '{name:.128}', with args beginning with: {shown}").into()
}

const COMMANDS: &str = "get set incr incrby decr decrby mget mset del exists expire ttl lpush rpush \
                        lpop lrange sadd hset hget ping echo publish subscribe select flushall \
                        client config command info quit";
const NOT_NOW: &str = "only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed \
                       in this context";
/// There is nothing to configure, but clients ask.
const CONFIG: [[&str; 2]; 2] = [["save", ""], ["appendonly", "no"]];
/// The most that waits for a listener, as in Redis.
const INBOX_BYTES_MAX: usize = 32 << 20;
/// How often expired keys are removed.
const SWEEP: Duration = Duration::from_secs(10);
/// The time after which a silent client is taken for dead.
const SILENCE_MAX: Duration = Duration::from_secs(24 * 60 * 60);
