//! The data, and the commands on it: no socket, no bytes of a wire, no clock but a field.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use derive_more::{From, TryInto};
use hashbrown::{HashMap, HashSet};
use oneloop::framing::RespReply as Reply;
use oneloop::{Context, Time};

use super::{Answer, Outcome, misuse, reply};

/// A text of any bytes. The reply with a long one shares it: it is not copied.
pub(super) type Text = Arc<[u8]>;

/// A value. A command for one kind fails on the others.
#[derive(From, TryInto)]
#[try_into(ref, ref_mut)]
enum Value {
    Text(Text),
    List(List),
    Set(Set),
    Hash(Hash),
}
type List = VecDeque<Text>;
type Set = HashSet<Text>;
type Hash = HashMap<Text, Text>;

/// One of the numbered databases. All sessions share it: one thread steps them, so it has no lock.
#[derive(Default)]
pub(super) struct Database {
    /// The time of the command.
    now: Time,
    /// The values, and when they expire; [`Time::UNBOUNDED`] is never.
    entries: HashMap<Text, (Value, Time)>,
}

impl Database {
    /// Runs a command. All of these name a key first. One that fails has written nothing.
    pub(super) fn run(&mut self, name: &[u8], words: &[&[u8]], cx: &mut Context<'_>) -> Outcome {
        self.now = cx.now();
        let ([_, key, rest @ ..], [_, args @ ..]) = (words, words) else {
            return Err(misuse(words));
        };
        let answer = match (name, rest) {
            (b"get", []) => return text_or_nil(self.read(key)?, cx),
            (b"set", [value, options @ ..]) => self.set_if(key, value, options)?,
            (b"incr", []) => self.add(key, Some(1))?,
            (b"decr", []) => self.add(key, Some(-1))?,
            (b"incrby", [more]) => self.add(key, Some(number(more)?))?,
            (b"decrby", [less]) => self.add(key, number(less)?.checked_neg())?,
            (b"mget", _) => {
                reply(Reply::Array(args.len()), cx)?;
                let mut texts = args.iter().map(|key| self.read(key).unwrap_or_default());
                return texts.try_for_each(|text| text_or_nil(text, cx));
            }
            (b"mset", [_, ..]) if args.len() % 2 == 0 => {
                let pairs = args.as_chunks().0.iter();
                pairs.for_each(|&[key, value]| self.set(key, value, Time::UNBOUNDED));
                Reply::Simple("OK")
            }
            (b"del", _) => count(args.iter().filter(|key| self.remove(key))),
            (b"exists", _) => count(args.iter().filter_map(|key| self.get(key))),
            (b"expire", [seconds]) => self.expire(key, number(seconds)?)?,
            (b"ttl", []) => Reply::Integer(match self.get(key) {
                None => -2,
                Some((_, Time::UNBOUNDED)) => -1,
                Some((_, expires)) => (expires.since(self.now).as_millis() as i64 + 500) / 1000,
            }),
            (b"lpush", [_, ..]) => self.push(key, rest, List::push_front)?,
            (b"rpush", [_, ..]) => self.push(key, rest, List::push_back)?,
            (b"lpop", []) => return self.pop(key, cx),
            (b"lrange", [start, stop]) => {
                return self.range(key, number(start)?, number(stop)?, cx);
            }
            (b"sadd", [_, ..]) => {
                let set = self.change::<Set>(key)?;
                count(rest.iter().filter(|&&member| set.insert(member.into())))
            }
            (b"hset", [_, ..]) if rest.len() % 2 == 0 => {
                let (hash, pairs) = (self.change::<Hash>(key)?, rest.as_chunks().0.iter());
                let old = pairs.map(|&[field, value]| hash.insert(field.into(), value.into()));
                count(old.filter(Option::is_none))
            }
            (b"hget", [field]) => {
                let hash = self.read::<Hash>(key)?;
                return text_or_nil(hash.and_then(|hash| hash.get(*field)), cx);
            }
            _ => return Err(misuse(words)),
        };
        reply(answer, cx)
    }

    fn set_if(&mut self, key: &[u8], value: &[u8], options: &[&[u8]]) -> Answer {
        let (mut must_exist, mut expires) = (None, Time::UNBOUNDED);
        let mut options = options.iter();
        while let Some(option) = options.next() {
            match &*option.to_ascii_lowercase() {
                b"nx" if must_exist != Some(true) => must_exist = Some(false),
                b"xx" if must_exist != Some(false) => must_exist = Some(true),
                unit @ (b"ex" | b"px") if expires == Time::UNBOUNDED => {
                    let count = number(options.next().ok_or(SYNTAX)?)?;
                    let millis = count.checked_mul(if unit == b"ex" { 1000 } else { 1 });
                    let millis = millis.filter(|&millis| millis > 0);
                    let millis = millis.ok_or("ERR invalid expire time in 'set' command")?;
                    expires = self.now + Duration::from_millis(millis as u64);
                }
                _ => return Err(SYNTAX.into()),
            }
        }
        if must_exist.is_some_and(|must| self.get(key).is_some() != must) {
            return Ok(Reply::Nil);
        }
        self.set(key, value, expires);
        Ok(Reply::Simple("OK"))
    }

