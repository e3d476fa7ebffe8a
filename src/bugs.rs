//! Mistakes made on purpose, one at a time, to prove that the simulation finds them.
//!
//! They exist only with the feature `deliberate-bugs`, which is for this crate's own tests. Without
//! it `is_planted` is a constant, and nothing is left of them in the program.

/// A mistake that somebody could make in the loop or in the greeting service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(
    missing_docs,
    reason = "the names say it, docs/testing.md explains them"
)]
pub enum Bug {
    ReadyListForgotten,
    AcceptRetryForgotten,
    ShortReadTrusted,
    SerialIgnored,
    DeadlineNotRefiled,
    AnsweredTwice,
    RestOfOutputLost,
    InterruptionEndsReading,
    OneAcceptPerEvent,
    NoLinger,
    AddressNotForgotten,
    DrainWithoutEnd,
    NoWriteDeadline,
    FlushedNotTold,
    ShedCountedTwice,
    RefusalNotForgotten,
    OfferedInputTooMuch,
    LastNameLost,
    MistakeCountedTwice,
    QuietGapSkipped,
    EventsLostInPanic,
}

impl Bug {
    /// All of them.
    pub const ALL: [Self; 21] = [
        Self::ReadyListForgotten,
        Self::AcceptRetryForgotten,
        Self::ShortReadTrusted,
        Self::SerialIgnored,
        Self::DeadlineNotRefiled,
        Self::AnsweredTwice,
        Self::RestOfOutputLost,
        Self::InterruptionEndsReading,
        Self::OneAcceptPerEvent,
        Self::NoLinger,
        Self::AddressNotForgotten,
        Self::DrainWithoutEnd,
        Self::NoWriteDeadline,
        Self::FlushedNotTold,
        Self::ShedCountedTwice,
        Self::RefusalNotForgotten,
        Self::OfferedInputTooMuch,
        Self::LastNameLost,
        Self::MistakeCountedTwice,
        Self::QuietGapSkipped,
        Self::EventsLostInPanic,
    ];
}

/// Whether this bug is in force.
#[cfg(not(feature = "deliberate-bugs"))]
#[inline(always)]
pub(crate) const fn is_planted(_: Bug) -> bool {
    false
}

/// Whether this bug is in force on this thread.
#[cfg(feature = "deliberate-bugs")]
pub(crate) fn is_planted(bug: Bug) -> bool {
    PLANTED.get() == Some(bug)
}

/// Puts a bug in force on this thread, or none.
#[cfg(feature = "deliberate-bugs")]
pub fn plant(bug: Option<Bug>) {
    PLANTED.set(bug);
}

#[cfg(feature = "deliberate-bugs")]
thread_local! {
    static PLANTED: std::cell::Cell<Option<Bug>> = const { std::cell::Cell::new(None) };
}
