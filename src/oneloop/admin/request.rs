//! The head of a request.

use std::mem::MaybeUninit;

use super::answer::{End, Refusal};

/// The parts of a request on which its answer depends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Request<'a> {
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    /// What follows `?`, or an empty string.
    pub(super) query: &'a str,
    pub(super) body_bytes: usize,
    pub(super) version: Version,
    pub(super) end: End,
}

/// The version of HTTP that a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    Http10,
    /// It knows chunks.
    Http11,
}

impl<'a> Request<'a> {
    /// Parses a complete head.
    pub(super) fn parse(head: &'a [u8]) -> Result<Self, Refusal> {
        let mut fields = [const { MaybeUninit::uninit() }; FIELDS_MAX];
        let mut parsed = httparse::Request::new(&mut []);
        match parsed.parse_with_uninit_headers(head, &mut fields) {
            Ok(httparse::Status::Complete(_)) => {}
            Err(httparse::Error::TooManyHeaders) => return Err(Refusal::HEAD_TOO_LARGE),
            _ => return Err(Refusal::BAD_REQUEST),
        }
        let (version, end) = match parsed.version {
            Some(1) => (Version::Http11, End::KeepAlive),
            _ => (Version::Http10, End::Close),
        };
        let (path, query) = split(parsed.path.unwrap_or_default());
        let mut request = Self {
            method: parsed.method.unwrap_or_default(),
            path,
            query,
            body_bytes: 0,
            version,
            end,
        };
        let (mut hosts, mut lengths) = (0, 0);
        for field in parsed.headers {
            if field.name.eq_ignore_ascii_case("Host") {
                hosts += 1;
            } else if field.name.eq_ignore_ascii_case("Content-Length") {
                lengths += 1;
                request.body_bytes = number(field.value, BODY_BYTES_MAX)?;
            } else if field.name.eq_ignore_ascii_case("Transfer-Encoding") {
                return Err(Refusal::LENGTH_REQUIRED);
            } else if field.name.eq_ignore_ascii_case("Connection") && lists(field.value, "close") {
                request.end = End::Close;
            }
        }
        // RFC 9112, sections 3.2 and 6.3: otherwise a proxy and this server might disagree.
        if lengths > 1 || hosts > 1 || (hosts == 0 && version == Version::Http11) {
            return Err(Refusal::BAD_REQUEST);
        }
        Ok(request)
    }

    /// Returns the parameter `limit`; its default if there is no parameter, `None` if it is wrong.
    pub(super) fn limit(&self) -> Option<usize> {
        match self.query {
            "" => Some(LIMIT),
            query => number(query.strip_prefix("limit=")?.as_bytes(), usize::MAX).ok(),
        }
    }
}

/// Returns the path and the query of a target: `/a?b` and `http://host/a?b` both have `/a` and `b`.
fn split(target: &str) -> (&str, &str) {
    let path = target
        .strip_prefix("http://")
        .map_or(target, |rest| rest.find('/').map_or("/", |at| &rest[at..]));
    path.split_once('?').unwrap_or((path, ""))
}

/// Parses a number up to `most` that is digits and nothing else, without a sign.
fn number(value: &[u8], most: usize) -> Result<usize, Refusal> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(Refusal::BAD_REQUEST);
    }
    let digits = str::from_utf8(value).unwrap_or_default();
    let number = digits.parse().ok().filter(|&number| number <= most);
    number.ok_or(Refusal::CONTENT_TOO_LARGE)
}

/// Returns true if a list such as `close, upgrade` contains `option`.
fn lists(list: &[u8], option: &str) -> bool {
    let mut options = list.split(|&byte| byte == b',').map(<[u8]>::trim_ascii);
    options.any(|listed| listed.eq_ignore_ascii_case(option.as_bytes()))
}

/// The sessions that are listed unless the request has another number.
const LIMIT: usize = 100;

/// A head with more fields is answered with 431.
const FIELDS_MAX: usize = 32;

/// A longer body is answered with 413. No request needs one.
const BODY_BYTES_MAX: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(head: &str) -> Result<Request<'_>, Refusal> {
        Request::parse(head.as_bytes())
    }

    #[test]
    fn target_is_split_into_path_and_query() {
        for (target, expected) in [
            ("/sessions", ("/sessions", "")),
            ("/sessions?limit=3", ("/sessions", "limit=3")),
            ("http://host:1/a?b=c?d", ("/a", "b=c?d")),
            ("http://host", ("/", "")),
        ] {
            assert_eq!(split(target), expected, "{target}");
        }
    }

    #[test]
    fn old_version_or_field_closes_the_connection() {
        let end = |head| parse(head).map(|request| request.end);
        assert_eq!(end("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), Ok(End::KeepAlive));
        assert_eq!(end("GET / HTTP/1.0\r\n\r\n"), Ok(End::Close));
        let close = "GET / HTTP/1.1\r\nHost: x\r\nconnection: foo, Close\r\n\r\n";
        assert_eq!(end(close), Ok(End::Close));
    }

    #[test]
    fn limit_is_a_number_or_the_default() {
        let limit = |target: &str| {
            let head = format!("GET {target} HTTP/1.0\r\n\r\n");
            parse(&head).expect("a request").limit()
        };
        assert_eq!(limit("/sessions"), Some(100));
        assert_eq!(limit("/sessions?limit=7"), Some(7));
        for wrong in [
            "limit=",
            "limit=-1",
            "limit=x",
            "most=3",
            "limit=99999999999999999999",
        ] {
            assert_eq!(limit(&format!("/sessions?{wrong}")), None, "{wrong}");
        }
    }

    #[test]
    fn ambiguous_head_of_a_request_is_refused() {
        for (head, refusal) in [
            ("GET / HTTP/1.1\r\n\r\n", Refusal::BAD_REQUEST),
            (
                "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
                Refusal::BAD_REQUEST,
            ),
            (
                "GET / HTTP/1.0\r\nContent-Length: +1\r\n\r\n",
                Refusal::BAD_REQUEST,
            ),
            (
                "GET / HTTP/1.0\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
                Refusal::BAD_REQUEST,
            ),
            (
                "GET / HTTP/1.0\r\nContent-Length: 99999\r\n\r\n",
                Refusal::CONTENT_TOO_LARGE,
            ),
            (
                "GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
                Refusal::LENGTH_REQUIRED,
            ),
            ("GET /\r\n\r\n", Refusal::BAD_REQUEST),
        ] {
            assert_eq!(parse(head), Err(refusal), "{head}");
        }
        let fields = "A: b\r\n".repeat(FIELDS_MAX + 1);
        let head = format!("GET / HTTP/1.0\r\n{fields}\r\n");
        assert_eq!(parse(&head), Err(Refusal::HEAD_TOO_LARGE));
    }
}
