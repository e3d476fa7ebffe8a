//! The protocol of Redis: requests such as `*2\r\n$3\r\nGET\r\n$1\r\nk\r\n`, and replies.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;

use super::Encoded;
use super::encoded::Head;

/// Requests in the protocol of Redis (RESP): arrays of byte strings, or lines of words.
///
/// `*2\r\n$3\r\nGET\r\n$1\r\nk\r\n` and `GET k\n` are the same request. Words are separated by ASCII
/// whitespace. A request may have no words: an empty line, or a count of zero or less. A request has
/// at most 1,048,576 words, and a line at most 64 KiB, as in Redis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RespRequest {
    word_max: usize,
}

/// A reply in the protocol of Redis (RESP), or the beginning of a long one.
///
/// ```
/// use oneloop::Context;
/// use oneloop::framing::RespReply;
///
/// fn reply_with_all(words: &[&[u8]], cx: &mut Context<'_>) {
///     cx.write_parts(RespReply::Array(words.len()).encode().parts());
///     for word in words {
///         cx.write_parts(RespReply::Bulk(word).encode().parts());
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RespReply<'a> {
    /// The absence of a value.
    Nil,
    /// A short text. It ends before the first line break.
    Simple(&'a str),
    /// The text of an error, which begins with a word in capitals. It ends before the first line
    /// break.
    Error(&'a str),
    /// A number.
    Integer(i64),
    /// Any bytes.
    Bulk(&'a [u8]),
    /// The head of this many bytes, which follow, and CRLF behind them: for
    /// [`write_shared`](crate::Context::write_shared).
    BulkHead(usize),
    /// The head of an array: this many replies, which follow, are its elements.
    Array(usize),
}

impl<'a> RespReply<'a> {
    /// Encodes the reply.
    #[inline(always)] // most replies are constants
    #[must_use]
    pub fn encode(&self) -> Encoded<'a> {
        let (head, body) = match *self {
            Self::Nil => (Head::of(b"$-1"), &b""[..]),
            Self::Simple(text) => (Head::of(b"+"), first_line(text)),
            Self::Error(text) => (Head::of(b"-"), first_line(text)),
            Self::Integer(number) => (number_head(b":", number, b""), &b""[..]),
            Self::BulkHead(length) => (number_head(b"$", length as i64, b""), &b""[..]),
            Self::Array(length) => (number_head(b"*", length as i64, b""), &b""[..]),
            Self::Bulk(bytes) => (number_head(b"$", bytes.len() as i64, b"\r\n"), bytes),
        };
        Encoded::new(head, body, b"\r\n")
    }
}

#[inline(always)]
fn number_head(kind: &[u8; 1], number: i64, end: &[u8]) -> Head {
    let mut head = Head::of(end);
    head.push_digits_front(number.unsigned_abs());
    if number < 0 {
        head.push_front(b"-");
    }
    head.push_front(kind);
    head
}

/// Returns the text before the first line break.
#[inline(always)]
fn first_line(text: &str) -> &[u8] {
    // Inlined, for a literal it is a constant.
    let end = text.bytes().position(|byte| matches!(byte, b'\r' | b'\n'));
    &text.as_bytes()[..end.unwrap_or(text.len())]
}

/// The error of input that is no request. The text is the one that Redis sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RespError {
    /// The number of words is no integer, or too large.
    InvalidCount,
    /// The length of a word is no integer, negative or above the maximum.
    InvalidLength,
    /// This byte begins a word, instead of a dollar sign.
    InvalidByte(u8),
    /// The line is too long.
    LineTooLong,
}

impl fmt::Display for RespError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidCount => f.write_str("invalid multibulk length"),
            Self::InvalidLength => f.write_str("invalid bulk length"),
            Self::InvalidByte(byte) => write!(f, "expected '$', got '{}'", *byte as char),
            Self::LineTooLong => f.write_str("too big inline request"),
        }
    }
}

impl Error for RespError {}

/// The reason why there is no request.
enum Stop {
    /// At least so many bytes are missing.
    Incomplete(usize),
    Error(RespError),
}

/// A number, and the input behind its line.
type Number<'a> = Result<(i64, &'a [u8]), Stop>;

impl RespRequest {
    /// Creates a framing in which each word of an array has at most `word_max` bytes.
    #[must_use]
    pub const fn new(word_max: usize) -> Self {
        Self { word_max }
    }

