//! Calls into two parts of a composed service, one of which may panic.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// A panic that was caught.
pub(super) type Panic = Box<dyn Any + Send>;

/// Runs `call`. The caller resumes a panic, and until then only returns sessions.
pub(super) fn catch<T>(call: impl FnOnce() -> T) -> Result<T, Panic> {
    catch_unwind(AssertUnwindSafe(call))
}

/// Resumes a panic.
pub(super) fn resume(panic: Panic) -> ! {
    resume_unwind(panic)
}

/// Runs `first` and then `second`, also if `first` panics: each part of a composed service gets its
/// calls, although another part fails.
pub(super) fn in_spite_of<C>(cx: &mut C, first: impl FnOnce(&mut C), second: impl FnOnce(&mut C)) {
    let outcome = catch(|| first(cx));
    second(cx);
    if let Err(panic) = outcome {
        resume(panic);
    }
}
