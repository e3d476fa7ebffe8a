//! The real network with faults that no real kernel produces on demand.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use oneloop::net::{
    BufferSizes, Connecting, Jobs, ListenAt, ListenOptions, Net, Os, Readiness, Token, WakeFn,
};
use oneloop::{Address, PeerAddress, Time};

/// The operating system's network, with the faults of a [`Plan`].
#[derive(Debug)]
pub(crate) struct Faulty {
    os: Os,
    plan: Shared,
}

#[derive(Debug, Default)]
pub(crate) struct Events {
    real: <Os as Net>::Events,
    /// Those that come besides.
    extra: Vec<Readiness>,
}

/// The faults; the test changes them while the reactor runs.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// Error numbers that the next accepts fail with.
    pub(crate) accepts: VecDeque<i32>,
    /// The error of every accept after those.
    pub(crate) all_accepts: Option<i32>,
    /// How long the next poll sleeps before a signal interrupts it.
    pub(crate) doze: Option<Duration>,
    /// How many registrations fail.
    pub(crate) registrations: usize,
    /// Whether each poll brings, for each connection there ever was, an event with every flag and
    /// one with none.
    pub(crate) replay: bool,
    tokens: Vec<Token>,
}

/// A plan that is shared with the test.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shared(Arc<Mutex<Plan>>);

impl Shared {
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Plan) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Makes a network that follows this plan.
    pub(crate) fn wrap(&self) -> impl FnOnce(Os) -> Faulty + Send + 'static {
        let plan = self.clone();
        move |os| Faulty { os, plan }
    }
}

impl Faulty {
    fn accept_fault(&self) -> Option<io::Error> {
        let fault = self
            .plan
            .change(|plan| plan.accepts.pop_front().or(plan.all_accepts));
        fault.map(io::Error::from_raw_os_error)
    }
}

impl Net for Faulty {
    type Stream = <Os as Net>::Stream;
    type Listener = <Os as Net>::Listener;
    type Events = Events;

    const SHORT_READ_DRAINS: bool = Os::SHORT_READ_DRAINS;
    const SHORT_WRITE_FILLS: bool = Os::SHORT_WRITE_FILLS;

    fn poll(&mut self, events: &mut Events, timeout: Option<Duration>) -> io::Result<()> {
        *events = Events::default();
        if let Some(doze) = self.plan.change(|plan| plan.doze.take()) {
            thread::sleep(doze);
            return Err(io::ErrorKind::Interrupted.into());
        }
        self.os.poll(&mut events.real, timeout)?;
        events.extra = self.plan.change(|plan| {
            let tokens = if plan.replay { &plan.tokens[..] } else { &[] };
            tokens.iter().copied().flat_map(every_and_no_flag).collect()
        });
        Ok(())
    }

    fn events(events: &Events) -> impl Iterator<Item = Readiness> {
        Os::events(&events.real).chain(events.extra.iter().copied())
    }

    fn ack_wake(&mut self) {
        self.os.ack_wake();
    }

    fn now(&mut self) -> Time {
        self.os.now()
    }

    fn seed(&mut self) -> u64 {
        self.os.seed()
    }

    fn waker(&mut self) -> WakeFn {
        self.os.waker()
    }

    fn start_workers(&mut self, jobs: &Jobs, name: &str, workers: usize) -> io::Result<()> {
        self.os.start_workers(jobs, name, workers)
    }

    fn stop_requested(&self) -> bool {
        self.os.stop_requested()
    }

    fn listen(
        &mut self,
        at: ListenAt,
        options: &ListenOptions,
        token: Token,
    ) -> io::Result<Self::Listener> {
        self.os.listen(at, options, token)
    }

    fn local_addr(&self, listener: &Self::Listener) -> Address {
        self.os.local_addr(listener)
    }

    fn accept(&mut self, listener: &Self::Listener) -> io::Result<(Self::Stream, PeerAddress)> {
        match self.accept_fault() {
            Some(fault) => Err(fault),
            None => self.os.accept(listener),
        }
    }

    fn stream_local_addr(&self, stream: &Self::Stream) -> Option<SocketAddr> {
        self.os.stream_local_addr(stream)
    }

    fn shed(&mut self, listener: &Self::Listener, message: &[u8]) -> io::Result<()> {
        self.os.shed(listener, message)
    }

    fn connect(
        &mut self,
        to: &Address,
        from: Option<IpAddr>,
        buffers: &BufferSizes,
    ) -> io::Result<Self::Stream> {
        self.os.connect(to, from, buffers)
    }

    fn finish_connect(&mut self, stream: &Self::Stream) -> io::Result<Connecting> {
        self.os.finish_connect(stream)
    }

    fn register(&mut self, stream: &mut Self::Stream, token: Token) -> io::Result<()> {
        self.plan.change(|plan| {
            plan.tokens.push(token);
            plan.registrations = match plan.registrations.checked_sub(1) {
                Some(left) => left,
                None => return Ok(()),
            };
            Err(io::Error::from_raw_os_error(ENOSPC))
        })?;
        self.os.register(stream, token)
    }

    fn read(&mut self, stream: &mut Self::Stream, buffer: &mut [u8]) -> io::Result<usize> {
        self.os.read(stream, buffer)
    }

    fn write(&mut self, stream: &mut Self::Stream, bytes: &[u8]) -> io::Result<usize> {
        self.os.write(stream, bytes)
    }

    fn write_vectored(
        &mut self,
        stream: &mut Self::Stream,
        slices: &[IoSlice<'_>],
    ) -> io::Result<usize> {
        self.os.write_vectored(stream, slices)
    }

    fn shutdown_write(&mut self, stream: &mut Self::Stream) -> io::Result<()> {
        self.os.shutdown_write(stream)
    }

    fn set_send_buffer(&mut self, stream: &Self::Stream, bytes: u32) -> io::Result<()> {
        self.os.set_send_buffer(stream, bytes)
    }

    fn take_error(&mut self, stream: &Self::Stream) -> Option<io::Error> {
        self.os.take_error(stream)
    }

    fn close(&mut self, stream: Self::Stream) {
        self.os.close(stream);
    }

    fn abort(&mut self, stream: Self::Stream) {
        self.os.abort(stream);
    }
}

fn every_and_no_flag(token: Token) -> [Readiness; 2] {
    [true, false].map(|flag| {
        let mut event = Readiness::of(token);
        (event.readable, event.writable, event.hup) = (flag, flag, flag);
        event
    })
}

/// epoll's error when a user has too many watches.
const ENOSPC: i32 = 28;
