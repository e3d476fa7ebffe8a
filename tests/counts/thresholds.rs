//! What an exchange may cost, in numbers that are the same at every run. A change that makes one
//! worse fails here; one that makes it better may lower it.

/// System calls of the server per exchange, 100 connections at once: one to read, one to write, and
/// a hundredth of a poll.
pub(crate) const SYSTEM_CALLS_PER_EXCHANGE: f64 = 2.05;

/// The same when 50 names come in each write.
pub(crate) const SYSTEM_CALLS_PER_PIPELINED_EXCHANGE: f64 = 0.06;

/// System calls per whole connection that says a name, is answered, says `exit` and hears the
/// goodbye, 50 at a time. Ten of them cannot be shared: accept4, epoll_ctl, three times send, twice
/// recv, and for an end that resets nobody's last word shutdown, a recv of nothing, and close.
pub(crate) const SYSTEM_CALLS_PER_CONNECTION: f64 = 10.5;

/// The same when a name and `exit` come in one write.
pub(crate) const SYSTEM_CALLS_PER_HURRIED_CONNECTION: f64 = 9.0;

/// Allocations in ten thousand exchanges.
pub(crate) const ALLOCATIONS: u64 = 0;

/// User-space instructions of the server per exchange, 50 connections at once, in a release build:
/// 280 of them, and a share of a turn of the loop, which costs some 330. A loaded machine makes the
/// polls bring fewer events.
pub(crate) const INSTRUCTIONS_PER_EXCHANGE: f64 = 285.0;

/// Bytes of the server's own memory per connection that has exchanged a name and is silent, its
/// deadline armed, in a release build.
pub(crate) const BYTES_PER_IDLE_CONNECTION: f64 = 104.0;

/// How often the server may wake up within two seconds while nobody says anything.
pub(crate) const WAKE_UPS_WHILE_IDLE: u64 = 4;
