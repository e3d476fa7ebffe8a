//! The other end of a simulated connection.

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use super::Rng;
use super::world::World;
use oneloop::Time;

/// A client that acts by itself: a program at the far end, run whenever something happens there.
///
/// It is called when its connection is established or refused, when bytes or the end have arrived
/// or its own have left, and at the time it asked for.
pub trait Script {
    /// Looks around and acts; the answer is when to call again at the latest, if at all.
    fn run(&mut self, remote: &mut RemotePeer<'_>) -> Option<Time>;
}

/// How a client's connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Not established yet.
    Connecting,
    /// Established.
    Open,
    /// Failed: reset, refused or timed out.
    Failed(io::ErrorKind),
    /// The client itself has closed it, reset it, or vanished.
    Closed,
}

/// A connection as the program at its far end has it, during one call of [`Script::act`].
pub struct RemotePeer<'a> {
    world: &'a mut World,
    client: usize,
}

/// A client in the hands of a test: everything it is told to do happens at the present virtual
/// time. Unless told otherwise it reads all that comes.
#[derive(Clone)]
pub struct Client {
    world: Rc<RefCell<World>>,
    index: usize,
}

impl<'a> RemotePeer<'a> {
    pub(super) fn new(world: &'a mut World, client: usize) -> Self {
        Self { world, client }
    }

    /// Sends `bytes`: at once as far as the network takes them, then as there is room.
    pub fn send(&mut self, bytes: &[u8]) {
        self.world.client_sends(self.client, bytes);
    }

    /// Reads at most `most` bytes into `buffer`, and returns how many there were.
    pub fn read(&mut self, most: usize, buffer: &mut Vec<u8>) -> usize {
        self.world.client_reads(self.client, most, buffer)
    }

    /// Shuts down the sending side: the server reads what was sent, then the end.
    pub fn finish(&mut self) {
        self.world.client_finishes(self.client);
    }

    /// Closes the connection as a program does that ends: the kernel still delivers what was sent,
    /// and answers with a reset if something is unread or still comes.
    pub fn close(&mut self) {
        self.world.client_closes(self.client);
    }

    /// Resets the connection.
    pub fn reset(&mut self) {
        self.world.client_resets(self.client);
    }

    /// Vanishes: from now on nothing comes from this client, not even an acknowledgement.
    pub fn vanish(&mut self) {
        self.world.client_vanishes(self.client);
    }

    /// This run's chance.
    pub fn rng(&mut self) -> &mut Rng {
        &mut self.world.rng
    }

    /// How the connection is.
    #[must_use]
    pub fn status(&self) -> Status {
        self.world.client_status(self.client)
    }

    /// True once everything the server sent has been read and it has finished sending.
    #[must_use]
    pub fn at_end(&self) -> bool {
        self.world.client_at_end(self.client)
    }

    /// How many bytes have arrived and are not read.
    #[must_use]
    pub fn readable(&self) -> usize {
        self.world.client_readable(self.client)
    }

    /// How many bytes have been sent here and have not left yet.
    #[must_use]
    pub fn unsent(&self) -> usize {
        self.world.client_unsent(self.client)
    }

    /// The present.
    #[must_use]
    pub fn now(&self) -> Time {
        self.world.now
    }

    /// The client's own address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.world.client_address(self.client)
    }
}

impl Client {
    pub(super) fn new(world: Rc<RefCell<World>>, index: usize) -> Self {
        Self { world, index }
    }

    /// Sends `bytes`: at once as far as the network takes them, then as there is room.
    pub fn send(&self, bytes: &[u8]) {
        self.remote(|remote| remote.send(bytes));
    }

    /// Takes what has been received since the last call.
    #[must_use]
    pub fn received(&self) -> Vec<u8> {
        self.world.borrow_mut().take_inbox(self.index)
    }

    /// Stops reading: what the server sends fills the buffers on the way, and no more.
    pub fn stop_reading(&self) {
        self.world.borrow_mut().set_reading(self.index, false);
    }

    /// Reads again, beginning with what has arrived meanwhile.
    pub fn resume_reading(&self) {
        self.world.borrow_mut().set_reading(self.index, true);
    }

    /// Shuts down the sending side: the server reads what was sent, then the end.
    pub fn finish(&self) {
        self.remote(|remote| remote.finish());
    }

    /// Closes the connection as a program does that ends: the kernel still delivers what was sent,
    /// and answers with a reset if something is unread or still comes.
    pub fn close(&self) {
        self.remote(|remote| remote.close());
    }

    /// Resets the connection.
    pub fn reset(&self) {
        self.remote(|remote| remote.reset());
    }

    /// Vanishes: from now on nothing comes from this client, not even an acknowledgement.
    pub fn vanish(&self) {
        self.remote(|remote| remote.vanish());
    }

    /// How the connection is.
    #[must_use]
    pub fn status(&self) -> Status {
        self.world.borrow().client_status(self.index)
    }

    /// True once the server has finished sending and all of it has been read.
    #[must_use]
    pub fn at_end(&self) -> bool {
        self.world.borrow().client_at_end(self.index)
    }

    /// The client's own address.
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
