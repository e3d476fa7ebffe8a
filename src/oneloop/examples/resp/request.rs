//! Requests: arrays of strings (`*2\r\n$3\r\nGET\r\n$1\r\nk\r\n`), or lines typed by a human.

use smallvec::SmallVec;

/// A command's name and arguments, where they are in the input: nothing is copied.
pub(crate) type Args<'a> = SmallVec<[&'a [u8]; 8]>;

/// The outcome of parsing: nothing if the input is incomplete, or the violation of the protocol.
pub(crate) type Parsed<T> = Result<Option<T>, String>;
type Range = std::ops::RangeInclusive<i64>;

/// Splits the request at the front of `input` into `args`. Returns its length, or `None` if it is
/// incomplete: then `awaited` becomes the least input with which it can be complete.
pub(crate) fn parse<'a>(
    input: &'a [u8],
    args: &mut Args<'a>,
    awaited: &mut usize,
    value_max: usize,
) -> Parsed<usize> {
    args.clear();
    *awaited = input.len() + 1;
    if input.first().is_some_and(|&byte| byte != b'*') {
        return parse_line(input, args);
    }
    let Some((expected, mut at)) = parse_number(input, "multibulk", i64::MIN..=ARGS_MAX)? else {
        return Ok(None);
    };
    for left in (0..expected.max(0) as usize).rev() {
        // The arguments behind this one take this much at least. So a client that sends a long
        // request byte by byte does not cause it to be parsed for each byte.
        let behind = left * b"$0\r\n\r\n".len();
        *awaited = input.len() + 1 + behind;
        if let Some(&other) = input.get(at).filter(|&&byte| byte != b'$') {
            return Err(format!("expected '$', got '{}'", other as char));
        }
        let Some((length, line)) = parse_number(&input[at..], "bulk", 0..=value_max as i64)? else {
            return Ok(None);
        };
        let start = at + line;
        at = start + length as usize + b"\r\n".len();
        if input.len() < at {
            *awaited = at + behind;
            return Ok(None);
        }
        args.push(&input[start..at - 2]);
    }
    Ok(Some(at))
}

/// Parses a letter, a number and CRLF. Returns the number and the length of the line.
#[inline(always)] // three times for each GET, with constants
fn parse_number(input: &[u8], what: &str, range: Range) -> Parsed<(i64, usize)> {
    let in_range = |number: Option<i64>, line| match number {
        Some(number) if range.contains(&number) => Ok(Some((number, line))),
        _ => Err(format!("invalid {what} length")),
    };
    match *input {
        // Nearly every line: one digit, or two.
        [_, ones @ b'0'..=b'9', b'\r', _, ..] => in_range(Some((ones - b'0').into()), 4),
        [_, tens @ b'1'..=b'9', ones @ b'0'..=b'9', b'\r', _, ..] => {
            let number = i64::from(tens - b'0') * 10 + i64::from(ones - b'0');
            in_range(Some(number), 5)
        }
        _ => match input
            .iter()
            .take(NUMBER_MAX)
            .position(|&byte| byte == b'\r')
        {
            Some(end) if end + 2 <= input.len() => in_range(integer(&input[1..end]), end + 2),
            None if input.len() >= NUMBER_MAX => in_range(None, 0),
            _ => Ok(None),
        },
    }
}

/// Splits a line into words.
fn parse_line<'a>(input: &'a [u8], args: &mut Args<'a>) -> Parsed<usize> {
    match memchr::memchr(b'\n', input) {
        None if input.len() < LINE_MAX => Ok(None),
        None => Err("too big inline request".to_owned()),
        Some(end) => {
            let words = input[..end].split(u8::is_ascii_whitespace);
            args.extend(words.filter(|word| !word.is_empty()));
            Ok(Some(end + 1))
        }
    }
}

/// Parses an integer as Redis does: without spaces, plus or leading zeros.
pub(crate) fn integer(text: &[u8]) -> Option<i64> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    if !matches!(digits, [b'1'..=b'9', ..]) {
        return (text == b"0").then_some(0);
    }
    // Negative numbers reach one further than positive ones.
    let negative = digits.iter().try_fold(0_i64, |number, digit| match digit {
        b'0'..=b'9' => number.checked_mul(10)?.checked_sub((digit - b'0').into()),
        _ => None,
    })?;
    negative.checked_mul(if text.len() > digits.len() { 1 } else { -1 })
}

/// Parses an integer argument.
pub(crate) fn number(text: &[u8]) -> Result<i64, &'static str> {
    integer(text).ok_or("ERR value is not an integer or out of range")
}

/// The longest line of words, and the most arguments, as in Redis.
const LINE_MAX: usize = 64 * 1024;
const ARGS_MAX: i64 = 1024 * 1024;
/// The longest line of a number.
const NUMBER_MAX: usize = 32;
