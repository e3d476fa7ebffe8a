//! The answers, as HTTP.

use crate::service::Context;

/// The end of an answer's head, which decides whether the connection is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    KeepAlive,
    Close,
}

/// The status of a request that is refused. Where the next request begins is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal(&'static str);

/// A complete answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer<'a> {
    /// The status, and further fields with line ends.
    pub(super) status: &'a str,
    pub(super) body: &'a str,
}

/// Whether an answer has its body, or only its head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    Whole,
    Head,
}

impl End {
    fn field(self) -> &'static str {
        match self {
            Self::KeepAlive => "",
            Self::Close => "Connection: close\r\n",
        }
    }
}

impl Refusal {
    pub(super) const BAD_REQUEST: Self = Self("400 Bad Request");
    pub(super) const LENGTH_REQUIRED: Self = Self("411 Length Required");
    pub(super) const CONTENT_TOO_LARGE: Self = Self("413 Content Too Large");
    pub(super) const HEAD_TOO_LARGE: Self = Self("431 Request Header Fields Too Large");

    pub(super) fn write(self, cx: &mut Context<'_>) {
        let answer = Answer {
            status: self.0,
            body: "",
        };
        answer.write(End::Close, Extent::Whole, cx);
    }
}

impl<'a> Answer<'a> {
    pub(super) const NOT_FOUND: Self = Self {
        status: "404 Not Found",
        body: "not found\n",
    };

    /// The answer to a method that a path does not have.
    pub(super) const ONLY_GET: Self = Self {
        status: "405 Method Not Allowed\r\nAllow: GET, HEAD",
        body: "only GET and HEAD\n",
    };

    pub(super) const fn ok(body: &'a str) -> Self {
        Self {
            status: "200 OK",
            body,
        }
    }

    pub(super) const fn unavailable(body: &'a str) -> Self {
        Self {
            status: "503 Service Unavailable",
            body,
        }
    }

    pub(super) fn write(&self, end: End, extent: Extent, cx: &mut Context<'_>) {
        let Self { status, body } = self;
        let (end, bytes) = (end.field(), body.len());
        cx.write_fmt(format_args!(
            "HTTP/1.1 {status}\r\nContent-Type: {TEXT}\r\nContent-Length: {bytes}\r\n\
             Cache-Control: no-store\r\n{end}\r\n"
        ));
        if extent == Extent::Whole {
            cx.write(body.as_bytes());
        }
    }
}

/// The answer to a connection for which there is no place.
pub(super) const FULL: &str =
    "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

const TEXT: &str = "text/plain; charset=utf-8";