    /// Calls `word` with each word of the first request of `input`, and returns its length: the bytes
    /// to consume. If it has not arrived whole, returns `None`; `word` may have been called.
    ///
    /// `awaited` becomes the least length of the input with which the request can be complete. A
    /// session stores it, beginning with 0, and may pass it to
    /// [`Context::raise_input_max`](crate::Context::raise_input_max). With less input, `first`
    /// returns `None` at once: a long request that arrives byte by byte is not parsed for each byte.
    ///
    /// ```
    /// use oneloop::framing::RespRequest;
    ///
    /// let (requests, input) = (RespRequest::new(1000), b"*2\r\n$4\r\nECHO\r\n$2\r\nhi\r\nPING\n");
    /// let (mut awaited, mut words) = (0, Vec::new());
    /// assert_eq!(requests.first(&input[..10], &mut awaited, |word| words.push(word)), Ok(None));
    /// assert_eq!(awaited, 20); // at least one empty word is missing
    /// words.clear();
    /// assert_eq!(requests.first(input, &mut awaited, |word| words.push(word)), Ok(Some(22)));
    /// assert_eq!(words, [&b"ECHO"[..], b"hi"]);
    /// ```
    ///
    /// # Errors
    /// If the input is no request. The error is final.
    #[inline]
    pub fn first<'a>(
        &self,
        input: &'a [u8],
        awaited: &mut usize,
        word: impl FnMut(&'a [u8]),
    ) -> Result<Option<usize>, RespError> {
        if input.len() < *awaited {
            return Ok(None);
        }
        let request = match input {
            [] => Err(Stop::Incomplete(1)),
            [b'*', ..] => self.array(input, word),
            _ => line(input, word),
        };
        match request {
            Ok(bytes) => {
                *awaited = 0;
                Ok(Some(bytes))
            }
            Err(Stop::Incomplete(missing)) => {
                *awaited = input.len() + missing;
                Ok(None)
            }
            Err(Stop::Error(error)) => Err(error),
        }
    }

    /// Returns a word in capitals, such as the name of a command: without a copy, if it is in capitals
    /// already, as most clients send it.
    #[inline]
    #[must_use]
    pub fn capitals(word: &[u8]) -> Cow<'_, [u8]> {
        match word.iter().any(u8::is_ascii_lowercase) {
            true => word.to_ascii_uppercase().into(),
            false => word.into(),
        }
    }

    /// Parses a word that is a number: decimal digits, without spaces, a plus sign or leading zeros,
    /// as Redis demands. Returns `None` if it is none, or does not fit.
    ///
    /// ```
    /// use oneloop::framing::RespRequest;
    ///
    /// assert_eq!(RespRequest::integer(b"-120"), Some(-120));
    /// assert_eq!(RespRequest::integer(b"+1"), None);
    /// ```
    #[must_use]
    pub fn integer(word: &[u8]) -> Option<i64> {
        let (digits, is_negative) = match word {
            b"0" => return Some(0),
            [b'-', digits @ ..] => (digits, true),
            digits => (digits, false),
        };
        let [b'1'..=b'9', ..] = digits else {
            return None;
        };
        // The least number has no positive counterpart.
        let negative = digits.iter().try_fold(0_i64, |number, digit| {
            let digit = digit.wrapping_sub(b'0');
            let shifted = number.checked_mul(10).filter(|_| digit < 10)?;
            shifted.checked_sub(i64::from(digit))
        })?;
        match is_negative {
            true => Some(negative),
            false => negative.checked_neg(),
        }
    }

    fn array<'a>(&self, input: &'a [u8], mut word: impl FnMut(&'a [u8])) -> Result<usize, Stop> {
        let (count, mut rest) = number(input, RespError::InvalidCount, 0)?;
        if count > WORDS_MAX {
            return Err(Stop::Error(RespError::InvalidCount));
        }
        for behind in (0..count).rev() {
            // The words behind this one take this much at least.
            let behind = behind as usize * b"$0\r\n\r\n".len();
            if let Some(&byte) = rest.first()
                && byte != b'$'
            {
                return Err(Stop::Error(RespError::InvalidByte(byte)));
            }
            let (length, text) = number(rest, RespError::InvalidLength, behind)?;
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            if length > self.word_max {
                return Err(Stop::Error(RespError::InvalidLength));
            }
            let end = length.saturating_add(b"\r\n".len());
            if text.len() < end {
                return Err(Stop::Incomplete(end - text.len() + behind));
            }
            word(&text[..length]);
            rest = &text[end..];
        }
        Ok(input.len() - rest.len())
    }
}

