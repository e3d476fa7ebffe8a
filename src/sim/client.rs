//! The remote ends of simulated connections.

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use super::Rng;
use super::world::World;
use oneloop::Time;

/// A program at the remote end of a connection.
///
/// It runs when its connection is established or refused, when bytes or the end of the stream
/// arrive, when its own output has been sent, and at the time it requested.
pub trait Script {
    /// Reacts to the state of the connection. Returns the latest time of the next call, if any.
    fn run(&mut self, remote: &mut RemotePeer<'_>) -> Option<Time>;
}

/// The state of a client's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Not established yet.
    Connecting,
    /// Established.
    Open,
    /// Failed: reset, refused or timed out.
    Failed(io::ErrorKind),
    /// Closed, reset or made unreachable by the client itself.
    Closed,
}

/// The connection of a [`Script`] during one call of [`Script::run`].
pub struct RemotePeer<'a> {
    world: &'a mut World,
    client: usize,
}

/// A client controlled by a test.
///
/// Its methods act at the present virtual time. It reads all input unless reading is stopped.
#[derive(Clone)]
pub struct Client {
    world: Rc<RefCell<World>>,
    index: usize,
}

impl<'a> RemotePeer<'a> {
    pub(super) fn new(world: &'a mut World, client: usize) -> Self {
        Self { world, client }
    }

    /// Queues `bytes` for sending, without bound; the network takes them as it has room.
    pub fn send(&mut self, bytes: &[u8]) {
        self.world.client_sends(self.client, bytes);
    }

    /// Appends at most `most` received bytes to `buffer`. Returns their number.
    pub fn read(&mut self, most: usize, buffer: &mut Vec<u8>) -> usize {
        self.world.client_reads(self.client, most, buffer)
    }

    /// Shuts down the sending side: the server reads all bytes sent before, then the end.
    pub fn finish(&mut self) {
        self.world.client_finishes(self.client);
    }

    /// Closes the connection as close(2) does.
    ///
    /// The kernel still delivers the bytes sent before. It answers with a reset if input is unread
    /// or arrives later.
    pub fn close(&mut self) {
        self.world.client_closes(self.client);
    }

    /// Resets the connection.
    pub fn reset(&mut self) {
        self.world.client_resets(self.client);
    }

    /// Stops all traffic from this client, acknowledgements included.
    pub fn vanish(&mut self) {
        self.world.client_vanishes(self.client);
    }

    /// Returns the network's random number generator.
    pub fn rng(&mut self) -> &mut Rng {
        &mut self.world.rng
    }

    /// Returns the state of the connection.
    #[must_use]
    pub fn status(&self) -> Status {
        self.world.client_status(self.client)
    }

    /// Returns true once all the server's output, and its end, has been read.
    #[must_use]
    pub fn at_end(&self) -> bool {
        self.world.client_at_end(self.client)
    }

    /// Returns the number of bytes that have arrived and are unread.
    #[must_use]
    pub fn readable(&self) -> usize {
        self.world.client_readable(self.client)
    }

    /// Returns the number of bytes that this client has queued and not yet sent.
    #[must_use]
    pub fn unsent(&self) -> usize {
        self.world.client_unsent(self.client)
    }

    /// Returns the present time.
    #[must_use]
    pub fn now(&self) -> Time {
        self.world.now
    }

    /// Returns the client's own address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.world.client_address(self.client)
    }
}

impl Client {
    pub(super) fn new(world: Rc<RefCell<World>>, index: usize) -> Self {
        Self { world, index }
    }

    /// Queues `bytes` for sending, without bound; the network takes them as it has room.
    pub fn send(&self, bytes: &[u8]) {
        self.remote(|remote| remote.send(bytes));
    }

    /// Takes the bytes received since the last call.
    #[must_use]
    pub fn received(&self) -> Vec<u8> {
        self.world.borrow_mut().take_inbox(self.index)
    }

    /// Stops reading: the server's output then fills the buffers on the way.
    pub fn stop_reading(&self) {
        self.world.borrow_mut().set_reading(self.index, false);
    }

    /// Resumes reading, with the bytes that have arrived.
    pub fn resume_reading(&self) {
        self.world.borrow_mut().set_reading(self.index, true);
    }

    /// Shuts down the sending side: the server reads all bytes sent before, then the end.
    pub fn finish(&self) {
        self.remote(|remote| remote.finish());
    }

    /// Closes the connection as close(2) does.
    ///
    /// The kernel still delivers the bytes sent before. It answers with a reset if input is unread
    /// or arrives later.
    pub fn close(&self) {
        self.remote(|remote| remote.close());
    }

    /// Resets the connection.
    pub fn reset(&self) {
        self.remote(|remote| remote.reset());
    }

    /// Stops all traffic from this client, acknowledgements included.
    pub fn vanish(&self) {
        self.remote(|remote| remote.vanish());
    }

    /// Returns the state of the connection.
    #[must_use]
    pub fn status(&self) -> Status {
        self.world.borrow().client_status(self.index)
    }

    /// Returns true once all the server's output, and its end, has been read.
    #[must_use]
    pub fn at_end(&self) -> bool {
        self.world.borrow().client_at_end(self.index)
    }

    /// Returns the client's own address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.world.borrow().client_address(self.index)
    }

    fn remote<T>(&self, act: impl FnOnce(&mut RemotePeer<'_>) -> T) -> T {
        act(&mut RemotePeer::new(
            &mut self.world.borrow_mut(),
            self.index,
        ))
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("index", &self.index)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for RemotePeer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote")
            .field("client", &self.client)
            .finish_non_exhaustive()
    }
}
