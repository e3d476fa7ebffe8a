//! Outbound connections.

use super::Reactor;
use super::connection::{Connection, Flags, Origin, Phase};
use super::ends::Ends;
use crate::net::{AcceptError, BufferSizes, Net};
use crate::service::{Address, Connect, ConnectError, EndReason, PeerAddress, Service};

impl<S: Service, N: Net> Reactor<S, N> {
    /// Opens an outbound connection at once.
    ///
    /// Otherwise it does the same as [`Context::connect`](crate::service::Context::connect), whose
    /// requests wait for the end of a turn.
    pub fn connect(&mut self, connect: Connect) {
        self.core.update_now();
        self.connect_or_fail(&connect);
    }

    pub(crate) fn connect_or_fail(&mut self, connect: &Connect) {
        self.core.counters.connecting += 1;
        if let Err(error) = self.start_connect(connect) {
            self.core.call("connect_failed", |service, cx| {
                service.connect_failed(connect.tag, &error, cx);
            });
        }
    }

    /// Creates a slot for an outbound connection. Its first event reports success or failure.
    pub(crate) fn start_connect(&mut self, connect: &Connect) -> Result<(), ConnectError> {
        let started = if self.drain.is_some() {
            Err(ConnectError::Stopping)
        } else if self.admission.outbound >= self.core.limits.outbound_max {
            Err(ConnectError::OutboundMax)
        } else {
            let buffers = self.outbound_buffers(connect);
            let started = self.core.net.connect(&connect.to, connect.from, &buffers);
            started.map_err(|error| match AcceptError::of(&error) {
                AcceptError::Exhausted => ConnectError::Exhausted(error),
                _ => ConnectError::Os(error),
            })
        };
        let ended = &mut self.core.counters.ended[EndReason::ConnectFailed as usize];
        let stream = started.inspect_err(|_| *ended += 1)?;
        self.admission.outbound += 1;
        let remote = match connect.to {
            Address::Ip(address) => address.into(),
            Address::Unix(_) => PeerAddress::Unix,
        };
        let ends = Ends::outbound(remote, connect.tag);
        let connection = Connection::new(stream, ends, (Phase::Connecting, Origin::Outbound));
        let claim = connection.claim();
        let index = match self.insert(connection) {
            Ok(index) => index,
            Err(error) => {
                self.release_admission(claim);
                return Err(ConnectError::Register(error));
            }
        };
        let connection = &mut self.slots[index];
        let timeout = connect.timeout.unwrap_or(self.core.limits.connect_timeout);
        connection.set_deadline(self.core.now() + timeout, &self.core.pressure);
        connection.flags.remove(Flags::WRITABLE);
        self.slots.rearm_or_retire(index, self.core.now());
        Ok(())
    }

    /// Returns the sizes of the buffers of an outbound connection.
    fn outbound_buffers(&self, connect: &Connect) -> BufferSizes {
        let sizes = self.core.limits.buffer_sizes();
        BufferSizes {
            send_bytes: connect.send_buffer_bytes.unwrap_or(sizes.send_bytes),
            receive_bytes: connect.receive_buffer_bytes.unwrap_or(sizes.receive_bytes),
        }
    }
}
