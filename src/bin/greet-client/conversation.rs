//! The conversation: hear the question, say a name, and again until one side has had enough.

use crate::failure::{Failure, Rubbish};
use crate::terminal::{Names, Screen};
use crate::wire::{EXIT, GOOD_BYE, Message, QUESTION, Wire};

/// Answers every question with the next of `names`, and the one after the last with `exit`.
///
/// No name goes out before it is asked for: a server may take whatever one read returns for one
/// name.
///
/// # Errors
///
/// Whatever keeps the server from saying good bye after `exit`.
pub(crate) fn hold(wire: &mut Wire, names: &mut Names, screen: &mut Screen) -> Result<(), Failure> {
    hear_question(wire, screen)?;
    while let Some(name) = names.next()?
        && name != EXIT
    {
        wire.say(&name)?;
        hear_question(wire, screen)?;
    }
    wire.say(EXIT)?;
    hear_good_bye(wire, screen)
}

fn hear_question(wire: &mut Wire, screen: &mut Screen) -> Result<(), Failure> {
    while hear(wire, screen)? != Message::Question {}
    Ok(())
}

/// Does not wait for the connection to end: after the good bye there is nothing left to wait for.
fn hear_good_bye(wire: &mut Wire, screen: &mut Screen) -> Result<(), Failure> {
    while hear(wire, screen)? != Message::Line(GOOD_BYE.to_vec()) {}
    Ok(())
}

/// Shows the next message, or as much of it as came.
fn hear(wire: &mut Wire, screen: &mut Screen) -> Result<Message, Failure> {
    match wire.hear() {
        Ok(Message::Question) => {
            screen.show(QUESTION)?;
            Ok(Message::Question)
        }
        Ok(Message::Line(line)) => {
            screen.show(&line)?;
            if str::from_utf8(&line).is_err() {
                return Err(wire.rubbish(Rubbish::NotUtf8));
            }
            Ok(Message::Line(line))
        }
        Err(failure) => {
            if !wire.unfinished().is_empty() {
                screen.show(wire.unfinished())?;
            }
            Err(failure)
        }
    }
}