/// Reads a byte, a number and CRLF, behind which at least `behind` bytes follow.
#[inline(always)] // four times for each SET
fn number(input: &[u8], error: RespError, behind: usize) -> Number<'_> {
    match input {
        // Nearly every line: one digit, or two.
        [_, ones @ b'0'..=b'9', b'\r', _, rest @ ..] => Ok((i64::from(ones - b'0'), rest)),
        [
            _,
            tens @ b'1'..=b'9',
            ones @ b'0'..=b'9',
            b'\r',
            _,
            rest @ ..,
        ] => {
            let number = 10 * i64::from(tens - b'0') + i64::from(ones - b'0');
            Ok((number, rest))
        }
        _ => long_number(input, error, behind),
    }
}

#[inline(never)]
fn long_number(input: &[u8], error: RespError, behind: usize) -> Number<'_> {
    let line = &input[..input.len().min(NUMBER_LINE_MAX)];
    match line.iter().position(|&byte| byte == b'\r') {
        None if line.len() == NUMBER_LINE_MAX => Err(Stop::Error(error)),
        None => Err(Stop::Incomplete(2 + behind)),
        Some(end) if end + 1 == input.len() => Err(Stop::Incomplete(1 + behind)),
        Some(end) => match RespRequest::integer(&line[1..end]) {
            Some(number) => Ok((number, &input[end + 2..])),
            None => Err(Stop::Error(error)),
        },
    }
}

/// Splits a line into words.
#[cold]
fn line<'a>(input: &'a [u8], word: impl FnMut(&'a [u8])) -> Result<usize, Stop> {
    let window = &input[..input.len().min(LINE_MAX)];
    match memchr::memchr(b'\n', window) {
        None if window.len() == LINE_MAX => Err(Stop::Error(RespError::LineTooLong)),
        None => Err(Stop::Incomplete(1)),
        Some(end) => {
            let all = input[..end].split(u8::is_ascii_whitespace);
            all.filter(|word| !word.is_empty()).for_each(word);
            Ok(end + 1)
        }
    }
}

