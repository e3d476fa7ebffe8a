//! A network in memory with a virtual clock.
//!
//! One seed determines all events, so a failure is reproducible. Time jumps to the next scheduled
//! event.
//!
//! The poller is edge-triggered like epoll; [`Faults`] add the irregularities that kernels allow.
//! Each connection has a [`LinkProfile`]: latency, bandwidth and bounded buffers. It can be half
//! closed, reset, or made unreachable.

use std::cell::RefCell;
use std::fmt;
use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::connection::EndpointId;
use super::poller::Trigger;
use super::workers::Deed;
use super::world::{Stop, World};
use oneloop::net::{
    BufferSizes, Connecting, Jobs, ListenAt, ListenOptions, Net, Readiness, Token, WakeFn,
};
use oneloop::{Address, PeerAddress, Time};

use super::unix;
use super::{CallCounts, Client, Faults, LinkProfile, Observer, Rng, Script};

/// A handle to a simulated network. The loop runs on one, and the test controls it with another.
///
/// `SHORT_READ_DRAINS` selects the poller: like epoll and kqueue (the default), or, if false, like
/// Windows, where new input raises an event only after a read returned `WouldBlock`.
pub struct Network<const SHORT_READ_DRAINS: bool = true> {
    world: Rc<RefCell<World>>,
}

/// A simulated listening socket. Dropping it closes it and resets the queued connections.
#[derive(Debug)]
pub struct Listener {
    world: Rc<RefCell<World>>,
    index: usize,
}

/// The loop's endpoint of a simulated connection. Dropping it closes it.
#[derive(Debug)]
pub struct Stream {
    world: Rc<RefCell<World>>,
    at: EndpointId,
}

