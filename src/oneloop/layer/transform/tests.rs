use super::plain::Plain;
use super::*;
use crate::layer::{Compose, Layered};
use crate::service::{Next, Service, Time};
use crate::testing::Harness;

/// Expects `hi`, answers it, and passes bytes through, each behind a `.`.
struct Dotted;

impl Transform for Dotted {
    type State = ();

    fn open(&mut self, _: &Peer, _: &mut ServiceContext) {}

    fn handshake(
        &mut self,
        (): &mut (),
        event: Event,
        cx: &mut Context<'_>,
    ) -> Result<Handshake, CloseReason> {
        Handshake::check(event)?;
        if cx.input().len() < 2 {
            let until = Time::from_nanos(50);
            return Ok(match event {
                // For a test of the pause.
                Event::Timer(0) => Handshake::Pause { until },
                _ => Handshake::Read { until },
            });
        }
        assert_eq!(cx.input()[..2], *b"hi");
        cx.consume(2);
        cx.write(b"hi");
        Ok(Handshake::Done)
    }

    fn decode(
        &mut self,
        (): &mut (),
        cx: &mut Context<'_>,
        plain: &mut Vec<u8>,
    ) -> Result<Decoded, CloseReason> {
        match cx.input() {
            b"" | [_] => return Ok(Decoded::All),
            [b'.', byte, ..] => plain.push(*byte),
            _ => return Err(CloseReason::ProtocolError),
        }
        cx.consume(2);
        Ok(Decoded::Some)
    }

    fn encode(&mut self, (): &mut (), plain: &Output, cx: &mut Context<'_>) {
        for &byte in plain.pieces().flatten() {
            cx.write(&[b'.', byte]);
        }
    }

    fn fit(&self, room: usize) -> usize {
        room / 2
    }

    fn finish(&mut self, (): &mut (), cx: &mut Context<'_>) {
        cx.write(b"bye");
    }
}

/// Runs a function at each step, and records the events.
struct Acting<F> {
    act: F,
    events: Vec<Event>,
}

impl<F: FnMut(Event, &mut Context<'_>) -> Next> Service for Acting<F> {
    type Session = ();

    fn open(&mut self, _: Peer, _: &mut ServiceContext) {}

    fn step(&mut self, (): &mut (), event: Event, cx: &mut Context<'_>) -> Next {
        self.events.push(event);
        (self.act)(event, cx)
    }
}

type Dots<F> = Layered<Transformed<Dotted>, Acting<F>>;

/// A session behind the transformation.
struct Rig<F: FnMut(Event, &mut Context<'_>) -> Next> {
    service: Dots<F>,
    session: <Dots<F> as Service>::Session,
    harness: Harness,
}

impl<F: FnMut(Event, &mut Context<'_>) -> Next> Rig<F> {
    fn new((mark, max): (usize, usize), act: F) -> Self {
        let events = Vec::new();
        let mut service = Acting { act, events }.with(Transformed::new(Dotted));
        let mut harness = Harness::with_output(mark, max);
        let session = harness.open(&mut service);
        Self {
            service,
            session,
            harness,
        }
    }

    fn step(&mut self, event: Event) -> Next {
        self.harness
            .step(&mut self.service, &mut self.session, event)
    }

    fn receive(&mut self, bytes: &[u8]) -> Next {
        self.harness.receive(bytes);
        self.step(Event::Data)
    }

    /// Takes the events since the last call.
    fn events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.service.inner_mut().events)
    }
}

const READ: Next = Next::Read {
    until: Time::from_nanos(1000),
};
const HANDSHAKE: Next = Next::Read {
    until: Time::from_nanos(50),
};

fn echo(event: Event, cx: &mut Context<'_>) -> Next {
    if cx.has_room() {
        cx.write(cx.input());
        cx.consume(cx.input().len());
    }
    match event {
        Event::Eof => Next::Close(CloseReason::Eof),
        _ => READ,
    }
}

