//! A network in memory, with a clock of its own: the kernel's place in a test.
//!
//! Everything that happens in it is decided by one seed, so whatever went wrong goes wrong again.
//! Time is virtual: it jumps to the next thing due, and a minute's wait takes no time at all.
//!
//! The network is edge-triggered as epoll is, or as badly as the kernel may be, as [`Faults`] says.
//! Each connection is a [`Link`] with latency, bandwidth and bounded buffers; it can be half
//! closed, reset, or just fall silent.

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use super::connection::At;
use super::poller::Trigger;
use super::world::{Stop, World};
use oneloop::Time;
use oneloop::net::{BufferSizes, ListenOptions, Net, Readiness, Token};

use super::{Behaviour, Client, Faults, Link, Random, Tally, Witness};

/// A handle to a simulated network: a loop runs on one, a test drives it with another.
///
/// `SHORT_READ_DRAINS` says which kind of poller it has: epoll's and kqueue's (the default), or
/// one that announces new input only after a read has said `WouldBlock`, as on Windows.
pub struct Network<const SHORT_READ_DRAINS: bool = true> {
    world: Rc<RefCell<World>>,
}

/// A simulated listening socket. Dropping it closes it and resets who waits in its queue.
#[derive(Debug)]
pub struct Listener {
    world: Rc<RefCell<World>>,
    index: usize,
}

/// The loop's end of a simulated connection. Dropping it closes it.
#[derive(Debug)]
pub struct Stream {
    world: Rc<RefCell<World>>,
    at: At,
}

impl<const SHORT_READ_DRAINS: bool> Network<SHORT_READ_DRAINS> {
    /// A network in good weather, on which `seed` decides all that is left to chance.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self::with_random(Random::new(seed))
    }

    /// A network with another source of chance.
    #[must_use]
    pub fn with_random(random: Random) -> Self {
        let trigger = match SHORT_READ_DRAINS {
            true => Trigger::Edge,
            false => Trigger::Rearmed,
        };
        Self {
            world: Rc::new(RefCell::new(World::new(random, trigger))),
        }
    }

    /// Lets time pass, as if the process had been busy with other work: for a test of a service
    /// whose steps take long.
    pub fn pass(&self, duration: Duration) {
        let mut world = self.world.borrow_mut();
        world.now = world.now + duration;
    }

    /// Changes the weather.
    pub fn set_faults(&self, faults: Faults) {
        self.world.borrow_mut().faults = faults;
    }

    /// Bounds the descriptors the loop may have: beyond it, accept says `EMFILE`.
    pub fn set_descriptors_max(&self, most: usize) {
        self.world.borrow_mut().descriptors.most = most;
    }

    /// Lets `witness` see all that the loop does.
    pub fn set_witness(&self, witness: impl Witness + 'static) {
        self.world.borrow_mut().set_witness(Box::new(witness));
    }

    /// A client begins to connect `from` an address `to` another.
    #[must_use]
    pub fn connect(&self, from: SocketAddr, to: SocketAddr, link: Link) -> Client {
        let mut world = self.world.borrow_mut();
        let now = world.now;
        let index = world.call(from, to, link, None, now);
        Client::new(Rc::clone(&self.world), index)
    }

    /// As [`connect`](Self::connect), for a client that acts by itself and begins to connect when
    /// it is `when`.
    pub fn connect_at(
        &self,
        when: Time,
        (from, to): (SocketAddr, SocketAddr),
        link: Link,
        behaviour: impl Behaviour + 'static,
    ) {
        let behaviour = Box::new(behaviour);
        let mut world = self.world.borrow_mut();
        world.call(from, to, link, Some(behaviour), when);
    }

    /// Listens at `address` for the connections that the loop itself makes; `spawn` makes the far
    /// end of each.
    pub fn serve<B: Behaviour + 'static>(
        &self,
        address: SocketAddr,
        mut spawn: impl FnMut() -> B + 'static,
    ) {
        let spawn = Box::new(move || Box::new(spawn()) as Box<dyn Behaviour>);
        self.world.borrow_mut().serve(address, spawn);
    }

    /// Makes the connections that the loop begins from now on be like `link`.
    pub fn set_outbound_link(&self, link: Link) {
        self.world.borrow_mut().outbound_link = link;
    }

    /// Loses every call to `address`: who connects to it gets no answer, not even a refusal.
    pub fn lose_calls_to(&self, address: SocketAddr) {
        self.world.borrow_mut().black_holes.push(address);
    }

    /// Asks the loop to stop, as a signal does.
    pub fn stop(&self) {
        self.world.borrow_mut().stop = Stop::Waking;
    }

    /// Asks the loop to stop when it is `when`.
    pub fn stop_at(&self, when: Time) {
        self.world.borrow_mut().plan_stop(when);
    }

    /// Makes poll return when it is `when`, whatever the loop waits for, so that a test can look
    /// around; `None` for never.
    pub fn set_horizon(&self, when: Option<Time>) {
        self.world.borrow_mut().horizon = when;
    }

    /// Keeps a line for everything that happens from now on: see [`take_trace`](Self::take_trace).
    pub fn record_trace(&self) {
        self.world.borrow_mut().trace.record_lines();
    }

    /// Adds a line to the trace.
    pub fn say(&self, text: &str) {
        let mut world = self.world.borrow_mut();
        let now = world.now;
        world.trace.say(now, text);
    }

    /// Takes the lines recorded since the last call.
    #[must_use]
    pub fn take_trace(&self) -> Vec<String> {
        self.world.borrow_mut().trace.take_lines()
    }

    /// A digest of all that has happened: two runs with the same digest were the same, event for
    /// event.
    #[must_use]
    pub fn digest(&self) -> u64 {
        self.world.borrow().trace.digest()
    }

    /// The present.
    #[must_use]
    pub fn time(&self) -> Time {
        self.world.borrow().now
    }

    /// What the loop has called so far.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.world.borrow().tally
    }

    /// How many connections the loop holds open.
    #[must_use]
    pub fn descriptors_open(&self) -> usize {
        self.world.borrow().descriptors.open
    }

    /// The peer that the loop has neglected for longest, and since when: there was input that it
    /// did not try to read, or room for output that had been refused before. A server that gives
    /// everybody their turn has nobody here for long, except those it does not want to hear.
    #[must_use]
    pub fn most_neglected(&self) -> Option<(SocketAddr, Time)> {
        self.world.borrow().most_neglected()
    }

    /// Since when something can be read from the connection with `peer` that the loop has not tried
    /// to read: since it came, or since the last attempt.
    #[must_use]
    pub fn unread_since(&self, peer: SocketAddr) -> Option<Time> {
        self.world.borrow().unread_since(peer)
    }

    /// Since when somebody has waited in the queue of the listener at `address` and the loop has
    /// not tried to accept.
    #[must_use]
    pub fn waiting_since(&self, address: SocketAddr) -> Option<Time> {
        let world = self.world.borrow();
        let mut open = world.listeners.iter().filter(|listener| listener.open);
        open.find(|listener| listener.address == address)?
            .waiting_since
    }

    /// When the next thing is due on the network itself, if anything is.
    #[must_use]
    pub fn next_due(&self) -> Option<Time> {
        self.world.borrow().next_due()
    }
}