impl<const SHORT_READ_DRAINS: bool> Network<SHORT_READ_DRAINS> {
    /// Creates a network without faults.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self::with_rng(Rng::new(seed))
    }

    /// Creates a network with the given random number generator.
    #[must_use]
    pub fn with_rng(rng: Rng) -> Self {
        let trigger = match SHORT_READ_DRAINS {
            true => Trigger::Edge,
            false => Trigger::RearmOnWouldBlock,
        };
        Self {
            world: Rc::new(RefCell::new(World::new(rng, trigger))),
        }
    }

    /// Advances the clock, as if a step of the service had taken that long.
    pub fn advance(&self, duration: Duration) {
        let mut world = self.world.borrow_mut();
        world.now = world.now + duration;
    }

    /// Sets the faults.
    pub fn set_faults(&self, faults: Faults) {
        self.world.borrow_mut().faults = faults;
    }

    /// Limits the loop's descriptors. Beyond the limit, accept returns `EMFILE`.
    pub fn set_fd_limit(&self, most: usize) {
        self.world.borrow_mut().descriptors.limit = most;
    }

    /// Sets the observer of the loop's system calls.
    pub fn set_observer(&self, observer: impl Observer + 'static) {
        self.world.borrow_mut().set_observer(Box::new(observer));
    }

    /// Starts connecting a client `from` an address `to` another.
    #[must_use]
    pub fn connect(&self, from: SocketAddr, to: SocketAddr, link: LinkProfile) -> Client {
        let mut world = self.world.borrow_mut();
        let now = world.now;
        let index = world.connect_client(from, to, link, None, now);
        Client::new(Rc::clone(&self.world), index)
    }

    /// Starts connecting a client to the Unix-domain socket at `path`.
    ///
    /// Its [`address`](Client::address) is made up and its own.
    #[must_use]
    pub fn connect_unix(&self, path: impl Into<PathBuf>, link: LinkProfile) -> Client {
        let mut world = self.world.borrow_mut();
        let (from, to) = world.unix_ends(path.into());
        drop(world);
        self.connect(from, to, link)
    }

    /// As [`connect`](Self::connect), at the time `when` and for a client that runs `script`.
    pub fn connect_at(
        &self,
        when: Time,
        (from, to): (SocketAddr, SocketAddr),
        link: LinkProfile,
        script: impl Script + 'static,
    ) {
        let script = Box::new(script);
        let mut world = self.world.borrow_mut();
        world.connect_client(from, to, link, Some(script), when);
    }

    /// Listens at `address` for the loop's outbound connections. `spawn` creates the script of
    /// each.
    pub fn serve<B: Script + 'static>(
        &self,
        address: SocketAddr,
        mut spawn: impl FnMut() -> B + 'static,
    ) {
        let spawn = Box::new(move || Box::new(spawn()) as Box<dyn Script>);
        self.world.borrow_mut().serve(address, spawn);
    }

    /// As [`serve`](Self::serve), at the path of a Unix-domain socket.
    pub fn serve_unix<B: Script + 'static>(
        &self,
        path: impl Into<PathBuf>,
        spawn: impl FnMut() -> B + 'static,
    ) {
        let path = Address::Unix(path.into());
        let address = self.world.borrow_mut().unix.inside(&path);
        self.serve(address, spawn);
    }

    /// Sets the link of outbound connections started from now on.
    pub fn set_outbound_link(&self, link: LinkProfile) {
        self.world.borrow_mut().outbound_link = link;
    }

    /// Drops every SYN to `address`: a connect is neither accepted nor refused.
    pub fn drop_syns_to(&self, address: SocketAddr) {
        self.world.borrow_mut().unanswered.insert(address);
    }

    /// Requests a shutdown of the loop, as a signal does.
    pub fn stop(&self) {
        self.world.borrow_mut().stop = Stop::Waking;
    }

    /// Requests a shutdown at the time `when`.
    pub fn stop_at(&self, when: Time) {
        self.world.borrow_mut().schedule_stop(when);
    }

    /// Does something outside of the loop at the time `when`, as another thread: it uses a
    /// [`Handle`](oneloop::Handle).
    ///
    /// It must not use the network.
    pub fn act_at(&self, when: Time, act: impl FnOnce() + 'static) {
        let act = Deed::Act(Box::new(act));
        self.world.borrow_mut().act_at(when, act);
    }

    /// Sets the virtual time that each job of a [`Pool`](oneloop::Pool) takes from now on, between
    /// these bounds. By default it is from 1 to 10 ms.
    pub fn set_job_time(&self, time: RangeInclusive<Duration>) {
        self.world.borrow_mut().job_time = time;
    }

    /// Makes poll return at the time `when` at the latest, so that a test can inspect the state.
    /// `None` removes the limit.
    pub fn stop_poll_at(&self, when: Option<Time>) {
        self.world.borrow_mut().poll_until = when;
    }

    /// Records a line for each event from now on: see [`take_trace`](Self::take_trace).
    pub fn record_trace(&self) {
        self.world.borrow_mut().trace.record_lines();
    }

    /// Adds a line to the trace.
    pub fn note(&self, text: &str) {
        let mut world = self.world.borrow_mut();
        let now = world.now;
        world.trace.note_text(now, text);
    }

    /// Takes the lines recorded since the last call.
    #[must_use]
    pub fn take_trace(&self) -> Vec<String> {
        self.world.borrow_mut().trace.take_lines()
    }

    /// Returns a digest of all events: runs with equal digests are the same, event for event.
    #[must_use]
    pub fn digest(&self) -> u64 {
        self.world.borrow().trace.digest()
    }

    /// Returns the present time.
    #[must_use]
    pub fn time(&self) -> Time {
        self.world.borrow().now
    }

    /// Returns the counts of the loop's system calls.
    #[must_use]
    pub fn call_counts(&self) -> CallCounts {
        self.world.borrow().call_counts
    }

    /// Returns the number of connections that the loop holds open.
    #[must_use]
    pub fn descriptors_open(&self) -> usize {
        self.world.borrow().descriptors.open
    }

    /// Returns the most neglected peer, and since when.
    ///
    /// A peer is neglected while the loop does not read its available input, or does not retry a
    /// blocked write that has room. In a fair server none is for long, except those whose input it
    /// does not want.
    #[must_use]
    pub fn most_starved(&self) -> Option<(SocketAddr, Time)> {
        self.world.borrow().most_starved()
    }

    /// Returns since when input from `peer` has been unread: since it arrived, or since the last
    /// attempt to read.
    #[must_use]
    pub fn unread_since(&self, peer: SocketAddr) -> Option<Time> {
        self.world.borrow().unread_since(peer)
    }

    /// Returns since when a connection has waited in the queue of the listener at `address`: since
    /// its arrival, or since the last attempt to accept.
    #[must_use]
    pub fn waiting_since(&self, address: SocketAddr) -> Option<Time> {
        let world = self.world.borrow();
        let mut open = world.listeners.iter().filter(|listener| listener.open);
        open.find(|listener| listener.address == address)?
            .waiting_since
    }

    /// Returns the time of the next scheduled event, if any.
    #[must_use]
    pub fn next_event_at(&self) -> Option<Time> {
        self.world.borrow().next_event_at()
    }
}

impl<const SHORT_READ_DRAINS: bool> Net for Network<SHORT_READ_DRAINS> {
    type Stream = Stream;
    type Listener = Listener;
    type Events = Vec<Readiness>;

    const SHORT_READ_DRAINS: bool = SHORT_READ_DRAINS;
    const SHORT_WRITE_FILLS: bool = SHORT_READ_DRAINS;

    fn poll(&mut self, events: &mut Vec<Readiness>, timeout: Option<Duration>) -> io::Result<()> {
        events.clear();
        let mut world = self.world.borrow_mut();
        // mio rounds up to whole milliseconds, the resolution of epoll.
        let deadline = timeout.map(|timeout| world.now + whole_millis(timeout));
        world.wait(deadline, events)
    }

    fn events(events: &Vec<Readiness>) -> impl Iterator<Item = Readiness> {
        events.iter().copied()
    }

    fn now(&mut self) -> Time {
        self.world.borrow().now
    }

    fn pause(&mut self, time: Duration) {
        self.advance(time);
    }

    fn seed(&mut self) -> u64 {
        // Of a copy, so that a service that draws no numbers changes no run.
        let mut rng = self.world.borrow().rng.clone();
        rng.fork().fork().bits()
    }

