//! Who takes part in a comparison.

use std::io;

use super::{Peer, Pin, Running, Unavailable};

/// Our server and the peers that can be had on this machine.
#[derive(Debug)]
pub struct Contest {
    peers: Vec<Peer>,
}

impl Contest {
    /// Our server at `path` and all peers, or those that `ONELOOP_PEERS` names. Each is started
    /// once, so that who cannot be had is known, and told, before anything is measured.
    pub fn on_this_machine(path: &str) -> Self {
        let chosen = std::env::var("ONELOOP_PEERS").ok();
        let is_chosen = |peer: &Peer| match &chosen {
            Some(names) => names.split(',').any(|name| name.trim() == peer.name()),
            None => true,
        };
        let mut peers = vec![Peer::ours(path, LONG_WAITS)];
        peers.extend(Peer::OTHERS);
        peers.retain(|peer| is_chosen(peer) && can_be_had(peer));
        Self { peers }
    }

    /// Those who can be expected to hold so many connections.
    pub fn with_room_for(&self, connections: usize) -> impl Iterator<Item = &Peer> {
        let holds = move |peer: &&Peer| connections <= peer.connections_max();
        self.peers.iter().filter(holds)
    }

    /// All of them.
    pub fn peers(&self) -> &[Peer] {
        &self.peers
    }
}

/// Starts a peer on the servers' core.
///
/// # Errors
///
/// As [`Peer::start`].
pub fn start_pinned(peer: &Peer) -> io::Result<Running> {
    peer.start(Pin::Core(SERVERS_CORE))
        .map_err(io::Error::other)
}

fn can_be_had(peer: &Peer) -> bool {
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

/// A server that is nearly full makes waits shorter, which no peer does: with the usual minute the
/// silent ones among 19,000 would be gone before they are measured.
const LONG_WAITS: &[&str] = &["--name-timeout", "1h"];

const SERVERS_CORE: usize = 0;
/// Where who measures should be.
pub const CLIENTS_CORE: usize = 1;
