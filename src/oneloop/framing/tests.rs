//! Properties of all framings: the frames do not depend on how a stream was cut, each byte is
//! searched a bounded number of times, and the encoder and the decoder agree.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::search::looked_at;
use super::*;

/// The framings as one type.
#[derive(Clone, Copy, Debug)]
enum Any {
    Delimited(Delimited),
    LengthField(LengthField, usize),
    Netstring(Netstring),
    HttpHead(HttpHead),
}

impl Any {
    fn first<'a>(
        &self,
        input: &'a [u8],
        scanned: &mut Scanned,
    ) -> Result<Option<Frame<'a>>, FramingError> {
        match self {
            Self::Delimited(framing) => framing.first(input, scanned),
            Self::LengthField(framing, _) => framing.first(input),
            Self::Netstring(framing) => framing.first(input),
            Self::HttpHead(framing) => framing.first(input, scanned),
        }
    }

    /// Encodes `body`, with as many bytes before the length field as the framing wants.
    fn encode(&self, body: &[u8]) -> Result<Vec<u8>, FramingError> {
        let (before, encoded) = match self {
            Self::Delimited(framing) => (0, framing.encode(body)?),
            Self::LengthField(framing, offset) => (*offset, framing.encode(body)?),
            Self::Netstring(framing) => (0, framing.encode(body)?),
            Self::HttpHead(_) => unreachable!("it has no encoder"),
        };
        let frame = [vec![b'#'; before], encoded.parts().concat()].concat();
        assert_eq!(frame.len(), before + encoded.bytes());
        Ok(frame)
    }

    fn frame_bytes_max(&self) -> usize {
        match self {
            Self::Delimited(framing) => framing.frame_bytes_max(),
            Self::LengthField(framing, _) => framing.frame_bytes_max(),
            Self::Netstring(framing) => framing.frame_bytes_max(),
            Self::HttpHead(framing) => framing.frame_bytes_max(),
        }
    }
}

/// All messages of a stream, and the error that ended it.
type Outcome = (Vec<Vec<u8>>, Option<FramingError>);

