//! Messages behind their length.

use super::encoded::Head;
use super::{Encoded, Frame, FramingError, check_length};

/// Messages behind a field with their length.
///
/// ```
/// use oneloop::framing::{LengthField, Width};
///
/// // A type of one byte, a length of three that counts the type and itself, the body.
/// const RECORDS: LengthField = LengthField::new(Width::U24Be, 1000).after(1).counting(4);
///
/// let input = b"T\0\0\x09hello\x01";
/// let record = RECORDS.first(input).unwrap().unwrap();
/// assert_eq!((record.head[0], record.body, record.bytes), (b'T', &b"hello"[..], 9));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LengthField {
    width: Width,
    offset: usize,
    counted: i64,
    max: usize,
}

/// The width of a length field and the order of its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Width {
    /// One byte.
    U8,
    /// Two bytes, the high one first.
    U16Be,
    /// Two bytes, the low one first.
    U16Le,
    /// Three bytes, the highest first.
    U24Be,
    /// Three bytes, the lowest first.
    U24Le,
    /// Four bytes, the highest first.
    U32Be,
    /// Four bytes, the lowest first.
    U32Le,
    /// One to ten bytes with seven bits each, the lowest first, as in Protocol Buffers (LEB128).
    /// All but the last have their top bit set.
    Varint,
}

/// A decoded length field.
struct Field {
    value: u64,
    bytes: usize,
}

impl LengthField {
    /// Creates a framing in which each message has at most `max` bytes, without its head. The
    /// length field comes first and counts the bytes behind it.
    #[must_use]
    pub const fn new(width: Width, max: usize) -> Self {
        Self {
            width,
            offset: 0,
            counted: 0,
            max,
        }
    }

    /// Sets the number of bytes before the length field. Default 0.
    ///
    /// They are part of [`Frame::head`]. To send a frame, write them before the encoded one.
    #[must_use]
    pub const fn after(self, offset: usize) -> Self {
        Self { offset, ..self }
    }

    /// Sets the number of bytes that the length counts besides the body. Default 0.
    ///
    /// It is the length of the whole head if the length is that of the whole frame. It is negative
    /// if the length does not count all of the body.
    #[must_use]
    pub const fn counting(self, bytes: i64) -> Self {
        Self {
            counted: bytes,
            ..self
        }
    }

    /// Returns the first complete message of `input`, or `None` if it has not arrived.
    ///
    /// # Errors
    /// [`FramingError::TooLong`] for a body above the maximum, [`FramingError::InvalidLength`] for
    /// a length that cannot be one. Both come as soon as the length field has arrived.
    #[inline]
    pub fn first<'a>(&self, input: &'a [u8]) -> Result<Option<Frame<'a>>, FramingError> {
        let Some((head, body)) = self.lengths(input)? else {
            return Ok(None);
        };
        let bytes = head.saturating_add(body);
        Ok(input.get(..bytes).map(|frame| {
            let (head, body) = frame.split_at(head);
            Frame { head, body, bytes }
        }))
    }

    /// Returns the length of the first frame, with its head, or `None` if its length field has not
    /// arrived. It is known before the frame is complete.
    ///
    /// # Errors
    /// As [`first`](Self::first).
    #[inline]
    pub fn first_bytes(&self, input: &[u8]) -> Result<Option<usize>, FramingError> {
        let lengths = self.lengths(input)?;
        Ok(lengths.map(|(head, body)| head.saturating_add(body)))
    }

    /// Encodes `body` as a frame, from its length field on: the bytes [`before`](Self::after) it
    /// are the caller's.
    ///
    /// # Errors
    /// [`FramingError::TooLong`] above the maximum, [`FramingError::InvalidLength`] if the length
    /// does not fit the field.
    #[inline]
    pub fn encode<'a>(&self, body: &'a [u8]) -> Result<Encoded<'a>, FramingError> {
        check_length(body.len(), self.max)?;
        let value = body.len() as i128 + i128::from(self.counted);
        let value = u64::try_from(value).map_err(|_| FramingError::InvalidLength)?;
        let head = self.width.encode(value);
        Ok(Encoded::new(
            head.ok_or(FramingError::InvalidLength)?,
            body,
            b"",
        ))
    }

    /// Returns the length of the longest frame, with its head.
    #[must_use]
    pub const fn frame_bytes_max(&self) -> usize {
        let head = self.offset.saturating_add(self.width.bytes_max());
        self.max.saturating_add(head)
    }

    /// Returns the lengths of the head and of the body.
    #[inline]
    fn lengths(&self, input: &[u8]) -> Result<Option<(usize, usize)>, FramingError> {
        let Some(field) = input.get(self.offset..) else {
            return Ok(None);
        };
        let Some(Field { value, bytes }) = self.width.decode(field)? else {
            return Ok(None);
        };
        // The maximum is that of the body: no sum is cut off, nothing is compared before it.
        let length = i128::from(value) - i128::from(self.counted);
        let length = u64::try_from(length).map_err(|_| FramingError::InvalidLength)?;
        match usize::try_from(length) {
            Ok(body) if body <= self.max => Ok(Some((self.offset + bytes, body))),
            _ => Err(FramingError::TooLong {
                length,
                max: self.max,
            }),
        }
    }
}

