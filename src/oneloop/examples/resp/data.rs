//! The data, and the commands on it: no socket, no bytes of a wire, no clock but a field.

use std::collections::VecDeque;
use std::time::Duration;

use hashbrown::{HashMap, HashSet};
use oneloop::Time;

use super::reply::{OK, Outcome, Reply, Text};
use super::request::number;
use super::service::misuse;

/// A value. A command for one kind fails on the others.
enum Value {
    Text(Text),
    List(VecDeque<Text>),
    Set(HashSet<Text>),
    Hash(HashMap<Text, Text>),
}

/// One of the numbered databases. All sessions share it: one thread steps them, so it has no lock.
#[derive(Default)]
pub(crate) struct Database {
    /// The time of the step that runs commands.
    pub(crate) now: Time,
    /// The values, and when they expire; [`Time::UNBOUNDED`] is never.
    entries: HashMap<Text, (Value, Time)>,
}

impl Database {
    /// Runs a command on keys and texts.
    pub(crate) fn run(&mut self, typed: &[u8], name: &[u8], args: &[&[u8]]) -> Outcome {
        match (name, args) {
            (b"get", [key]) => self.text(key),
            (b"set", [key, value, options @ ..]) => self.set_if(key, value, options),
            (b"incr", [key]) => self.add(key, Some(1)),
            (b"decr", [key]) => self.add(key, Some(-1)),
            (b"incrby", [key, more]) => self.add(key, Some(number(more)?)),
            (b"decrby", [key, less]) => self.add(key, number(less)?.checked_neg()),
            (b"mget", keys @ [_, ..]) => {
                let texts = keys.iter().map(|key| self.text(key).unwrap_or(Reply::Nil));
                Ok(Reply::Array(texts.collect()))
            }
            (b"mset", pairs @ [_, ..]) if pairs.len() % 2 == 0 => {
                for &[key, value] in pairs.as_chunks().0 {
                    self.set(key, Value::Text(value.into()), Time::UNBOUNDED);
                }
                OK
            }
            (b"del", keys @ [_, ..]) => count(keys.iter().filter(|key| self.remove(key))),
            (b"exists", keys @ [_, ..]) => count(keys.iter().filter_map(|key| self.get(key))),
            (b"expire", [key, seconds]) => self.expire(key, number(seconds)?),
            (b"ttl", [key]) => Ok(Reply::Integer(match self.get(key) {
                None => -2,
                Some((_, Time::UNBOUNDED)) => -1,
                Some((_, expires)) => (expires.since(self.now).as_millis() as i64 + 500) / 1000,
            })),
            _ => self.run_on_collection(typed, name, args),
        }
    }

    /// Runs a command on a list, a set or a hash.
    fn run_on_collection(&mut self, typed: &[u8], name: &[u8], args: &[&[u8]]) -> Outcome {
        match (name, args) {
            (b"lpush" | b"rpush", [key, values @ ..]) if !values.is_empty() => {
                let Value::List(list) = self.get_or(key, new_list) else {
                    return WRONG_KIND;
                };
                let values = values.iter().map(|&value| value.into());
                match name {
                    b"lpush" => values.for_each(|value| list.push_front(value)),
                    _ => list.extend(values),
                }
                count(list.iter())
            }
            (b"lpop", [key]) => {
                let Value::List(list) = self.get_or(key, new_list) else {
                    return WRONG_KIND;
                };
                let popped = list.pop_front();
                if list.is_empty() {
                    self.remove(key);
                }
                Ok(text_or_nil(popped))
            }
            (b"lrange", [key, start, stop]) => self.range(key, number(start)?, number(stop)?),
            (b"sadd", [key, members @ ..]) if !members.is_empty() => {
                let Value::Set(set) = self.get_or(key, || Value::Set(<_>::default())) else {
                    return WRONG_KIND;
                };
                count(members.iter().filter(|&&member| set.insert(member.into())))
            }
            (b"hset", [key, pairs @ ..]) if !pairs.is_empty() && pairs.len() % 2 == 0 => {
                let Value::Hash(hash) = self.get_or(key, || Value::Hash(<_>::default())) else {
                    return WRONG_KIND;
                };
                let pairs = pairs.as_chunks().0.iter();
                let old = pairs.map(|&[field, value]| hash.insert(field.into(), value.into()));
                count(old.filter(Option::is_none))
            }
            (b"hget", [key, field]) => match self.get(key) {
                Some((Value::Hash(hash), _)) => Ok(text_or_nil(hash.get(*field).cloned())),
                Some(_) => WRONG_KIND,
                None => Ok(Reply::Nil),
            },
            _ => Err(misuse(typed, args)),
        }
    }

