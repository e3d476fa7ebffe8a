//! Replies, and how they are written.

use std::borrow::Cow;
use std::sync::Arc;

use oneloop::Context;

/// A string of any bytes. A reply shares it with the data: it is never copied.
pub(crate) type Text = Arc<[u8]>;
/// The reply to a command, or the text of an error.
pub(crate) type Outcome = Result<Reply, Cow<'static, str>>;

pub(crate) enum Reply {
    Nil,
    Simple(&'static str),
    Integer(i64),
    Text(Text),
    Array(Vec<Self>),
    /// Several replies to one command.
    Several(Vec<Self>),
    Error(Cow<'static, str>),
}

pub(crate) const OK: Outcome = Ok(Reply::Simple("OK"));

impl Reply {
    pub(crate) fn text(text: &[u8]) -> Self {
        Self::Text(text.into())
    }

    pub(crate) fn write(self, cx: &mut Context<'_>) {
        match self {
            Self::Nil => cx.write(b"$-1\r\n"),
            Self::Simple(text) => cx.write_parts([b"+", text.as_bytes(), b"\r\n"]),
            Self::Integer(number) => write_number(b":", number, cx),
            Self::Text(text) => {
                let mut digits = itoa::Buffer::new();
                let length = digits.format(text.len()).as_bytes();
                if text.len() < SHARED_AT_LEAST {
                    return cx.write_parts([b"$", length, b"\r\n", &text, b"\r\n"]);
                }
                cx.write_parts([b"$", length, b"\r\n"]);
                cx.write_shared(text.into());
                cx.write(b"\r\n");
            }
            Self::Array(items) => {
                write_number(b"*", items.len() as i64, cx);
                items.into_iter().for_each(|item| item.write(cx));
            }
            Self::Several(replies) => replies.into_iter().for_each(|reply| reply.write(cx)),
            Self::Error(text) => {
                let line = text.replace(['\r', '\n'], " ");
                cx.write_parts([b"-", line.as_bytes(), b"\r\n"]);
            }
        }
    }
}

fn write_number(kind: &[u8; 1], number: i64, cx: &mut Context<'_>) {
    let mut digits = itoa::Buffer::new();
    cx.write_parts([kind, digits.format(number).as_bytes(), b"\r\n"]);
}

/// For less, one copy costs less than a reference.
const SHARED_AT_LEAST: usize = 256;
