//! The limits of a session.

/// The limits that hold for a session: see [`Context::limits`](super::Context::limits).
///
/// They are those of the loop, from `Limits`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionLimits {
    /// The most unread input, unless the session raises it.
    pub input_bytes_max: usize,
    /// The most to which [`Context::raise_input_max`](super::Context::raise_input_max) raises it.
    pub input_bytes_hard_max: usize,
    /// The output of a step from which [`Context::has_room`](super::Context::has_room) is false.
    pub output_bytes_mark: usize,
    /// The most output of a step: more ends the session.
    pub output_bytes_max: usize,
}
