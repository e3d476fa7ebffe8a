//! Outbound connections.

use std::io;
use std::net::{IpAddr, SocketAddr};

use super::Reactor;
use super::connection::{Flags, Origin, Phase};
use super::shutdown::STOPPING;
use crate::net::{BufferSizes, Net};
use crate::service::{Connect, EndReason, Service};

impl<S: Service, N: Net> Reactor<S, N> {
    /// Opens a connection to `to` at once.
    ///
    /// Otherwise it does the same as [`Context::connect`](crate::service::Context::connect), whose
    /// requests wait for the end of a turn.
    pub fn connect(&mut self, to: SocketAddr, from: Option<IpAddr>, tag: u32) {
        self.core.update_now();
        self.connect_or_fail(Connect { to, from, tag });
    }

    pub(crate) fn connect_or_fail(&mut self, connect: Connect) {
        self.core.counters.connecting += 1;
        if let Err(error) = self.start_connect(connect) {
            self.core.call("connect_failed", |service, cx| {
                service.connect_failed(connect.tag, &error, cx);
            });
        }
    }

    /// Creates a slot for an outbound connection. Its first event reports success or failure.
    pub(crate) fn start_connect(&mut self, connect: Connect) -> io::Result<()> {
        let Connect { to, from, tag } = connect;
        let started = if self.drain.is_some() {
            Err(io::Error::other(STOPPING))
        } else if self.admission.outbound >= self.core.limits.outbound_max {
            Err(io::Error::new(
                io::ErrorKind::QuotaExceeded,
                TOO_MANY_OUTBOUND,
            ))
        } else {
            let buffers = self.buffer_sizes();
            self.core.net.connect(to, from, &buffers)
        };
        let ended = &mut self.core.counters.ended[EndReason::ConnectFailed as usize];
        let stream = started.inspect_err(|_| *ended += 1)?;
        self.admission.outbound += 1;
        let kind = (Phase::Connecting, Origin::Outbound);
        let Some(index) = self.insert(stream, to, kind) else {
            self.release_admission(to, Origin::Outbound);
            return Err(io::Error::other("the socket could not be registered"));
        };
        let connection = &mut self.slots[index];
        let deadline = self.core.now() + self.core.limits.connect_timeout;
        connection.tag = tag;
        connection.set_deadline(deadline, &self.core.pressure);
        connection.flags.remove(Flags::WRITABLE);
        self.slots.rearm_or_retire(index, self.core.now());
        Ok(())
    }

    pub(crate) fn buffer_sizes(&self) -> BufferSizes {
        BufferSizes {
            send_bytes: self.core.limits.send_buffer_bytes,
            receive_bytes: self.core.limits.receive_buffer_bytes,
        }
    }
}

const TOO_MANY_OUTBOUND: &str = "as many outbound connections as outbound_max allows are open";
