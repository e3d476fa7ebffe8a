//! The server behind a forwarder.

use std::net::SocketAddr;
use std::sync::Mutex;

use oneloop_bench::peers::{Peer, Pin, Running, Unavailable};

/// Starts a server on this process's core, the clients', and has the forwarders started next
/// connect to it.
pub(crate) fn start(server: &Peer) -> Result<Running, Unavailable> {
    let running = server.start(Pin::Anywhere)?;
    *ADDRESS.lock().expect("no panic") = Some(running.address());
    Ok(running)
}

/// Returns the address of the server that was started last.
pub(crate) fn address() -> SocketAddr {
    let address = *ADDRESS.lock().expect("no panic");
    address.expect("a forwarder's row has a server to start first")
}

static ADDRESS: Mutex<Option<SocketAddr>> = Mutex::new(None);