/// Reads a stream as a session does: from a buffer that grows by one piece at a time.
fn read(framing: &Any, pieces: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Outcome {
    let (mut unread, mut scanned) = (Vec::new(), Scanned::default());
    let mut messages = Vec::new();
    for piece in pieces {
        unread.extend_from_slice(piece.as_ref());
        loop {
            match framing.first(&unread, &mut scanned) {
                Ok(Some(frame)) => {
                    assert!(frame.bytes > 0 && frame.bytes <= framing.frame_bytes_max());
                    messages.push(frame.body.to_vec());
                    unread.drain(..frame.bytes);
                }
                Ok(None) => break,
                Err(error) => return (messages, Some(error)),
            }
        }
        assert!(
            unread.len() <= framing.frame_bytes_max(),
            "{framing:?} hoards"
        );
    }
    (messages, None)
}

const MAX: usize = 12;

fn length_field() -> impl Strategy<Value = Any> {
    let widths = select(vec![
        Width::U8,
        Width::U16Be,
        Width::U16Le,
        Width::U24Be,
        Width::U24Le,
        Width::U32Be,
        Width::U32Le,
        Width::Varint,
    ]);
    (widths, 0..3_usize, -3..6_i64).prop_map(|(width, offset, counted)| {
        let framing = LengthField::new(width, MAX).after(offset).counting(counted);
        Any::LengthField(framing, offset)
    })
}

fn encoder() -> impl Strategy<Value = Any> {
    let delimiters: [&[u8]; 5] = [b"\n", b"\r\n", b"aa", b"aba", b"\0"];
    let delimited = select(
        delimiters
            .map(|delimiter| Delimited::new(delimiter, MAX))
            .to_vec(),
    );
    prop_oneof![
        delimited.prop_map(Any::Delimited),
        Just(Any::Delimited(Delimited::lines(MAX))),
        length_field(),
        Just(Any::Netstring(Netstring::new(MAX))),
    ]
}

fn any() -> impl Strategy<Value = Any> {
    prop_oneof![encoder(), Just(Any::HttpHead(HttpHead::new(MAX)))]
}

/// Bytes that mean something to one of the framings, or nothing to any.
fn bytes(most: usize) -> impl Strategy<Value = Vec<u8>> {
    vec(
        select(b"aab\r\n\n0129:,\0\x01\x03\x80\xff".to_vec()),
        0..most,
    )
}

/// Whole frames, and noise.
fn stream(framing: Any) -> impl Strategy<Value = Vec<u8>> {
    let encoded = move |body: Vec<u8>| match framing {
        Any::HttpHead(_) => [body, b"\r\n\r\n".to_vec()].concat(),
        _ => framing.encode(&body).unwrap_or_default(),
    };
    let frames = vec(bytes(MAX + 1).prop_map(encoded), 0..5);
    (frames, bytes(30)).prop_map(|(frames, noise)| [frames.concat(), noise].concat())
}

proptest! {
    #[test]
    fn frames_of_any_chunking_are_those_of_the_whole_stream(
        (framing, stream) in any().prop_flat_map(|framing| (Just(framing), stream(framing))),
        cuts in vec(1..9_usize, 1..40),
    ) {
        let mut rest = &stream[..];
        let pieces = cuts.iter().cycle().map_while(|&length| {
            let (piece, after) = rest.split_at_checked(length).unwrap_or((rest, b""));
            rest = after;
            (!piece.is_empty()).then_some(piece)
        });
        let pieces: Vec<_> = pieces.collect();
        prop_assert_eq!(pieces.concat(), &stream[..]);
        prop_assert_eq!(read(&framing, pieces), read(&framing, [&stream]));
    }

    #[test]
    fn encoded_messages_are_decoded_again(
        framing in encoder(),
        bodies in vec(bytes(MAX + 4), 0..6),
    ) {
        let mut stream = Vec::new();
        let mut sent = Vec::new();
        for body in bodies {
            match framing.encode(&body) {
                Ok(frame) => {
                    stream.extend(frame);
                    sent.push(body);
                }
                Err(error) => {
                    let is_too_long = matches!(error, FramingError::TooLong { .. });
                    prop_assert_eq!(is_too_long, body.len() > MAX);
                }
            }
        }
        prop_assert_eq!(read(&framing, [&stream]), (sent, None));
    }

    #[test]
    fn line_frames_are_those_of_a_plain_reader(stream in bytes(60)) {
        let mut lines: Vec<_> = stream.split(|&byte| byte == b'\n').collect();
        let rest = lines.pop().expect("at least one part");
        let text = |line: &[u8]| line.strip_suffix(b"\r").unwrap_or(line).to_vec();
        let wanted: Vec<_> = lines.into_iter().map(text).collect();
        let whole = wanted.iter().take_while(|line| line.len() <= MAX).count();
        let is_too_long = whole < wanted.len() || text(rest).len() > MAX;
        let error = is_too_long.then(|| FramingError::longer_than(MAX));
        let framing = Any::Delimited(Delimited::lines(MAX));
        prop_assert_eq!(read(&framing, [&stream]), (wanted[..whole].to_vec(), error));
    }

    #[test]
    fn http_heads_end_at_the_first_empty_line(head in "[a:\r\n]{0,12}") {
        let lines = head.split_inclusive('\n');
        let is_empty = |line: &str| line == "\n" || line == "\r\n";
        let lengths = lines.scan(0, |sum, line| {
            *sum += line.len();
            Some((*sum, is_empty(line)))
        });
        let wanted = lengths.into_iter().find(|(_, is_empty)| *is_empty);
        let found = HttpHead::new(MAX + 1).first(head.as_bytes(), &mut Scanned::default());
        let found = found.expect("it is short").map(|frame| frame.bytes);
        prop_assert_eq!(found, wanted.map(|(bytes, _)| bytes));
    }
}

/// A message is searched once, and for each piece again as many bytes as a delimiter has.
#[test]
fn search_of_a_dripped_message_is_linear() {
    const LENGTH: usize = 100_000;
    let message = |ending: &str| ["x".repeat(LENGTH), ending.to_owned()].concat();
    for (framing, message, passes) in [
        (Any::Delimited(Delimited::lines(LENGTH)), message("\r\n"), 1),
        (
            Any::Delimited(Delimited::new(b"\r\n", LENGTH)),
            message("\r\n"),
            2,
        ),
        (
            Any::Delimited(Delimited::new(b"xxxy", LENGTH)),
            message("xxxy"),
            4,
        ),
        (
            Any::HttpHead(HttpHead::new(LENGTH + 4)),
            message("\n\r\n"),
            3,
        ),
    ] {
        let (mut unread, mut scanned) = (Vec::new(), Scanned::default());
        looked_at::take();
        let mut frames = 0;
        for byte in message.bytes() {
            unread.push(byte);
            frames += usize::from(framing.first(&unread, &mut scanned) != Ok(None));
        }
        assert_eq!(frames, 1, "{framing:?}");
        let looked_at = looked_at::take();
        assert!(
            looked_at >= LENGTH && looked_at <= passes * message.len(),
            "{framing:?} searched {looked_at} bytes"
        );
    }
}

#[test]
fn message_of_the_maximum_is_accepted_and_one_byte_more_refused() {
    let http = |bytes: usize| ["x".repeat(bytes - 4).as_bytes(), b"\r\n\r\n"].concat();
    let any_http = Any::HttpHead(HttpHead::new(MAX));
    assert_eq!(read(&any_http, [http(MAX)]), (vec![http(MAX)], None));
    let too_long = Some(FramingError::longer_than(MAX));
    assert_eq!(read(&any_http, [http(MAX + 1)]), (vec![], too_long));
    assert_eq!(read(&any_http, [b"x".repeat(MAX - 1)]), (vec![], None));
    assert_eq!(read(&any_http, [b"x".repeat(MAX)]), (vec![], too_long));

    let lines = Any::Delimited(Delimited::lines(2));
    let error = Some(FramingError::longer_than(2));
    assert_eq!(read(&lines, ["ab\r\nab\n\n"]).0, [&b"ab"[..], b"ab", b""]);
    assert_eq!(
        read(&lines, ["ab", "\r", "\n"]),
        (vec![b"ab".to_vec()], None)
    );
    for stream in ["abc", "ab\r\r", "abc\n", "ab\rc"] {
        assert_eq!(read(&lines, [stream]), (vec![], error), "{stream:?}");
    }
    assert_eq!(read(&lines, ["ab\r"]), (vec![], None));
}

#[test]
fn length_is_compared_after_the_adjustment() {
    let first = |framing: LengthField, input: &[u8]| {
        let frame = framing.first(input)?;
        Ok::<_, FramingError>(frame.map(|frame| frame.body.to_vec()))
    };
    let whole_frame = LengthField::new(Width::U16Be, 3).counting(2);
    assert_eq!(first(whole_frame, b"\0\x05abc"), Ok(Some(b"abc".to_vec())));
    let (length, max) = (4, 3);
    let too_long = Err(FramingError::TooLong { length, max });
    assert_eq!(first(whole_frame, b"\0\x06"), too_long);
    assert_eq!(
        first(whole_frame, b"\0\x01"),
        Err(FramingError::InvalidLength)
    );
    let checksum = LengthField::new(Width::U8, 3).counting(-2);
    assert_eq!(first(checksum, b"\x01a##"), Ok(Some(b"a##".to_vec())));
    assert_eq!(first(checksum, b"\x02"), too_long);
}

#[test]
fn no_length_is_cut_off() {
    let huge = LengthField::new(Width::Varint, usize::MAX);
    let largest = b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01";
    assert_eq!(huge.first(largest), Ok(None));
    assert_eq!(huge.first_bytes(largest), Ok(Some(usize::MAX)));
    let longer = [&[0xff; 9][..], b"\x02"].concat();
    assert_eq!(huge.first(&longer), Err(FramingError::InvalidLength));
    assert_eq!(huge.first(&[0x80; 9]), Ok(None));
    assert_eq!(huge.first(&[0x80; 10]), Err(FramingError::InvalidLength));
    let negative = LengthField::new(Width::Varint, usize::MAX).counting(i64::MIN);
    let (length, max) = (1 << 63, 7);
    let small = LengthField::new(Width::Varint, 7).counting(i64::MIN);
    assert_eq!(
        small.first(b"\0"),
        Err(FramingError::TooLong { length, max })
    );
    assert_eq!(negative.first(largest), Err(FramingError::InvalidLength));

    for (width, most) in [
        (Width::U8, 0xff),
        (Width::U16Le, 0xffff),
        (Width::U24Be, 0xff_ffff),
    ] {
        let framing = LengthField::new(width, usize::MAX).counting(1);
        let body = vec![0; most];
        assert!(framing.encode(&body[1..]).is_ok());
        let error = framing.encode(&body).map(|frame| frame.bytes());
        assert_eq!(error, Err(FramingError::InvalidLength), "{width:?}");
    }
}

#[test]
fn netstring_that_breaks_a_rule_is_refused_at_its_first_wrong_byte() {
    let netstrings = Netstring::new(200);
    let first = |input: &[u8]| {
        netstrings
            .first(input)
            .map(|frame| frame.map(|frame| frame.bytes))
    };
    assert_eq!(first(b"0:,"), Ok(Some(3)));
    assert_eq!(first(b"3:a,c,"), Ok(Some(6)));
    assert_eq!(first(b"200:"), Ok(None));
    for (input, byte) in [
        (&b"a"[..], b'a'),
        (b":", b':'),
        (b"00", b'0'),
        (b"01:", b'1'),
        (b"1 ", b' '),
        (b"1:ab", b'b'),
    ] {
        assert_eq!(first(input), Err(FramingError::InvalidByte(byte)));
    }
    let too_long = |length| FramingError::TooLong { length, max: 200 };
    assert_eq!(first(b"201"), Err(too_long(201)));
    assert_eq!(first(b"99999999999999999999999"), Err(too_long(999)));
}

#[test]
fn empty_lines_before_an_http_head_are_frames_without_body() {
    let heads = read(
        &Any::HttpHead(HttpHead::new(30)),
        ["\r\n\nGET / HTTP/1.1\r\nA: b\r\n", "\r\n", "\n"],
    );
    let head = b"GET / HTTP/1.1\r\nA: b\r\n\r\n";
    assert_eq!(heads.0, [&b""[..], b"", head, b""]);
}

#[test]
fn errors_name_the_length_and_the_maximum() {
    let text = FramingError::longer_than(7).to_string();
    assert_eq!(text, "a message of 8 bytes or more, at most 7 are allowed");
    assert_eq!(
        FramingError::InvalidByte(b'x').to_string(),
        "unexpected byte 'x'"
    );
}

#[test]
#[should_panic(expected = "a delimiter has at least one byte")]
fn empty_delimiter_panics() {
    let _ = Delimited::new(b"", 1);
}
