//! The methods that compose services.

use super::{Boxed, Choose, Fork, Layer, Layered};
use crate::service::Service;

/// Composes services. Every [`Service`] has these methods.
pub trait Compose: Service + Sized {
    /// Puts the service into `layer`.
    fn with<L: Layer>(self, layer: L) -> Layered<L, Self> {
        Layered::new(layer, self)
    }

    /// Puts `second` beside the service. For each accepted connection, `choose` returns the side
    /// that serves it: see [`Fork`].
    fn beside<S: Service, C: Choose>(self, second: S, choose: C) -> Fork<Self, S, C> {
        Fork::new(self, second, choose)
    }

    /// Boxes the sessions, so that a large one does not enlarge the slots of all connections.
    fn boxed(self) -> Boxed<Self> {
        Boxed::new(self)
    }
}

impl<S: Service> Compose for S {}