#[test]
fn session_is_opened_after_the_handshake() {
    let mut rig = Rig::new((100, 100), echo);
    assert_eq!(rig.step(Event::Open), HANDSHAKE);
    assert_eq!(rig.receive(b"h"), HANDSHAKE);
    assert_eq!(rig.events(), []);
    assert_eq!(rig.receive(b"i.a"), READ);
    assert_eq!(rig.events(), [Event::Open, Event::Data]);
    assert_eq!(rig.harness.take_output(), b"hi.a");
}

#[test]
fn wake_up_during_the_handshake_comes_after_it() {
    let mut rig = Rig::new((100, 100), echo);
    rig.step(Event::Open);
    assert_eq!(rig.step(Event::Wake), HANDSHAKE);
    rig.receive(b"hi");
    assert_eq!(rig.events(), [Event::Open, Event::Wake]);
}

#[test]
fn wake_up_during_the_handshake_comes_after_output_without_room() {
    let mut rig = Rig::new((4, 100), |event, cx| {
        if event == Event::Open {
            cx.write(b"ab");
        }
        READ
    });
    rig.step(Event::Open);
    rig.step(Event::Wake);
    assert_eq!(rig.receive(b"hi"), Next::Flush);
    assert_eq!(rig.harness.take_output(), b"hi.a.b");
    assert_eq!(rig.step(Event::Flushed), READ);
    assert_eq!(rig.events(), [Event::Open, Event::Flushed, Event::Wake]);
}

#[test]
fn handshake_ends_with_a_timeout_a_drain_or_the_stream() {
    for (event, reason) in [
        (Event::Timeout, CloseReason::Timeout),
        (Event::Drain, CloseReason::Shutdown),
        (Event::Eof, CloseReason::Eof),
    ] {
        let mut rig = Rig::new((100, 100), echo);
        rig.step(Event::Open);
        assert_eq!(rig.step(event), Next::Close(reason));
        assert_eq!(rig.events(), []);
        assert_eq!(rig.harness.take_output(), b"");
    }
}

#[test]
fn handshake_may_pause_and_has_timers_of_its_own() {
    let mut rig = Rig::new((100, 100), echo);
    rig.step(Event::Open);
    let until = Time::from_nanos(50);
    assert_eq!(rig.step(Event::Timer(0)), Next::Pause { until });
    assert_eq!(rig.step(Event::Flushed), HANDSHAKE);
    rig.receive(b"hi");
    assert_eq!(rig.events(), [Event::Open]);
    // Later ones are its own, too: the session's would be `InnerTimer`.
    assert_eq!(rig.step(Event::Timer(0)), READ);
    assert_eq!(rig.events(), []);
}

#[test]
fn flush_of_the_transformation_alone_is_not_the_session_s() {
    let mut rig = Rig::new((100, 100), echo);
    rig.step(Event::Open);
    rig.receive(b"hi");
    rig.events();
    assert_eq!(rig.step(Event::Flushed), READ);
    assert_eq!(rig.events(), []);
    rig.receive(b".a");
    assert_eq!(rig.step(Event::Flushed), READ);
    assert_eq!(rig.events(), [Event::Data, Event::Flushed]);
}

/// Writes while there is room.
fn fill(_: Event, cx: &mut Context<'_>) -> Next {
    while cx.has_room() {
        cx.write(b"a");
    }
    READ
}

#[test]
fn session_without_room_leaves_none_on_the_wire() {
    let mut rig = Rig::new((5, 100), fill);
    rig.step(Event::Open);
    assert_eq!(rig.receive(b"hi"), READ);
    assert_eq!(rig.harness.take_output(), b"hi.a");
    assert!(!rig.harness.had_room(), "so that the loop sends `Flushed`");
    assert_eq!(rig.step(Event::Flushed), READ);
    assert_eq!(rig.events(), [Event::Open, Event::Flushed]);
    assert_eq!(rig.harness.take_output(), b".a.a");
}

#[test]
fn session_without_room_is_flushed_when_part_of_a_frame_is_presented_again() {
    let mut rig = Rig::new((5, 100), fill);
    rig.step(Event::Open);
    rig.receive(b"hi.");
    rig.events();
    // The loop presents unread input again, instead of `Flushed`.
    rig.step(Event::Data);
    assert_eq!(rig.events(), [Event::Flushed]);
}