    fn waker(&mut self) -> WakeFn {
        let woken = Arc::clone(&self.world.borrow().woken);
        Arc::new(move || woken.store(true, Ordering::Release))
    }

    fn start_workers(&mut self, jobs: &Jobs, _: &str, workers: usize) -> io::Result<()> {
        let mut world = self.world.borrow_mut();
        world.workers.add_pool(jobs.clone(), workers);
        Ok(())
    }

    fn stop_requested(&self) -> bool {
        self.world.borrow().stop != Stop::NotAsked
    }

    fn listen(
        &mut self,
        at: ListenAt,
        options: &ListenOptions,
        token: Token,
    ) -> io::Result<Listener> {
        let ListenAt::Address(address) = at else {
            return Err(io::ErrorKind::Unsupported.into());
        };
        let mut world = self.world.borrow_mut();
        let address = world.unix.inside(&address);
        let index = world.listen(address, options, token)?;
        drop(world);
        let world = Rc::clone(&self.world);
        Ok(Listener { world, index })
    }

    fn release(&mut self, listener: Listener) {
        self.world.borrow_mut().release_listener(listener.index);
    }

    fn local_addr(&self, listener: &Listener) -> Address {
        let world = self.world.borrow();
        world.unix.outside(world.listeners[listener.index].address)
    }

    fn accept(&mut self, listener: &Listener) -> io::Result<(Stream, PeerAddress)> {
        let (at, peer) = self.world.borrow_mut().accept(listener.index)?;
        Ok((self.stream(at), unix::peer(peer)))
    }

    fn stream_local_addr(&self, stream: &Stream) -> Option<SocketAddr> {
        unix::local(self.world.borrow().end(stream.at).address)
    }

    fn shed(&mut self, listener: &Listener, message: &[u8]) -> io::Result<()> {
        self.world.borrow_mut().shed(listener.index, message)
    }

    fn connect(
        &mut self,
        to: &Address,
        from: Option<IpAddr>,
        buffers: &BufferSizes,
    ) -> io::Result<Stream> {
        let mut world = self.world.borrow_mut();
        let to = world.unix.inside(to);
        let at = world.dial(to, from, buffers)?;
        drop(world);
        Ok(self.stream(at))
    }

    fn finish_connect(&mut self, stream: &Stream) -> io::Result<Connecting> {
        let mut world = self.world.borrow_mut();
        Ok(match world.finish_connect(stream.at)? {
            true => Connecting::Established {
                local: unix::local(world.end(stream.at).address),
            },
            false => Connecting::InProgress,
        })
    }

    fn register(&mut self, stream: &mut Stream, token: Token) -> io::Result<()> {
        self.world.borrow_mut().register(stream.at, token)
    }

    fn read(&mut self, stream: &mut Stream, buffer: &mut [u8]) -> io::Result<usize> {
        self.world.borrow_mut().read(stream.at, buffer)
    }

    fn write(&mut self, stream: &mut Stream, bytes: &[u8]) -> io::Result<usize> {
        self.world.borrow_mut().write(stream.at, bytes)
    }

    fn write_vectored(&mut self, stream: &mut Stream, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut bytes = Vec::new();
        for slice in slices {
            bytes.extend_from_slice(slice);
        }
        self.world.borrow_mut().write(stream.at, &bytes)
    }

    fn shutdown_write(&mut self, stream: &mut Stream) -> io::Result<()> {
        self.world.borrow_mut().shutdown_write(stream.at)
    }

    fn set_send_buffer(&mut self, stream: &Stream, bytes: u32) -> io::Result<()> {
        let mut world = self.world.borrow_mut();
        let outgoing = &mut world.end_mut(stream.at).outgoing;
        outgoing.set_send_buffer(bytes as usize);
        Ok(())
    }

    fn take_error(&mut self, stream: &Stream) -> Option<io::Error> {
        let error = self.world.borrow_mut().take_error(stream.at);
        error.map(io::Error::from)
    }

    fn close(&mut self, stream: Stream) {
        drop(stream);
    }

    fn abort(&mut self, stream: Stream) {
        self.world.borrow_mut().abort_stream(stream.at);
        drop(stream);
    }
}

impl<const SHORT_READ_DRAINS: bool> Network<SHORT_READ_DRAINS> {
    fn stream(&self, at: EndpointId) -> Stream {
        let world = Rc::clone(&self.world);
        Stream { world, at }
    }
}

impl<const SHORT_READ_DRAINS: bool> Clone for Network<SHORT_READ_DRAINS> {
    /// Returns another handle to the same network.
    fn clone(&self) -> Self {
        Self {
            world: Rc::clone(&self.world),
        }
    }
}

impl<const SHORT_READ_DRAINS: bool> fmt::Debug for Network<SHORT_READ_DRAINS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network")
            .field("world", &self.world)
            .finish_non_exhaustive()
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.world.borrow_mut().close_stream(self.at);
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.world.borrow_mut().close_listener(self.index);
    }
}

fn whole_millis(duration: Duration) -> Duration {
    let nanos = duration.as_nanos().min(u128::from(u64::MAX));
    Duration::from_millis(nanos.div_ceil(1_000_000) as u64)
}

#[cfg(test)]
mod tests;
