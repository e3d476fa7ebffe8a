//! What a service manager is notified of: systemd's protocol (sd_notify(3)), without its library.
//!
//! Each message is one datagram to the socket that `NOTIFY_SOCKET` names, sent without blocking: a
//! service manager that does not read its socket must not stop the loop. The watchdog's pings come
//! from the loop itself, between two turns, so that a loop that is stuck sends none.

use std::env;
use std::io;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::{Duration, Instant};

use log::{debug, warn};
use nix::time::{ClockId, clock_gettime};

/// The service manager, if there is one.
pub(crate) struct Manager {
    state: State,
    /// Messages that could not be sent.
    failures: u64,
}

enum State {
    /// There is none, or another process answers to it now.
    Absent,
    Present(Link),
}

/// The way to the service manager.
struct Link {
    socket: UnixDatagram,
    address: SocketAddr,
    /// The interval of the pings that it waits for.
    watchdog: Option<Duration>,
    ping_at: Instant,
    status_at: Instant,
    phase: Phase,
}

/// The state of the service, as notified.
#[derive(Clone, Copy)]
enum Phase {
    Starting,
    Ready,
    /// The service ends by this time.
    Stopping(Instant),
}

impl Manager {
    /// Finds the service manager by the environment.
    ///
    /// A `successor` has the variables of its predecessor, so that it must not compare
    /// `WATCHDOG_PID` with its own process id.
    pub(crate) fn from_environment(successor: bool) -> Self {
        let state = match named().map(|name| Link::to(&name)) {
            None => State::Absent,
            Some(Ok(link)) => State::Present(link.with_watchdog(successor)),
            Some(Err(error)) => {
                warn!("cannot notify the service manager by NOTIFY_SOCKET: {error}");
                State::Absent
            }
        };
        Self { state, failures: 0 }
    }

    /// Returns `true` if there is a service manager.
    pub(crate) const fn is_present(&self) -> bool {
        matches!(self.state, State::Present(_))
    }

    /// Returns how many messages could not be sent.
    pub(crate) const fn failures(&self) -> u64 {
        self.failures
    }

    /// Reports that the service is ready: every socket is bound, or a reload is over.
    pub(crate) fn ready(&mut self) {
        self.enter(Phase::Ready);
        self.send("READY=1");
    }

    /// Reports that the configuration is being read again. [`ready`](Self::ready) ends it.
    pub(crate) fn reloading(&mut self) {
        // In one datagram: systemd requires both at once.
        if let Ok(now) = clock_gettime(ClockId::CLOCK_MONOTONIC) {
            let micros = Duration::from(now).as_micros();
            self.send(&format!("RELOADING=1\nMONOTONIC_USEC={micros}"));
        }
    }

    /// Reports that the service stops, within `most` at the latest.
    pub(crate) fn stopping(&mut self, most: Duration) {
        self.enter(Phase::Stopping(crate::after(most)));
        let extension = extension(most);
        self.send(&format!("STOPPING=1\n{extension}"));
    }

    /// Reports that another process is the service from now on. It sends the further messages.
    pub(crate) fn hand_over(&mut self, successor: u32) {
        self.send(&format!("MAINPID={successor}"));
        self.state = State::Absent;
    }

    /// Returns how long the loop may wait until [`tick`](Self::tick) has something to send.
    pub(crate) fn due_in(&self) -> Option<Duration> {
        let State::Present(link) = &self.state else {
            return None;
        };
        Some(link.due_at().saturating_duration_since(Instant::now()))
    }

    /// Sends what is due: a ping of the watchdog, and the status in words.
    pub(crate) fn tick(&mut self, status: impl FnOnce() -> String) {
        let State::Present(link) = &mut self.state else {
            return;
        };
        let now = Instant::now();
        if link.due_at() > now {
            return;
        }
        let mut message = Vec::new();
        if let Some(interval) = link.watchdog
            && link.ping_at <= now
        {
            link.ping_at = now + interval;
            message.push("WATCHDOG=1".to_owned());
        }
        if link.status_at <= now {
            link.status_at = now + STATUS_EVERY;
            message.push(format!("STATUS={}", status()));
            if let Phase::Stopping(until) = link.phase {
                message.push(extension(until.saturating_duration_since(now)));
            }
        }
        self.send(&message.join("\n"));
    }

