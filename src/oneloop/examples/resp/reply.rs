//! Replies, and how they are written.

use std::borrow::Cow;

use oneloop::Context;

/// The reply to a command, or the text of an error.
pub(crate) type Outcome<'d> = Result<Reply<'d>, Cow<'static, str>>;

/// A reply, which may borrow from the data.
pub(crate) enum Reply<'d> {
    Nil,
    Simple(&'static str),
    Integer(i64),
    Text(Cow<'d, [u8]>),
    Array(Vec<Self>),
    Error(Cow<'static, str>),
    /// Several replies to one command, or none.
    Several(Vec<Self>),
}

pub(crate) const OK: Outcome<'static> = Ok(Reply::Simple("OK"));

impl<'d> Reply<'d> {
    pub(crate) fn text(text: &'d [u8]) -> Self {
        Self::Text(Cow::Borrowed(text))
    }

    pub(crate) fn copy(text: &[u8]) -> Self {
        Self::Text(Cow::Owned(text.to_vec()))
    }

    pub(crate) fn write(&self, cx: &mut Context<'_>) {
        match self {
            Self::Nil => cx.write(b"$-1\r\n"),
            Self::Simple(text) => cx.write_parts([b"+", text.as_bytes(), b"\r\n"]),
            Self::Integer(number) => write_number(b":", *number, cx),
            Self::Text(text) => {
                write_number(b"$", text.len() as i64, cx);
                cx.write_parts([text, b"\r\n"]);
            }
            Self::Array(items) => {
                write_number(b"*", items.len() as i64, cx);
                items.iter().for_each(|item| item.write(cx));
            }
            Self::Error(text) => {
                let line = text.replace(['\r', '\n'], " ");
                cx.write_parts([b"-", line.as_bytes(), b"\r\n"]);
            }
            Self::Several(replies) => replies.iter().for_each(|reply| reply.write(cx)),
        }
    }
}

fn write_number(kind: &[u8; 1], number: i64, cx: &mut Context<'_>) {
    let mut digits = itoa::Buffer::new();
    cx.write_parts([kind, digits.format(number).as_bytes(), b"\r\n"]);
}
