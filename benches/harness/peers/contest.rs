//! The participants of a comparison.

use std::io;

use oneloop_load::Process;

use super::{Peer, Pin, Running, Unavailable};

/// Our server and the peers available on this machine.
#[derive(Debug)]
pub struct Contest {
    peers: Vec<Peer>,
}

impl Contest {
    /// Selects our server at `path` and all peers, or those listed in `ONELOOP_PEERS`.
    ///
    /// Each is started once, so that missing ones are reported before the measurement.
    pub fn on_this_machine(path: &str) -> Self {
        let chosen = std::env::var("ONELOOP_PEERS").ok();
        let is_chosen = |peer: &Peer| match &chosen {
            Some(names) => names.split(',').any(|name| name.trim() == peer.name()),
            None => true,
        };
        let mut peers = vec![Peer::ours(path, LONG_WAITS)];
        peers.extend(Peer::OTHERS);
        peers.retain(|peer| is_chosen(peer) && is_available(peer));
        Self { peers }
    }

    /// Returns the peers that can hold that many connections.
    pub fn with_room_for(&self, connections: usize) -> impl Iterator<Item = &Peer> {
        let holds = move |peer: &&Peer| connections <= peer.connections_max();
        self.peers.iter().filter(holds)
    }

    /// Returns all peers.
    pub fn peers(&self) -> &[Peer] {
        &self.peers
    }
}

/// Starts a peer on the servers' core.
///
/// # Errors
/// As [`Peer::start`].
pub fn start_pinned(peer: &Peer) -> io::Result<Running> {
    peer.start(Pin::Core(SERVERS_CORE))
        .map_err(io::Error::other)
}

/// Pins this process, which measures, to the clients' core, where the system allows it.
///
/// Not before [`Contest::on_this_machine`]: builds of peers would inherit the core.
pub fn pin_clients() {
    let own = Process::new(std::process::id());
    if oneloop_load::pin(own, CLIENTS_CORE).is_err() {
        eprintln!("the clients are not pinned to a core");
    }
}

/// Raises the limit on open files as far as possible, and returns the connections that it leaves
/// room for.
pub fn connections_max() -> usize {
    let limit = rlimit::increase_nofile_limit(u64::MAX).unwrap_or(EVERYWHERE);
    usize::try_from(limit).map_or(usize::MAX, |limit| limit.saturating_sub(SPARE_DESCRIPTORS))
}

fn is_available(peer: &Peer) -> bool {
    match peer.start(Pin::Anywhere) {
        Ok(_) => true,
        Err(why) => {
            assert!(
                matches!(why, Unavailable::Skipped(_)),
                "{} {why}",
                peer.name()
            );
            eprintln!("{} {why}", peer.name());
            false
        }
    }
}

/// A nearly full server shortens its timeouts, which no peer does: with the default of a minute,
/// the idle ones of 19,000 connections would be closed before they are measured.
const LONG_WAITS: &[&str] = &["--name-timeout", "1h"];

const SERVERS_CORE: usize = 0;
const CLIENTS_CORE: u32 = 1;
/// The limit on open files that every Unix grants.
const EVERYWHERE: u64 = 256;
/// Descriptors that are not connections.
const SPARE_DESCRIPTORS: usize = 500;