    fn add(&mut self, key: &[u8], more: Option<i64>) -> Answer {
        let more = more.ok_or("ERR decrement would overflow")?;
        let old = self.read::<Text>(key)?.map_or(Ok(0), |text| number(text))?;
        let sum = old.checked_add(more);
        let sum = sum.ok_or("ERR increment or decrement would overflow")?;
        *self.change::<Text>(key)? = itoa::Buffer::new().format(sum).as_bytes().into();
        Ok(Reply::Integer(sum))
    }

    fn expire(&mut self, key: &[u8], seconds: i64) -> Answer {
        let millis = seconds.checked_mul(1000);
        let millis = millis.ok_or("ERR invalid expire time in 'expire' command")?;
        let expires = self.now + Duration::from_millis(millis.max(0) as u64);
        let entry = self.entries.get_mut(key).filter(|entry| entry.1 > self.now);
        Ok(count(entry.map(|entry| entry.1 = expires).iter()))
    }

    fn push(&mut self, key: &[u8], values: &[&[u8]], place: fn(&mut List, Text)) -> Answer {
        let list = self.change::<List>(key)?;
        values.iter().for_each(|&value| place(list, value.into()));
        Ok(count(list.iter()))
    }

    fn pop(&mut self, key: &[u8], cx: &mut Context<'_>) -> Outcome {
        let list = self.change::<List>(key)?;
        let popped = list.pop_front();
        if list.is_empty() {
            self.remove(key);
        }
        text_or_nil(popped.as_ref(), cx)
    }

    fn range(&self, key: &[u8], start: i64, stop: i64, cx: &mut Context<'_>) -> Outcome {
        // Negative places count from the end.
        let list = self.read::<List>(key)?;
        let length = list.map_or(0, List::len) as i64;
        let place = |at: i64| at + if at < 0 { length } else { 0 };
        let start = place(start).clamp(0, length);
        let end = place(stop).saturating_add(1).clamp(start, length);
        let (start, end) = (start as usize, end as usize);
        reply(Reply::Array(end - start), cx)?;
        let mut texts = list.iter().flat_map(|list| list.range(start..end));
        texts.try_for_each(|text| text_or_nil(Some(text), cx))
    }

    /// Returns the value of `key`, and when it expires. One that has expired counts as absent.
    fn get(&self, key: &[u8]) -> Option<&(Value, Time)> {
        self.entries.get(key).filter(|entry| entry.1 > self.now)
    }

    /// Returns the value of `key`, if there is one. It must be of this kind.
    fn read<'a, T>(&'a self, key: &[u8]) -> Result<Option<&'a T>, &'static str>
    where
        &'a T: TryFrom<&'a Value>,
    {
        let value = self.get(key).map(|(value, _)| value.try_into());
        value.transpose().map_err(|_| WRONG_KIND)
    }

    /// Returns the value of `key`, a new one if there is none. It must be of this kind.
    fn change<'a, T>(&'a mut self, key: &[u8]) -> Result<&'a mut T, &'static str>
    where
        T: Default + Into<Value>,
        &'a mut T: TryFrom<&'a mut Value>,
    {
        let new = || (T::default().into(), Time::UNBOUNDED);
        let entry = self.entries.entry_ref(key).or_insert_with(new);
        if entry.1 <= self.now {
            *entry = new();
        }
        (&mut entry.0).try_into().map_err(|_| WRONG_KIND)
    }

    fn set(&mut self, key: &[u8], text: &[u8], expires: Time) {
        let value = Value::Text(text.into());
        self.entries.entry_ref(key).insert((value, expires));
    }

    /// Removes `key`. Returns true if it existed.
    fn remove(&mut self, key: &[u8]) -> bool {
        let removed = self.entries.remove(key);
        removed.is_some_and(|(_, expires)| expires > self.now)
    }

    /// Removes the keys that have expired.
    pub(super) fn sweep(&mut self, now: Time) {
        self.entries.retain(|_, (_, expires)| *expires > now);
    }
}

fn count(items: impl Iterator) -> Reply<'static> {
    Reply::Integer(items.count() as i64)
}

fn text_or_nil(text: Option<&Text>, cx: &mut Context<'_>) -> Outcome {
    match text {
        None => reply(Reply::Nil, cx),
        Some(text) if text.len() < LONG => reply(Reply::Bulk(text), cx),
        Some(text) => {
            reply(Reply::BulkHead(text.len()), cx)?;
            cx.write_shared(text.clone().into());
            cx.write(b"\r\n");
            Ok(())
        }
    }
}

/// Parses an integer as Redis does: without spaces, plus or leading zeros.
pub(super) fn number(text: &[u8]) -> Result<i64, &'static str> {
    let is_plain = matches!(text, b"0" | [b'1'..=b'9', ..] | [b'-', b'1'..=b'9', ..]);
    let text = str::from_utf8(text).ok().filter(|_| is_plain);
    let number = text.and_then(|text| text.parse().ok());
    number.ok_or("ERR value is not an integer or out of range")
}

const SYNTAX: &str = "ERR syntax error";
const WRONG_KIND: &str = "WRONGTYPE Operation against a key holding the wrong kind of value";
const LONG: usize = 256; // for fewer bytes, a copy costs less than a reference
