//! A service for operators, beside the main one: health, and what else a load balancer or a
//! monitoring system asks a server for.
//!
//! Requires the feature `admin`. [`Admin`] speaks HTTP/1.1 on a listener of its own, in the same
//! loop:
//!
//! ```
//! use oneloop::Listen;
//! use oneloop::admin::Admin;
//! use oneloop::layer::{ByListener, Compose};
//! # use oneloop::{Context, Event, Next, Peer, Service, ServiceContext, Time};
//! # struct Echo;
//! # impl Service for Echo {
//! #     type Session = ();
//! #     fn open(&mut self, _: Peer, _: &mut ServiceContext) {}
//! #     fn step(&mut self, _: &mut (), _: Event, cx: &mut Context<'_>) -> Next {
//! #         Next::Read { until: Time::UNBOUNDED }
//! #     }
//! # }
//!
//! let service = Echo.beside(Admin::new().boxed(), ByListener("admin"));
//! let listener = Listen::unix("/run/echo/admin.sock")
//!     .name("admin")
//!     .mode(0o600)
//!     .reserve(8)
//!     .drain_last();
//! # let _: (&dyn std::any::Any, Listen) = (&service, listener);
//! ```
//!
//! With places reserved for it, it answers while the main listener is full, and with
//! [`drain_last`](crate::Listen::drain_last) while the server drains.
//!
//! | request | answer |
//! |---|---|
//! | `GET /live` | 200: the loop turns |
//! | `GET /ready` | 200, or 503 while the server is starting or leaving: see [`Readiness`] |
//!
//! `HEAD` is answered like `GET`, without the body.

mod answer;
mod readiness;
mod request;
mod service;

pub use readiness::{Readiness, Ready};
pub use service::{Admin, AdminSession};
