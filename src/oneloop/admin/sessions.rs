//! Lists of sessions and of slow turns, as lines of `key=value`.

use std::fmt::{self, Write};
use std::time::Duration;

use crate::service::Time;
use crate::service::inspect::{LoopTimes, SessionReport};

/// Appends a line about a session.
pub(super) fn line(text: &mut String, session: &SessionReport, now: Time) {
    // Writing to a string does not fail.
    let _ = write_line(text, session, now);
}

fn write_line(text: &mut String, session: &SessionReport, now: Time) -> fmt::Result {
    let (peer, about) = (&session.peer, &session.description);
    write!(text, "id={}", peer.id.number())?;
    write!(text, " address={}", peer.address)?;
    if let Some(via) = peer.via() {
        write!(text, " via={via}")?;
    }
    match peer.listener {
        Some(listener) => write!(text, " listener={}", listener.to_string().replace(' ', "-"))?,
        None => write!(text, " outbound={}", peer.tag.unwrap_or_default())?,
    }
    if let Some(opened) = about.opened {
        write!(text, " age={}", Seconds(now - opened))?;
    }
    if let Some(active) = about.active {
        write!(text, " idle={}", Seconds(now - active))?;
    }
    write!(text, " phase={}", session.phase.name())?;
    if let Some(state) = about.state {
        write!(text, " state={state}")?;
    }
    if let (Some(bytes_in), Some(bytes_out)) = (about.bytes_in, about.bytes_out) {
        write!(text, " in={bytes_in} out={bytes_out}")?;
    }
    let (held, pending) = (session.held_bytes, session.pending_bytes);
    write!(text, " held={held} pending={pending}")?;
    if let Some(due) = session.due {
        write!(text, " due={}", Seconds(due - now))?;
    }
    text.push('\n');
    Ok(())
}

/// Appends a line about each slow turn.
pub(super) fn slow_turns(text: &mut String, times: Option<&LoopTimes>, now: Time) {
    let Some(times) = times else {
        text.push_str("the loop does not measure its turns\n");
        return;
    };
    for turn in times.slowest() {
        let (ago, took) = (Seconds(now - turn.at), Seconds(turn.took));
        // Writing to a string does not fail.
        let _ = write!(
            text,
            "took={took} ago={ago} cause={} events={} steps={} accepts={} deadlines={}",
            turn.cause.name(),
            turn.events,
            turn.steps,
            turn.accepts,
            turn.deadlines
        );
        if let Some(last) = turn.last {
            let _ = write!(text, " last_session={last}");
        }
        text.push('\n');
    }
}

/// A duration in seconds, with milliseconds.
struct Seconds(Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}", self.0.as_secs_f64())
    }
}
