//! Unit tests of the conversation, in memory and virtual time.

mod connection;
mod conversation;
mod limits;
mod splits;
mod table;

use std::time::Duration;

use super::{Config, Framing, Greeter, Session};
use connection::Connection;
use oneloop::{CloseReason, Event, Next, Time};
use oneloop_client::wire::*;

const MS: Duration = Duration::from_millis(1);
const GAP: Duration = Duration::from_millis(30);
const NAME_TIMEOUT: Duration = Duration::from_secs(60);
const EVERY_FRAMING: [Framing; 3] = [Framing::Auto, Framing::Line, Framing::Silence];