impl Width {
    /// Decodes the field at the front of `input`, or returns `None` if it is incomplete.
    #[inline]
    fn decode(self, input: &[u8]) -> Result<Option<Field>, FramingError> {
        if self == Self::Varint {
            return decode_varint(input);
        }
        let bytes = self.bytes_max();
        let Some(field) = input.get(..bytes) else {
            return Ok(None);
        };
        let value = match self.is_big_endian() {
            true => field
                .iter()
                .fold(0, |value, &byte| value << 8 | u64::from(byte)),
            false => field
                .iter()
                .rfold(0, |value, &byte| value << 8 | u64::from(byte)),
        };
        Ok(Some(Field { value, bytes }))
    }

    /// Encodes a value, or returns `None` if it does not fit.
    #[inline]
    fn encode(self, value: u64) -> Option<Head> {
        if self == Self::Varint {
            return Some(encode_varint(value));
        }
        let bytes = self.bytes_max();
        if value >> (8 * bytes) != 0 {
            return None;
        }
        Some(match self.is_big_endian() {
            true => Head::of(&value.to_be_bytes()[8 - bytes..]),
            false => Head::of(&value.to_le_bytes()[..bytes]),
        })
    }

    const fn bytes_max(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::U16Be | Self::U16Le => 2,
            Self::U24Be | Self::U24Le => 3,
            Self::U32Be | Self::U32Le => 4,
            Self::Varint => VARINT_BYTES_MAX,
        }
    }

    const fn is_big_endian(self) -> bool {
        matches!(self, Self::U8 | Self::U16Be | Self::U24Be | Self::U32Be)
    }
}

#[inline]
fn decode_varint(input: &[u8]) -> Result<Option<Field>, FramingError> {
    let mut value = 0_u64;
    for (number, &byte) in input.iter().take(VARINT_BYTES_MAX).enumerate() {
        let bits = u64::from(byte & 0x7f);
        let shifted = bits << (7 * number);
        if shifted >> (7 * number) != bits {
            return Err(FramingError::InvalidLength);
        }
        value |= shifted;
        if byte & 0x80 == 0 {
            let bytes = number + 1;
            return Ok(Some(Field { value, bytes }));
        }
    }
    match input.len() < VARINT_BYTES_MAX {
        true => Ok(None),
        false => Err(FramingError::InvalidLength),
    }
}

#[inline]
fn encode_varint(mut value: u64) -> Head {
    let (mut bytes, mut last) = ([0; VARINT_BYTES_MAX], 0);
    while value >= 0x80 {
        bytes[last] = value as u8 | 0x80;
        value >>= 7;
        last += 1;
    }
    bytes[last] = value as u8;
    Head::of(&bytes[..=last])
}

/// 64 bits, seven in each byte.
const VARINT_BYTES_MAX: usize = 10;
