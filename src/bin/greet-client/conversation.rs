//! The conversation: wait for the question, send a name, repeat until one side ends it.

use std::time::Duration;

use crate::failure::{Awaiting, Failure};
use crate::listener::Listener;
use crate::names::Names;
use crate::wire::{EXIT, Framing};

/// Answers every question with the next of `names`, and the one after the last with `exit`.
///
/// No name is sent before it is asked for: a server may take the bytes of one
/// read for one name.
///
/// # Errors
///
/// If the server does not answer `exit` with its goodbye.
pub(crate) fn run(
    listener: &Listener,
    names: &mut Names,
    framing: Framing,
    timeout: Duration,
) -> Result<(), Failure> {
    listener.wait_for(Awaiting::FirstQuestion, framing, timeout)?;
    while let Some(name) = names.next(listener)?
        && name != EXIT
    {
        listener.send(&name, framing, timeout)?;
        listener.wait_for(Awaiting::NextQuestion, framing, timeout)?;
    }
    listener.send(EXIT, framing, timeout)?;
    listener.wait_for(Awaiting::GoodBye, framing, timeout)
}
