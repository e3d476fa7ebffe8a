//! Changing the limits of a running loop.

use super::connection::Origin;
use super::{InvalidLimits, Limits, Reactor};
use crate::net::Net;
use crate::service::Service;

impl<S: Service, N: Net> Reactor<S, N> {
    /// Returns the limits of the loop.
    pub fn limits(&self) -> &Limits {
        &self.core.limits
    }

    /// Changes the limits of the loop, all or none.
    ///
    /// A lower maximum ends no connection: it holds for those that come. A timeout holds for waits
    /// that begin later, and `drain_timeout` for a drain that begins later. `when_full` holds for the
    /// listeners that have none of their own. The sizes of buffers, `backlog` and `calls_max` cannot
    /// change.
    ///
    /// If `connections_per_address_max` begins to limit, this visits every slot.
    ///
    /// # Errors
    /// Returns the first limit that is invalid, cannot change, or is less than the places that the
    /// listeners reserve. Then no limit has changed.
    pub fn set_limits(&mut self, limits: Limits) -> Result<(), InvalidLimits> {
        limits.validate()?;
        self.core.limits.check_change_to(&limits)?;
        self.admission.check_reserves(limits.connections_max)?;
        let counted_before = self.core.limits.connections_per_address_max.is_some();
        self.core.pressure.set_limits(&limits);
        self.core.limits = limits;
        let counted = self.core.limits.connections_per_address_max.is_some();
        if counted && !counted_before {
            self.count_addresses();
        }
        if counted_before && !counted {
            self.admission.forget_addresses();
        }
        self.update_pressure();
        Ok(())
    }

    /// Counts the admitted connections by address, none of which is counted.
    fn count_addresses(&mut self) {
        for index in 0..self.slots.end() {
            if let Some(connection) = self.slots.get_mut(index)
                && connection.origin == Origin::Accepted
            {
                self.admission.count_address(connection.claim().address);
            }
        }
    }
}

impl Limits {
    /// Checks that the limits that cannot change are the same.
    fn check_change_to(&self, new: &Self) -> Result<(), InvalidLimits> {
        let fixed = |limits: &Self| {
            [
                ("backlog", limits.backlog as usize),
                ("send_buffer_bytes", limits.send_buffer_bytes as usize),
                ("receive_buffer_bytes", limits.receive_buffer_bytes as usize),
                ("input_bytes_max", limits.input_bytes_max),
                (
                    "input_bytes_hard_max",
                    limits.for_sessions().input_bytes_hard_max,
                ),
                ("output_bytes_mark", limits.output_bytes_mark),
                ("output_bytes_max", limits.output_bytes_max),
                ("calls_max", limits.calls_max),
            ]
        };
        for ((limit, old), (_, new)) in fixed(self).into_iter().zip(fixed(new)) {
            if old != new {
                let rule = format!("must stay {old} while the loop runs, not {new}");
                return Err(InvalidLimits::new(limit, rule));
            }
        }
        Ok(())
    }
}
