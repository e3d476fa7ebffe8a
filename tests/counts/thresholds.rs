//! The bounds of the counted costs, which are the same in every run. Lower a bound when a change
//! improves its figure.

/// System calls per exchange, with 100 connections at once: one to read, one to write, and a
/// hundredth of a poll.
pub(crate) const SYSTEM_CALLS_PER_EXCHANGE: f64 = 2.05;

/// The same with 50 names in each write.
pub(crate) const SYSTEM_CALLS_PER_PIPELINED_EXCHANGE: f64 = 0.06;

/// System calls per connection that exchanges one name and `exit`, 50 at a time. Ten of them cannot
/// be shared: accept4, epoll_ctl, three send, two recv, and for an end that cannot reset the last
/// output: shutdown, an empty recv, and close.
pub(crate) const SYSTEM_CALLS_PER_CONNECTION: f64 = 10.5;

/// The same with a name and `exit` in one write.
pub(crate) const SYSTEM_CALLS_PER_HURRIED_CONNECTION: f64 = 9.0;

/// Allocations in ten thousand exchanges.
pub(crate) const ALLOCATIONS: u64 = 0;

/// User-space instructions of the server per exchange, with 50 connections at once, in a release
/// build: 280, plus a share of a turn, which costs about 330. On a loaded machine a poll returns
/// fewer events.
pub(crate) const INSTRUCTIONS_PER_EXCHANGE: f64 = 285.0;

/// The instructions that one observing layer adds to an exchange.
pub(crate) const INSTRUCTIONS_OF_A_LAYER: f64 = 40.0;

/// Bytes of anonymous memory per idle connection that has exchanged a name and has a deadline, in a
/// release build.
pub(crate) const BYTES_PER_IDLE_CONNECTION: f64 = 104.0;

/// Wake-ups within two seconds without input.
pub(crate) const WAKE_UPS_WHILE_IDLE: u64 = 4;

/// User-space instructions of the example `echo` for a message of 6 bytes, with 50 connections, in a
/// release build.
pub(crate) const INSTRUCTIONS_PER_ECHO: f64 = 345.0;

/// The same of `lines` for a line.
pub(crate) const INSTRUCTIONS_PER_LINE: f64 = 510.0;

/// The same of `http` for a GET of 128 bytes with one field.
pub(crate) const INSTRUCTIONS_PER_REQUEST: f64 = 1199.0;

/// The same with 16 requests in each write.
pub(crate) const INSTRUCTIONS_PER_PIPELINED_REQUEST: f64 = 900.0;

/// The same of `resp` for a SET of 3 bytes.
pub(crate) const INSTRUCTIONS_PER_COMMAND: f64 = 960.0;

/// The same with 16 commands in each write.
pub(crate) const INSTRUCTIONS_PER_PIPELINED_COMMAND: f64 = 670.0;

/// The same of `chat` for a line that it refuses as a name.
pub(crate) const INSTRUCTIONS_PER_CHAT_LINE: f64 = 1600.0;

/// The same of `forward` for 64 bytes that an echo behind it returns: two reads and two writes.
///
/// Each way gathers events for some microseconds, and allocates twice: a copy, and what shares it.
pub(crate) const INSTRUCTIONS_PER_FORWARDED_EXCHANGE: f64 = 3050.0;
