//! Measures of consumed input.

/// Measures input that a session has consumed in one step.
///
/// A function `Fn(&[u8]) -> u64` does.
pub trait Measure {
    /// Returns how many units `consumed` is. A session may consume one message in several steps.
    fn units(&self, consumed: &[u8]) -> u64;
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
    fn units(&self, _: &[u8]) -> u64 {
        0
    }
}

impl Measure for Bytes {
    #[inline]
    fn units(&self, consumed: &[u8]) -> u64 {
        consumed.len() as u64
    }
}

impl Measure for Lines {
    fn units(&self, consumed: &[u8]) -> u64 {
        consumed.iter().filter(|&&byte| byte == b'\n').count() as u64
    }
}

impl<F: Fn(&[u8]) -> u64> Measure for F {
    #[inline]
    fn units(&self, consumed: &[u8]) -> u64 {
        self(consumed)
    }
}