#[test]
fn incomplete_frame_does_not_step_the_session() {
    let mut rig = Rig::new((100, 100), echo);
    rig.step(Event::Open);
    rig.receive(b"hi");
    rig.events();
    assert_eq!(rig.receive(b"."), READ);
    assert_eq!(rig.events(), []);
    assert_eq!(rig.receive(b"a."), READ);
    assert_eq!(rig.events(), [Event::Data]);
    assert_eq!(rig.harness.unread(), b".");
}

#[test]
fn plaintext_without_room_for_its_answer_waits_for_the_flush() {
    // Takes one byte at a time.
    let mut rig = Rig::new((4, 100), |_, cx| {
        while cx.has_room() && !cx.input().is_empty() {
            cx.write(&cx.input()[..1]);
            cx.consume(1);
        }
        READ
    });
    rig.step(Event::Open);
    rig.receive(b"hi");
    rig.harness.take_output();
    assert_eq!(rig.receive(b".a.b.c"), Next::Flush);
    assert_eq!(rig.harness.take_output(), b".a.b");
    // Meanwhile other events come, but no input.
    rig.events();
    assert_eq!(rig.step(Event::Flushed), READ);
    assert_eq!(rig.events(), [Event::Data]);
    assert_eq!(rig.harness.take_output(), b".c");
}

#[test]
fn session_that_reads_after_a_pause_gets_its_input() {
    let pause = Next::Pause {
        until: Time::from_nanos(7),
    };
    let mut rig = Rig::new((100, 100), |event, cx| match event {
        Event::Data if cx.input() == b"a" => Next::Pause {
            until: Time::from_nanos(7),
        },
        Event::Timeout => READ,
        _ => echo(event, cx),
    });
    rig.step(Event::Open);
    rig.receive(b"hi");
    assert_eq!(rig.receive(b".a"), pause);
    rig.events();
    // Data again, and the session pauses again.
    assert_eq!(rig.step(Event::Timeout), pause);
    assert_eq!(rig.events(), [Event::Timeout, Event::Data]);
}

#[test]
fn paused_session_gets_the_end_of_the_stream() {
    let mut rig = Rig::new((100, 100), |event, cx| match event {
        Event::Data => Next::Pause {
            until: Time::UNBOUNDED,
        },
        _ => echo(event, cx),
    });
    rig.step(Event::Open);
    rig.receive(b"hi.a");
    rig.events();
    rig.harness.receive(b".b");
    assert_eq!(rig.step(Event::Eof), Next::Close(CloseReason::Eof));
    assert_eq!(rig.events(), [Event::Eof]);
    assert_eq!(rig.harness.take_output(), b"hi.a.bbye");
}

#[test]
fn end_of_the_stream_comes_once() {
    let mut rig = Rig::new((100, 100), |_, _| READ);
    rig.step(Event::Open);
    rig.receive(b"hi.a");
    rig.step(Event::Eof);
    rig.step(Event::Eof);
    assert_eq!(rig.events(), [Event::Open, Event::Data, Event::Eof]);
}

#[test]
fn error_of_the_transformation_closes_without_an_end() {
    let mut rig = Rig::new((100, 100), echo);
    rig.step(Event::Open);
    let closed = Next::Close(CloseReason::ProtocolError);
    assert_eq!(rig.receive(b"hi.a!?"), closed);
    assert!(!rig.harness.take_output().ends_with(b"bye"));

    let mut rig = Rig::new((100, 100), echo);
    rig.step(Event::Open);
    rig.receive(b"hi.a.");
    assert_eq!(rig.step(Event::Eof), closed);
    assert_eq!(rig.harness.take_output(), b"hi.a");
}

#[test]
fn plaintext_of_a_large_session_is_moved_once() {
    let mut plain = Plain::default();
    let (mut moved, mut buffer_before) = (0, Vec::new());
    for number in 0..10_000_u32 {
        let bytes = plain.appendable();
        if bytes[..] != buffer_before[..] {
            moved += bytes.len();
        }
        bytes.extend_from_slice(&number.to_le_bytes());
        buffer_before.clone_from(bytes);
        plain.consume(2);
    }
    assert_eq!(plain.len(), 20_000);
    assert!(moved <= 2 * 20_000, "{moved}");
}
