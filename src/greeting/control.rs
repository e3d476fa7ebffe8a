//! Changing the configuration of a running service.

use std::sync::{Arc, Mutex, PoisonError};

use super::Config;

/// Changes the configuration of a [`Greeter`](super::Greeter) that a loop owns. Clones reach the
/// same service, from any thread.
#[derive(Clone, Debug, Default)]
pub struct Control(Arc<Mutex<Option<Config>>>);

impl Control {
    /// Sets the configuration. It holds from the next connection on, for all of them: a deadline
    /// that has begun stays. `framing` holds for new connections.
    pub fn set(&self, config: Config) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(config);
    }

    /// Takes the configuration that was set since the last call.
    pub(crate) fn take(&self) -> Option<Config> {
        // Without waiting for another thread: the next connection looks again.
        self.0.try_lock().ok()?.take()
    }
}
