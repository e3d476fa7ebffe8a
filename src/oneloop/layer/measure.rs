//! Measures of consumed input.

/// Measures input that a session has consumed in one step.
///
/// A function `Fn(&[u8]) -> u32` does.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not measure input",
    label = "a `Measure` is needed here",
    note = "use `Bytes` or `Lines`, or a function `Fn(&[u8]) -> u32`"
)]
pub trait Measure {
    /// Returns how many units `consumed` is. A session may consume one message in several steps.
    fn units(&self, consumed: &[u8]) -> u32;
}

/// Measures nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Nothing;

/// Measures bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bytes;

/// Measures lines: bytes `\n`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lines;

impl Measure for Nothing {
    #[inline]
    fn units(&self, _: &[u8]) -> u32 {
        0
    }
}

impl Measure for Bytes {
    #[inline]
    fn units(&self, consumed: &[u8]) -> u32 {
        consumed.len() as u32
    }
}

impl Measure for Lines {
    fn units(&self, consumed: &[u8]) -> u32 {
        consumed.iter().filter(|&&byte| byte == b'\n').count() as u32
    }
}

impl<F: Fn(&[u8]) -> u32> Measure for F {
    #[inline]
    fn units(&self, consumed: &[u8]) -> u32 {
        self(consumed)
    }
}