    fn enter(&mut self, phase: Phase) {
        if let State::Present(link) = &mut self.state {
            link.phase = phase;
            link.status_at = Instant::now();
        }
    }

    fn send(&mut self, message: &str) {
        let State::Present(link) = &self.state else {
            return;
        };
        if let Err(error) = link.socket.send_to_addr(message.as_bytes(), &link.address) {
            self.failures += 1;
            debug!("cannot notify the service manager: {error}");
        }
    }
}

impl Link {
    fn to(name: &str) -> io::Result<Self> {
        let address = address(name)?;
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        let now = Instant::now();
        Ok(Self {
            socket,
            address,
            watchdog: None,
            ping_at: now,
            status_at: now + STATUS_EVERY,
            phase: Phase::Starting,
        })
    }

    fn with_watchdog(mut self, successor: bool) -> Self {
        let variable = |name| env::var(name).ok();
        let pid = variable("WATCHDOG_PID").filter(|_| !successor);
        let is_for_us = pid.is_none_or(|pid| pid == std::process::id().to_string());
        if is_for_us && let Some(interval) = ping_interval(variable("WATCHDOG_USEC").as_deref()) {
            self.watchdog = Some(interval);
        }
        self
    }

    fn due_at(&self) -> Instant {
        match self.watchdog {
            Some(_) => self.ping_at.min(self.status_at),
            None => self.status_at,
        }
    }
}

fn named() -> Option<String> {
    let name = env::var("NOTIFY_SOCKET").ok()?;
    (!name.is_empty()).then_some(name)
}

/// Returns half of the time in microseconds after which a service without a ping counts as stuck.
fn ping_interval(micros: Option<&str>) -> Option<Duration> {
    let micros: u64 = micros?.parse().ok()?;
    (micros > 0).then(|| Duration::from_micros(micros) / 2)
}

/// Returns the address of a name that begins with a slash, or, for one without a file, with `@`.
fn address(name: &str) -> io::Result<SocketAddr> {
    match name.as_bytes() {
        [b'/', ..] => SocketAddr::from_pathname(name),
        [b'@', name @ ..] => abstract_address(name),
        _ => Err(io::Error::new(
            io::ErrorKind::Unsupported,
            format!("{name} is neither a path nor an abstract name"),
        )),
    }
}

#[cfg(target_os = "linux")]
fn abstract_address(name: &[u8]) -> io::Result<SocketAddr> {
    <SocketAddr as std::os::linux::net::SocketAddrExt>::from_abstract_name(name)
}

#[cfg(not(target_os = "linux"))]
fn abstract_address(_: &[u8]) -> io::Result<SocketAddr> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Returns the request for as much more time, and a margin for the end of the process.
fn extension(most: Duration) -> String {
    let micros = most.saturating_add(MARGIN).as_micros();
    // systemd counts with 64 bits, and the greatest number means for ever.
    format!("EXTEND_TIMEOUT_USEC={}", micros.min(u128::from(u64::MAX)))
}

const STATUS_EVERY: Duration = Duration::from_secs(10);
const MARGIN: Duration = Duration::from_secs(15);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ping_interval_is_half_the_watchdogs() {
        assert_eq!(
            ping_interval(Some("3000000")),
            Some(Duration::from_millis(1500))
        );
        for none in [None, Some("0"), Some("soon"), Some("-1")] {
            assert_eq!(ping_interval(none), None);
        }
    }

    #[test]
    fn address_is_a_path_or_an_abstract_name() {
        let path = address("/run/notify").expect("a path");
        assert_eq!(path.as_pathname(), Some("/run/notify".as_ref()));
        assert!(address("vsock:2:1").is_err());
        #[cfg(target_os = "linux")]
        {
            use std::os::linux::net::SocketAddrExt;
            let name = address("@notify").expect("a name");
            assert_eq!(name.as_abstract_name(), Some(&b"notify"[..]));
        }
    }

    #[test]
    fn full_queue_is_counted_and_does_not_block() {
        let name = format!("@greet-{}-full", std::process::id());
        let manager = UnixDatagram::bind_addr(&address(&name).expect("a name"));
        let _manager = manager.expect("a free name");
        let mut manager = Manager {
            state: State::Present(Link::to(&name).expect("a name")),
            failures: 0,
        };
        // The kernel takes some ten of them.
        (0..100_000).for_each(|_| manager.ready());
        assert!(manager.failures() > 0);
    }
}
