//! The data, and the commands on it: no socket, no bytes of a wire, no clock but a field.

use std::collections::VecDeque;
use std::time::Duration;

use super::{Outcome, misuse, reply};
use derive_more::{From, TryInto};
use hashbrown::{HashMap, HashSet};
use hipstr::HipByt;
use oneloop::framing::{RespReply as Reply, RespRequest};
use oneloop::{Context, Shared, Time};

/// A text of any bytes. A short one is held in place, and a long one shared with its replies.
pub(super) type Text = HipByt<'static>;

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
        let number = match (name, rest) {
            (b"GET", []) => return bulk(self.read(key)?, cx),
            (b"SET", [value, options @ ..]) => return self.set([key, value], options, cx),
            (b"INCR", []) => self.add(key, Some(1))?,
            (b"DECR", []) => self.add(key, Some(-1))?,
            (b"INCRBY", [more]) => self.add(key, Some(integer(more)?))?,
            (b"DECRBY", [less]) => self.add(key, integer(less)?.checked_neg())?,
            (b"MGET", _) => {
                reply(Reply::Array(args.len()), cx)?;
                return args
                    .iter()
                    .try_for_each(|key| bulk(self.read(key).unwrap_or_default(), cx));
            }
            (b"MSET", [_, ..]) if args.len() % 2 == 0 => {
                let pairs = args.as_chunks().0.iter();
                pairs.for_each(|&[key, value]| self.put(key, value, Time::UNBOUNDED));
                return reply(Reply::Simple("OK"), cx);
            }
            (b"DEL", _) => count(args.iter().filter(|key| self.remove(key))),
            (b"EXISTS", _) => count(args.iter().filter_map(|key| self.get(key))),
            (b"EXPIRE", [seconds]) => self.expire(key, integer(seconds)?)?,
            (b"TTL", []) => match self.get(key) {
                None => -2,
                Some((_, Time::UNBOUNDED)) => -1,
                Some((_, expires)) => (expires.since(self.now).as_millis() as i64 + 500) / 1000,
            },
            (b"LPUSH", [_, ..]) => self.push(key, rest, List::push_front)?,
            (b"RPUSH", [_, ..]) => self.push(key, rest, List::push_back)?,
            (b"LPOP", []) => return self.pop(key, cx),
            (b"LRANGE", [from, to]) => return self.range(key, integer(from)?, integer(to)?, cx),
            (b"SADD", [_, ..]) => {
                let set = self.change(key, Set::default)?;
                count(rest.iter().filter(|&&member| set.insert(member.into())))
            }
            (b"HSET", [_, ..]) if rest.len() % 2 == 0 => {
                let (hash, pairs) = (self.change(key, Hash::default)?, rest.as_chunks().0.iter());
                let old = pairs.map(|&[field, value]| hash.insert(field.into(), value.into()));
                count(old.filter(Option::is_none))
            }
            (b"HGET", [field]) => {
                return bulk(
                    self.read::<Hash>(key)?.and_then(|hash| hash.get(*field)),
                    cx,
                );
            }
            _ => return Err(misuse(words)),
        };
        reply(Reply::Integer(number), cx)
    }

    fn set(&mut self, [key, text]: [&[u8]; 2], options: &[&[u8]], cx: &mut Context<'_>) -> Outcome {
        let (mut options, mut must_exist, mut expires) = (options.iter(), None, Time::UNBOUNDED);
        while let Some(option) = options.next() {
            match &*option.to_ascii_lowercase() {
                b"nx" if must_exist != Some(true) => must_exist = Some(false),
                b"xx" if must_exist != Some(false) => must_exist = Some(true),
                unit @ (b"ex" | b"px") if expires == Time::UNBOUNDED => {
                    let count = integer(options.next().ok_or(SYNTAX)?)?;
                    let millis = count.checked_mul(if unit == b"ex" { 1000 } else { 1 });
                    let millis = millis.filter(|&millis| millis > 0);
                    let millis = millis.ok_or("ERR invalid expire time in 'set' command")?;
                    expires = self.now + Duration::from_millis(millis as u64);
                }
                _ => return Err(SYNTAX.into()),
            }
        }
        if must_exist.is_some_and(|must| self.get(key).is_some() != must) {
            return reply(Reply::Nil, cx);
        }
        self.put(key, text, expires);
        reply(Reply::Simple("OK"), cx)
    }

    fn add(&mut self, key: &[u8], more: Option<i64>) -> Outcome<i64> {
        let more = more.ok_or("ERR decrement would overflow")?;
        let text = self.change(key, || Text::from(b"0"))?;
        let sum = integer(text)?.checked_add(more);
        let sum = sum.ok_or("ERR increment or decrement would overflow")?;
        *text = itoa::Buffer::new().format(sum).as_bytes().into();
        Ok(sum)
    }

    fn expire(&mut self, key: &[u8], seconds: i64) -> Outcome<i64> {
        let millis = seconds.checked_mul(1000);
        let millis = millis.ok_or("ERR invalid expire time in 'expire' command")?;
        let expires = self.now + Duration::from_millis(millis.max(0) as u64);
        let entry = self.entries.get_mut(key).filter(|entry| entry.1 > self.now);
        Ok(count(entry.map(|entry| entry.1 = expires).iter()))
    }

    fn push(&mut self, key: &[u8], values: &[&[u8]], place: fn(&mut List, Text)) -> Outcome<i64> {
        let list = self.change(key, List::default)?;
        values.iter().for_each(|&value| place(list, value.into()));
        Ok(count(list.iter()))
    }

    fn pop(&mut self, key: &[u8], cx: &mut Context<'_>) -> Outcome {
        let list = self.change(key, List::default)?;
        let popped = list.pop_front();
        if list.is_empty() {
            self.remove(key);
        }
        bulk(popped.as_ref(), cx)
    }

    fn range(&self, key: &[u8], start: i64, stop: i64, cx: &mut Context<'_>) -> Outcome {
        // Negative places count from the end.
        let list = self.read::<List>(key)?;
        let length = list.map_or(0, List::len) as i64;
        let place = |at: i64| at + if at < 0 { length } else { 0 };
        let start = place(start).clamp(0, length);
        let end = place(stop).saturating_add(1).clamp(start, length);
        reply(Reply::Array((end - start) as usize), cx)?;
        let mut texts = list
            .iter()
            .flat_map(|list| list.range(start as usize..end as usize));
        texts.try_for_each(|text| bulk(Some(text), cx))
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
    fn change<'a, T>(&'a mut self, key: &[u8], new: fn() -> T) -> Result<&'a mut T, &'static str>
    where
        T: Into<Value>,
        &'a mut T: TryFrom<&'a mut Value>,
    {
        let now = self.now;
        let entry = self.entry(key);
        if entry.1 <= now {
            *entry = (new().into(), Time::UNBOUNDED);
        }
        (&mut entry.0).try_into().map_err(|_| WRONG_KIND)
    }

    fn put(&mut self, key: &[u8], text: &[u8], until: Time) {
        let (value, expires) = self.entry(key);
        *expires = until;
        if let Value::Text(old) = value
            && text.len() >= LONG
            && old.as_mut_slice().is_some()
        {
            // No reply that is being sent shares it: its memory is used again.
            let mut old = old.mutate();
            old.clear();
            old.extend_from_slice(text);
            return old.shrink_to(2 * text.len());
        }
        *value = Value::Text(text.into());
    }

    /// Returns the entry of `key`, a new one that has expired if there is none.
    fn entry(&mut self, key: &[u8]) -> &mut (Value, Time) {
        let expired = || (Value::Text(Text::new()), Time::START);
        self.entries.entry_ref(key).or_insert_with(expired)
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

fn count(items: impl Iterator) -> i64 {
    items.count() as i64
}

fn bulk(text: Option<&Text>, cx: &mut Context<'_>) -> Outcome {
    match text {
        None => reply(Reply::Nil, cx),
        Some(text) if text.len() < LONG => reply(Reply::Bulk(text), cx),
        Some(text) => {
            reply(Reply::BulkHead(text.len()), cx)?;
            cx.write_shared(Shared::from_owner(text.clone()));
            cx.write(b"\r\n");
            Ok(())
        }
    }
}

pub(super) fn integer(text: &[u8]) -> Result<i64, &'static str> {
    RespRequest::integer(text).ok_or("ERR value is not an integer or out of range")
}

const SYNTAX: &str = "ERR syntax error";
const WRONG_KIND: &str = "WRONGTYPE Operation against a key holding the wrong kind of value";
const LONG: usize = 256; // for fewer bytes, a copy costs less than a reference
