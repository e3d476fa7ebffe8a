//! One conversation: the names in flight, and the message that must come next.

use oneloop::Context;

use crate::name::Name;
use crate::wire::{EXIT, GOOD_BYE, GREETING};

/// One client of a greeting server.
#[derive(Debug)]
pub struct Client {
    number: u32,
    /// Names that were sent and not answered yet.
    in_flight: u32,
    /// Names sent, over this and earlier connections.
    sent: u64,
    stage: Stage,
}

/// A message of the server, verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message {
    /// The welcome and the first question.
    Greeting,
    /// The reply to the name with this number, and the next question.
    Answer(u64),
    /// The answer to `exit`.
    GoodBye,
}

/// The error of input that differs from what must come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unexpected {
    /// The message that must come is another one.
    Wrong,
    /// No message must come.
    Extra,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The greeting has not arrived yet.
    Connecting,
    /// Names may be sent.
    Talking,
    /// `exit` was sent.
    Leaving,
    /// The goodbye has arrived.
    Parted,
}

impl Client {
    /// Creates client `number`, which has sent `sent` names over earlier connections.
    #[must_use]
    pub const fn new(number: u32, sent: u64) -> Self {
        Self {
            number,
            in_flight: 0,
            sent,
            stage: Stage::Connecting,
        }
    }

    /// Returns the client's number.
    #[inline]
    #[must_use]
    pub const fn number(&self) -> u32 {
        self.number
    }

    /// Returns the number of names sent, over this and earlier connections.
    #[inline]
    #[must_use]
    pub const fn sent(&self) -> u64 {
        self.sent
    }

    /// Returns the number of names that were sent and not answered yet.
    #[inline]
    #[must_use]
    pub const fn in_flight(&self) -> u32 {
        self.in_flight
    }

    /// Returns true once the greeting has arrived.
    #[inline]
    #[must_use]
    pub fn is_greeted(&self) -> bool {
        self.stage != Stage::Connecting
    }

    /// Returns true if names may be sent: after the greeting and before `exit`.
    #[inline]
    #[must_use]
    pub fn is_talking(&self) -> bool {
        self.stage == Stage::Talking
    }

    /// Returns true once the goodbye has arrived.
    #[inline]
    #[must_use]
    pub fn has_parted(&self) -> bool {
        self.stage == Stage::Parted
    }

    /// Sends the next name and `ending`, and returns its number.
    #[inline]
    pub fn send_name(&mut self, ending: &[u8], cx: &mut Context<'_>) -> u64 {
        let number = self.sent;
        cx.write_parts([&Name::new(self.number, number).bytes(), ending]);
        self.sent += 1;
        self.in_flight += 1;
        number
    }

    /// Sends `exit` and `ending`.
    pub fn send_exit(&mut self, ending: &[u8], cx: &mut Context<'_>) {
        cx.write_parts([EXIT.as_bytes(), ending]);
        self.stage = Stage::Leaving;
    }

    /// Consumes the next message. Returns `None` if it is incomplete.
    ///
    /// # Errors
    /// If the input differs from what must come. It is not consumed then.
    #[inline]
    pub fn receive(&mut self, cx: &mut Context<'_>) -> Result<Option<Message>, Unexpected> {
        if self.in_flight == 0 {
            return self.receive_other(cx);
        }
        let number = self.sent - u64::from(self.in_flight);
        let answer = Name::new(self.number, number).answer();
        let arrived = take(&answer, cx)?;
        self.in_flight -= u32::from(arrived);
        Ok(arrived.then_some(Message::Answer(number)))
    }

    fn receive_other(&mut self, cx: &mut Context<'_>) -> Result<Option<Message>, Unexpected> {
        let (expected, message, next) = match self.stage {
            _ if cx.input().is_empty() => return Ok(None),
            Stage::Connecting => (GREETING, Message::Greeting, Stage::Talking),
            Stage::Leaving => (GOOD_BYE, Message::GoodBye, Stage::Parted),
            Stage::Talking | Stage::Parted => return Err(Unexpected::Extra),
        };
        if !take(expected.as_bytes(), cx)? {
            return Ok(None);
        }
        self.stage = next;
        Ok(Some(message))
    }
}