    fn text(&self, key: &[u8]) -> Outcome {
        match self.get(key) {
            Some((Value::Text(value), _)) => Ok(Reply::Text(value.clone())),
            Some(_) => WRONG_KIND,
            None => Ok(Reply::Nil),
        }
    }

    fn set_if(&mut self, key: &[u8], value: &[u8], options: &[&[u8]]) -> Outcome {
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
        self.set(key, Value::Text(value.into()), expires);
        OK
    }

    fn add(&mut self, key: &[u8], more: Option<i64>) -> Outcome {
        let more = more.ok_or("ERR decrement would overflow")?;
        let Value::Text(text) = self.get_or(key, || Value::Text(b"0"[..].into())) else {
            return WRONG_KIND;
        };
        let sum = number(text)?.checked_add(more);
        let sum = sum.ok_or("ERR increment or decrement would overflow")?;
        *text = itoa::Buffer::new().format(sum).as_bytes().into();
        Ok(Reply::Integer(sum))
    }

    fn expire(&mut self, key: &[u8], seconds: i64) -> Outcome {
        let millis = seconds.checked_mul(1000);
        let millis = millis.ok_or("ERR invalid expire time in 'expire' command")?;
        let expires = self.now + Duration::from_millis(millis.max(0) as u64);
        let entry = self.entries.get_mut(key).filter(|entry| entry.1 > self.now);
        count(entry.map(|entry| entry.1 = expires).iter())
    }

    fn range(&self, key: &[u8], start: i64, stop: i64) -> Outcome {
        let list = match self.get(key) {
            Some((Value::List(list), _)) => list,
            Some(_) => return WRONG_KIND,
            None => return Ok(Reply::Array(Vec::new())),
        };
        // Negative places count from the end.
        let length = list.len() as i64;
        let place = |at: i64| at + if at < 0 { length } else { 0 };
        let start = place(start).clamp(0, length);
        let end = place(stop).saturating_add(1).clamp(start, length);
        let texts = list.range(start as usize..end as usize);
        Ok(Reply::Array(texts.cloned().map(Reply::Text).collect()))
    }

    /// Returns the value of `key`, and when it expires. One that has expired counts as absent.
    fn get(&self, key: &[u8]) -> Option<&(Value, Time)> {
        self.entries.get(key).filter(|entry| entry.1 > self.now)
    }

    /// Returns the value of `key`, which becomes `default` if it is absent.
    fn get_or(&mut self, key: &[u8], default: fn() -> Value) -> &mut Value {
        let entry = self
            .entries
            .entry_ref(key)
            .or_insert_with(|| (default(), Time::UNBOUNDED));
        if entry.1 <= self.now {
            *entry = (default(), Time::UNBOUNDED);
        }
        &mut entry.0
    }

    fn set(&mut self, key: &[u8], value: Value, expires: Time) {
        self.entries.entry_ref(key).insert((value, expires));
    }

    /// Removes `key`. Returns true if it existed.
    fn remove(&mut self, key: &[u8]) -> bool {
        let removed = self.entries.remove(key);
        removed.is_some_and(|(_, expires)| expires > self.now)
    }

    /// Removes the keys that have expired.
    pub(crate) fn sweep(&mut self, now: Time) {
        self.entries.retain(|_, (_, expires)| *expires > now);
    }
}

fn new_list() -> Value {
    Value::List(VecDeque::new())
}

fn text_or_nil(text: Option<Text>) -> Reply {
    text.map_or(Reply::Nil, Reply::Text)
}

fn count(items: impl Iterator) -> Outcome {
    Ok(Reply::Integer(items.count() as i64))
}

const SYNTAX: &str = "ERR syntax error";
const WRONG_KIND: Outcome = Err(std::borrow::Cow::Borrowed(
    "WRONGTYPE Operation against a key holding the wrong kind of value",
));