/// The most words of a request.
const WORDS_MAX: i64 = 1024 * 1024;
/// The longest line of words, with its end.
const LINE_MAX: usize = 64 * 1024;
/// The longest line of a number.
const NUMBER_LINE_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const REQUESTS: RespRequest = RespRequest::new(1000);

    /// Reads all requests of a stream that arrives in pieces, as a session does.
    fn read(stream: &[u8], piece: usize) -> (Vec<Vec<Vec<u8>>>, Option<RespError>) {
        let (mut start, mut awaited, mut requests) = (0, 0, Vec::new());
        let ends = (1..=stream.len()).filter(|&end| end % piece == 0 || end == stream.len());
        for end in ends {
            loop {
                let mut words = Vec::new();
                let input = &stream[start..end];
                match REQUESTS.first(input, &mut awaited, |word| words.push(word)) {
                    Ok(Some(bytes)) => {
                        requests.push(words.into_iter().map(<[u8]>::to_vec).collect());
                        start += bytes;
                    }
                    Ok(None) => {
                        assert!(awaited > input.len(), "more is awaited");
                        break;
                    }
                    Err(error) => return (requests, Some(error)),
                }
            }
        }
        (requests, None)
    }

    fn encode(words: &[Vec<u8>]) -> Vec<u8> {
        let mut request = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            request.extend(format!("${}\r\n", word.len()).bytes());
            request.extend(word);
            request.extend(b"\r\n");
        }
        request
    }

    proptest! {
        #[test]
        fn requests_in_any_pieces_are_those_that_were_encoded(
            requests in prop::collection::vec(
                prop::collection::vec(prop::collection::vec(any::<u8>(), 0..130), 0..5),
                0..5,
            ),
            piece in 1..200_usize,
        ) {
            let stream: Vec<u8> = requests.iter().flat_map(|words| encode(words)).collect();
            prop_assert_eq!(read(&stream, piece), (requests, None));
        }

        #[test]
        fn requests_of_any_stream_do_not_depend_on_its_pieces(
            stream in "[*$0-3a\\-\r\n ]{0,40}",
            piece in 1..40_usize,
        ) {
            let (whole, whole_error) = read(stream.as_bytes(), stream.len().max(1));
            let (requests, error) = read(stream.as_bytes(), piece);
            prop_assert_eq!(requests, whole);
            // In pieces it comes once as much has arrived as the request needs.
            prop_assert!(error == whole_error || error.is_none());
        }
    }

    #[test]
    fn long_request_byte_by_byte_is_parsed_few_times() {
        let input = encode(&vec![b"DEL".to_vec(); 100_000]);
        let (mut awaited, mut parses) = (0, 0);
        for length in 0..=input.len() {
            let (mut words, is_parsed) = (Vec::new(), length >= awaited);
            parses += usize::from(is_parsed);
            let request = REQUESTS.first(&input[..length], &mut awaited, |word| words.push(word));
            let expected = (length == input.len()).then_some(length);
            assert_eq!(request, Ok(expected));
        }
        assert!(parses < 100, "{parses} times");
    }

    #[test]
    fn input_against_the_protocol_is_refused_with_the_text_of_redis() {
        let refusals: [(&[u8], &str); 10] = [
            (b"*x\r\n", "invalid multibulk length"),
            (b"*1048577\r\n", "invalid multibulk length"),
            (b"*01\r\n", "invalid multibulk length"),
            (b"*1\r\n+PING\r\n", "expected '$', got '+'"),
            (b"*1\r\n$-1\r\n", "invalid bulk length"),
            (b"*1\r\n$x\r\n", "invalid bulk length"),
            (b"*1\r\n$+1\r\n", "invalid bulk length"),
            (b"*1\r\n$1001\r\n", "invalid bulk length"),
            (b"*1\r\n$99999999999999999999\r\n", "invalid bulk length"),
            (&[b'x'; 64 * 1024], "too big inline request"),
        ];
        for (input, text) in refusals {
            let (requests, error) = read(input, input.len());
            assert_eq!(error.map(|error| error.to_string()).as_deref(), Some(text));
            assert!(requests.is_empty());
        }
    }

    #[test]
    fn replies_are_encoded_as_redis_encodes_them() {
        for (reply, encoded) in [
            (RespReply::Nil, "$-1\r\n"),
            (RespReply::Simple("OK"), "+OK\r\n"),
            (RespReply::Error("ERR no\r\nnews"), "-ERR no\r\n"),
            (RespReply::Integer(0), ":0\r\n"),
            (RespReply::Integer(-10), ":-10\r\n"),
            (RespReply::Integer(9_000_000_109), ":9000000109\r\n"),
            (RespReply::Integer(i64::MIN), ":-9223372036854775808\r\n"),
            (RespReply::Bulk(b""), "$0\r\n\r\n"),
            (RespReply::Bulk(b"hello, all"), "$10\r\nhello, all\r\n"),
            (RespReply::BulkHead(1_000_000), "$1000000\r\n"),
            (RespReply::Array(2), "*2\r\n"),
        ] {
            let parts = reply.encode().parts().concat();
            assert_eq!(String::from_utf8_lossy(&parts), encoded);
        }
    }

    proptest! {
        #[test]
        fn any_integer_is_encoded_in_decimal_digits(number: i64) {
            let parts = RespReply::Integer(number).encode().parts().concat();
            prop_assert_eq!(parts, format!(":{number}\r\n").into_bytes());
        }
    }

    #[test]
    fn word_is_returned_in_capitals() {
        for (word, capitals, is_copy) in
            [("GET", "GET", false), ("gEt", "GET", true), ("", "", false)]
        {
            let found = RespRequest::capitals(word.as_bytes());
            assert_eq!(*found, *capitals.as_bytes());
            assert_eq!(matches!(found, Cow::Owned(_)), is_copy);
        }
    }

    #[test]
    fn integers_are_parsed_as_redis_parses_them() {
        for (text, number) in [
            ("0", Some(0)),
            ("-1", Some(-1)),
            ("120", Some(120)),
            ("9223372036854775807", Some(i64::MAX)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("9223372036854775808", None),
            ("-9223372036854775809", None),
            ("92233720368547758070", None),
        ] {
            assert_eq!(RespRequest::integer(text.as_bytes()), number, "{text}");
        }
        for text in [
            "", "-", "-0", "00", "01", "+1", " 1", "1 ", "1a", "1:", "1/", "0x1", "1.0", "1\u{b0}",
        ] {
            assert_eq!(RespRequest::integer(text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_integer_is_parsed_from_its_digits(number: i64) {
            prop_assert_eq!(RespRequest::integer(number.to_string().as_bytes()), Some(number));
        }
    }

    #[test]
    fn request_without_words_is_a_request() {
        let none: Vec<Vec<u8>> = Vec::new();
        let (requests, error) = read(b"*0\r\n*-1\r\n\r\n \n", 3);
        assert_eq!((requests, error), (vec![none; 4], None));
    }
}
