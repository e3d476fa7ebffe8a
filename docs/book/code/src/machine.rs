//! Chapter 12: the conversation as a state machine. It has no socket, no clock and no thread.

// ANCHOR: states
/// Where a conversation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The connection is new, and nothing is sent.
    Greeting,
    /// The question is sent, and a name is awaited.
    AwaitName,
    /// The last line is sent.
    Closing,
}

/// What can happen to a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input<'a> {
    /// The connection is established.
    Opened,
    /// A whole name has arrived.
    Name(&'a str),
    /// The deadline of the name has come.
    Deadline,
}
// ANCHOR_END: states

// ANCHOR: step
/// Returns the next state, and appends what is to be sent to `output`.
pub fn step(state: State, input: Input<'_>, output: &mut String) -> State {
    const QUESTION: &str = "What's your name?";
    match (state, input) {
        (State::Greeting, Input::Opened) => {
            output.push_str("Welcome!\n");
            output.push_str(QUESTION);
            State::AwaitName
        }
        (State::AwaitName, Input::Name("exit")) => {
            output.push_str("Good bye!\n");
            State::Closing
        }
        (State::AwaitName, Input::Name(name)) => {
            output.push_str(&format!("Hello {name}!\n{QUESTION}"));
            State::AwaitName
        }
        (State::AwaitName, Input::Deadline) => {
            output.push_str("You took too long. Good bye!\n");
            State::Closing
        }
        (state, _) => state,
    }
}
// ANCHOR_END: step