impl<const SHORT_READ_DRAINS: bool> Net for Network<SHORT_READ_DRAINS> {
    type Stream = Stream;
    type Listener = Listener;
    type Events = Vec<Readiness>;

    const SHORT_READ_DRAINS: bool = SHORT_READ_DRAINS;

    fn poll(&mut self, events: &mut Vec<Readiness>, timeout: Option<Duration>) -> io::Result<()> {
        events.clear();
        let mut world = self.world.borrow_mut();
        // mio rounds up to whole milliseconds, for epoll knows no less.
        let deadline = timeout.map(|timeout| world.now + whole_millis(timeout));
        world.wait(deadline, events)
    }

    fn events(events: &Vec<Readiness>) -> impl Iterator<Item = Readiness> {
        events.iter().copied()
    }

    fn now(&mut self) -> Time {
        self.world.borrow().now
    }

    fn stop_requested(&self) -> bool {
        self.world.borrow().stop != Stop::NotAsked
    }

    fn listen(
        &mut self,
        address: SocketAddr,
        options: &ListenOptions,
        token: Token,
    ) -> io::Result<Listener> {
        let index = self.world.borrow_mut().listen(address, options, token)?;
        let world = Rc::clone(&self.world);
        Ok(Listener { world, index })
    }

    fn local_addr(&self, listener: &Listener) -> io::Result<SocketAddr> {
        Ok(self.world.borrow().listeners[listener.index].address)
    }

    fn accept(&mut self, listener: &Listener) -> io::Result<(Stream, SocketAddr)> {
        let (at, peer) = self.world.borrow_mut().accept(listener.index)?;
        Ok((self.stream(at), peer))
    }

    fn shed(&mut self, listener: &Listener, message: &[u8]) -> io::Result<()> {
        self.world.borrow_mut().shed(listener.index, message)
    }

    fn connect(
        &mut self,
        to: SocketAddr,
        from: Option<IpAddr>,
        buffers: &BufferSizes,
    ) -> io::Result<Stream> {
        let at = self.world.borrow_mut().dial(to, from, buffers)?;
        Ok(self.stream(at))
    }

    fn finish_connect(&mut self, stream: &Stream) -> io::Result<bool> {
        self.world.borrow_mut().finish_connect(stream.at)
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
    fn stream(&self, at: At) -> Stream {
        let world = Rc::clone(&self.world);
        Stream { world, at }
    }
}

impl<const SHORT_READ_DRAINS: bool> Clone for Network<SHORT_READ_DRAINS> {
    /// Another handle to the same network.
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
        self.world.borrow_mut().unlisten(self.index);
    }
}

fn whole_millis(duration: Duration) -> Duration {
    let nanos = duration.as_nanos().min(u128::from(u64::MAX));
    Duration::from_millis(nanos.div_ceil(1_000_000) as u64)
}

#[cfg(test)]
mod tests;
