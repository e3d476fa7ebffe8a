//! The answers, as HTTP.

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
    status: &'a str,
    content_type: &'a str,
    body: &'a str,
}

/// Whether an answer has its body, or only its head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    Whole,
    Head,
}

impl End {
    pub(super) fn field(self) -> &'static str {
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

    pub(super) fn text(self) -> String {
        let answer = Answer::new(self.0, "");
        answer.text(End::Close, Extent::Whole)
    }
}

impl<'a> Answer<'a> {
    pub(super) const NOT_FOUND: Self = Self::new("404 Not Found", "not found\n");
    pub(super) const NO_SESSION: Self = Self::new("404 Not Found", "no session has this number\n");
    pub(super) const BAD_LIMIT: Self =
        Self::new("400 Bad Request", "expected /sessions?limit=NUMBER\n");
    pub(super) const FORBIDDEN: Self = Self::new(
        "403 Forbidden",
        "changes are accepted on a Unix-domain socket alone\n",
    );
    pub(super) const ONLY_GET: Self = Self::new(
        "405 Method Not Allowed\r\nAllow: GET, HEAD",
        "only GET and HEAD\n",
    );
    pub(super) const ONLY_POST: Self =
        Self::new("405 Method Not Allowed\r\nAllow: POST", "only POST\n");

    pub(super) const fn ok(body: &'a str) -> Self {
        Self::new("200 OK", body)
    }

    pub(super) const fn unavailable(body: &'a str) -> Self {
        Self::new("503 Service Unavailable", body)
    }

    pub(super) const fn metrics(text: &'a str) -> Self {
        Self {
            content_type: "text/plain; version=0.0.4; charset=utf-8",
            ..Self::ok(text)
        }
    }

    const fn new(status: &'a str, body: &'a str) -> Self {
        Self {
            status,
            content_type: TEXT,
            body,
        }
    }

    /// Returns the answer as it is sent.
    pub(super) fn text(&self, end: End, extent: Extent) -> String {
        let Self {
            status,
            content_type,
            body,
        } = self;
        let (end, bytes) = (end.field(), body.len());
        let sent = match extent {
            Extent::Whole => body,
            Extent::Head => "",
        };
        format!(
            "HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {bytes}\r\n\
             Cache-Control: no-store\r\n{end}\r\n{sent}"
        )
    }
}

/// The answer to a connection for which there is no place.
pub(super) const FULL: &str =
    "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// The type of a text.
pub(super) const TEXT: &str = "text/plain; charset=utf-8";