/// Consumes `expected` from the input. Returns false if it is incomplete.
#[inline]
fn take(expected: &[u8], cx: &mut Context<'_>) -> Result<bool, Unexpected> {
    let input = cx.input();
    // The usual case has a length that the compiler knows.
    match input.get(..expected.len()) {
        Some(whole) if whole == expected => {
            cx.consume(expected.len());
            Ok(true)
        }
        None if expected.starts_with(input) => Ok(false),
        _ => Err(Unexpected::Wrong),
    }
}

#[cfg(test)]
mod tests {
    use oneloop::testing::Harness;
    use oneloop::{Event, Next, Peer, Service, ServiceContext, Time};

    use super::*;
    use crate::wire::{TOO_SLOW, reply};

    /// Two names, and `exit` in the same write; the messages received.
    #[derive(Default)]
    struct TwoNames(Vec<Result<Message, Unexpected>>);

    impl Service for TwoNames {
        type Session = Client;

        fn open(&mut self, _: Peer, _: &mut ServiceContext) -> Client {
            Client::new(7, 12)
        }

        fn step(&mut self, client: &mut Client, _: Event, cx: &mut Context<'_>) -> Next {
            while let Some(received) = client.receive(cx).transpose() {
                self.0.push(received);
                if received == Ok(Message::Greeting) {
                    client.send_name(b"\n", cx);
                    client.send_name(b"\n", cx);
                    client.send_exit(b"\n", cx);
                }
                if received.is_err() {
                    break;
                }
            }
            Next::Read {
                until: Time::UNBOUNDED,
            }
        }
    }

    /// Returns the messages that `input` yields, cut into pieces of `piece` bytes, and the output.
    fn received(input: &str, piece: usize) -> (Vec<Result<Message, Unexpected>>, Vec<u8>) {
        let (mut service, mut harness) = (TwoNames::default(), Harness::new());
        let mut client = harness.open(&mut service);
        for piece in input.as_bytes().chunks(piece) {
            harness.receive(piece);
            harness.step(&mut service, &mut client, Event::Data);
            if service.0.last().is_some_and(Result::is_err) {
                break;
            }
        }
        (service.0, harness.take_output())
    }

    fn conversation() -> String {
        let [first, second] = ["0007000c", "0007000d"].map(reply);
        [GREETING, &first, &second, GOOD_BYE].concat()
    }

    const ALL: [Message; 4] = [
        Message::Greeting,
        Message::Answer(12),
        Message::Answer(13),
        Message::GoodBye,
    ];

    #[test]
    fn right_input_in_pieces_of_any_size_is_received_message_by_message() {
        let input = conversation();
        for piece in 1..=input.len() {
            let (messages, output) = received(&input, piece);
            assert_eq!(messages, ALL.map(Ok));
            assert_eq!(output, b"0007000c\n0007000d\nexit\n");
        }
    }

    #[test]
    fn one_wrong_byte_is_unexpected_as_soon_as_it_arrives() {
        let input = conversation();
        for at in 0..input.len() {
            let mut wrong = input.clone().into_bytes();
            wrong[at] ^= 1;
            let wrong = String::from_utf8(wrong).expect("ASCII");
            for piece in [1, input.len()] {
                let (messages, _) = received(&wrong[..=at], piece);
                let (last, before) = messages.split_last().expect("an error");
                assert_eq!(*last, Err(Unexpected::Wrong), "byte {at}");
                assert!(
                    before
                        .iter()
                        .zip(ALL)
                        .all(|(message, of)| *message == Ok(of))
                );
            }
        }
    }

    #[test]
    fn input_after_the_goodbye_is_extra() {
        let (messages, _) = received(&(conversation() + "!"), usize::MAX);
        assert_eq!(messages[4], Err(Unexpected::Extra));
    }

    #[test]
    fn input_before_a_name_was_sent_is_extra() {
        let (mut service, mut harness) = (TwoNames::default(), Harness::new());
        let mut client = harness.open(&mut service);
        client.stage = Stage::Talking;
        harness.receive(TOO_SLOW.as_bytes());
        harness.step(&mut service, &mut client, Event::Data);
        assert_eq!(service.0, [Err(Unexpected::Extra)]);
        assert_eq!(harness.unread(), TOO_SLOW.as_bytes());
    }
}
