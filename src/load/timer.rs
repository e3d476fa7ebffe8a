//! Waking the loop at a finer time than mio's whole milliseconds.

use std::io;
use std::time::Duration;

use oneloop::{Reactor, Service};

/// A timer that wakes the loop. Where there is no `timerfd`, there is none, and the loop's own
/// milliseconds must do; the report shows how late that is.
#[derive(Debug)]
pub(crate) struct Timer {
    #[cfg(target_os = "linux")]
    timer: nix::sys::timerfd::TimerFd,
}

#[cfg(target_os = "linux")]
impl Timer {
    /// Returns a timer for a loop, which must not outlive it.
    pub(crate) fn new(reactor: &Reactor<impl Service>) -> io::Result<Self> {
        use nix::sys::timerfd::{ClockId, TimerFd, TimerFlags};
        let timer = TimerFd::new(
            ClockId::CLOCK_MONOTONIC,
            TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC,
        )?;
        reactor.watch_descriptors()?.readable(&timer)?;
        Ok(Self { timer })
    }

    /// Wakes the loop after `delay`, and not when it was to do so before.
    pub(crate) fn set(&self, delay: Duration) -> io::Result<()> {
        use nix::sys::timerfd::{Expiration, TimerSetTimeFlags};
        // Zero would mean never.
        let delay = delay.max(Duration::from_nanos(1));
        self.timer.set(
            Expiration::OneShot(delay.into()),
            TimerSetTimeFlags::empty(),
        )?;
        Ok(())
    }
}

#[cfg(not(target_os = "linux"))]
impl Timer {
    pub(crate) fn new(_: &Reactor<impl Service>) -> io::Result<Self> {
        Ok(Self {})
    }

    pub(crate) fn set(&self, _: Duration) -> io::Result<()> {
        Ok(())
    }
}
