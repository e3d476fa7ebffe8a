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
//! | `GET /metrics` | metrics of the loop and of the program, for Prometheus |
//! | `GET /sessions?limit=N` | one line for each session, at most N (100) |
//! | `GET /slow` | the slowest turns of the last hour: see [`Watch`](crate::Watch) |
//! | `POST /drain` | the server stops gracefully |
//! | `POST /sessions/ID/close` | the session with this number ends at once, with a reset |
//!
//! `HEAD` is answered like `GET`, without the body. The two requests that change the server are
//! answered on a Unix-domain socket alone, whose file's mode decides who may connect.
//!
//! A list of sessions has what the loop knows, and what services and layers add in
//! [`Service::describe`](crate::Service::describe); the layer
//! [`Activity`](crate::layer::Activity) adds ages and bytes. It is made of many small reports, while
//! the server serves, and sent as fast as its reader takes it.
//!
//! Connections to a listener with the name `agent` are agent checks of HAProxy: they get one line,
//! `up ready N%` (N is the share of places that are free), `drain` or `maint`, and end.

mod answer;
mod exposition;
mod metrics;
mod readiness;
mod request;
mod service;
mod sessions;
mod task;

pub use exposition::{Exposition, Samples};
pub use readiness::{Readiness, Ready};
pub use service::{Admin, AdminSession};
