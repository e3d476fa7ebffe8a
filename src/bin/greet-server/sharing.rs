//! Several processes on one port (`SO_REUSEPORT`), each with a core of its own.

use std::fs;
use std::net::SocketAddr;

use log::warn;
use oneloop::Listen;

use crate::args::Args;

/// Whether other processes listen on the same ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sharing {
    /// This process alone does.
    Alone,
    /// Others may, and get the queue of a socket that is closed.
    WithMigration,
    /// Others may. What is in the queue when a socket is closed is reset.
    WithoutMigration,
}

impl Sharing {
    /// Returns how ports are shared, and warns if that loses connections.
    pub(crate) fn of(args: &Args) -> Self {
        if !args.reuse_port {
            return Self::Alone;
        }
        let switch = fs::read_to_string(SWITCH).unwrap_or_default();
        match switch.trim() {
            "1" => Self::WithMigration,
            "0" => {
                warn!(
                    "connections that arrive while a process of this port stops may be reset: set \
                     net.ipv4.tcp_migrate_req to 1, and they pass to the others"
                );
                Self::WithoutMigration
            }
            // There is no such switch.
            _ => Self::WithoutMigration,
        }
    }

    /// Returns a listener at an address.
    ///
    /// With migration, its queue is left to the others at the end. Without, it is taken in, so that
    /// those in it get a goodbye and no reset.
    pub(crate) const fn listen(self, address: SocketAddr) -> Listen {
        let listen = Listen::tcp(address);
        match self {
            Self::Alone => listen,
            Self::WithMigration => listen.reuse_port().shared(),
            Self::WithoutMigration => listen.reuse_port(),
        }
    }
}

/// The kernel's switch.
const SWITCH: &str = "/proc/sys/net/ipv4/tcp_migrate_req";
