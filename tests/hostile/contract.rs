//! The contract between the loop, its peers and the kernel, on real sockets: the defects of the
//! first edition that only the kernel shows. Their numbers are those of docs/testing.md.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use oneloop::{
    CloseReason, Context, EndReason, Event, Limits, Next, Peer, Service, ServiceContext,
};

use crate::common::descriptors::affordable;
use crate::common::{Inside, PATIENCE, eventually};

/// A service whose sessions do as `step` does, and all the same.
struct Uniform(fn(Event, &mut Context<'_>) -> Next);

impl Service for Uniform {
    type Session = ();

    fn open(&mut self, _: Peer, _: &mut ServiceContext) {}

    fn step(&mut self, (): &mut (), event: Event, cx: &mut Context<'_>) -> Next {
        self.0(event, cx)
    }
}

fn start(limits: Limits, step: fn(Event, &mut Context<'_>) -> Next) -> Inside {
    Inside::start(Uniform(step), limits, |os| os)
}

fn connect(inside: &Inside) -> TcpStream {
    let stream = TcpStream::connect(inside.address()).expect("a listener");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    stream
}

/// Waits until so many connections have ended for this reason.
fn await_end(inside: &Inside, why: EndReason, times: u64) {
    eventually("the connections have ended", || {
        (inside.look().counters.ended(why) == times).then_some(())
    });
}

/// Closes with a reset, as a program does that ends with unread input.
fn reset(stream: TcpStream) {
    stream.peek(&mut [0; 1]).expect("a byte");
    drop(stream);
}

fn hour(cx: &Context<'_>) -> Next {
    Next::Read {
        until: cx.after(Duration::from_secs(3600)),
    }
}

#[test]
fn b1_reset_after_a_half_close_ends_the_session() {
    let inside = start(Limits::default(), |event, cx| {
        if event == Event::Eof {
            cx.write(b"!");
        }
        hour(cx)
    });
    let stream = connect(&inside);
    stream.shutdown(Shutdown::Write).expect("a socket");
    reset(stream);
    await_end(&inside, EndReason::Reset, 1);
    inside.end();
}

#[test]
fn b1_reset_of_a_peer_is_noticed_by_a_session_that_pauses() {
    let inside = start(Limits::default(), |event, cx| {
        if event == Event::Open {
            cx.write(b"!");
        }
        Next::Pause {
            until: cx.after(Duration::from_secs(3600)),
        }
    });
    reset(connect(&inside));
    await_end(&inside, EndReason::Reset, 1);
    inside.end();
}

#[test]
fn b1_end_of_a_peer_is_noticed_by_a_session_that_pauses() {
    let inside = start(Limits::default(), |event, cx| match event {
        Event::Eof => {
            assert_eq!(cx.input(), b"an element");
            Next::Close(CloseReason::Eof)
        }
        _ => Next::Pause {
            until: cx.after(Duration::from_secs(3600)),
        },
    });
    let mut stream = connect(&inside);
    stream.write_all(b"an element").expect("a connection");
    stream.shutdown(Shutdown::Write).expect("a socket");
    await_end(&inside, EndReason::Eof, 1);
    inside.end();
}

#[test]
fn b2_output_that_was_not_taken_ends_with_a_reset() {
    let limits = Limits {
        write_timeout: Duration::from_millis(200),
        output_bytes_max: 64 << 20,
        ..Limits::default()
    };
    let inside = start(limits, |event, cx| {
        if event == Event::Open {
            cx.write(&vec![b'x'; 32 << 20]);
        }
        hour(cx)
    });
    let mut stream = connect(&inside);
    await_end(&inside, EndReason::WriteTimeout, 1);
    let mut heard = Vec::new();
    let error = stream.read_to_end(&mut heard).expect_err("a reset");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert!(heard.len() < 32 << 20);
    inside.end();
}

#[test]
fn b2_session_cut_off_by_a_drain_ends_with_a_reset() {
    let limits = Limits {
        drain_timeout: Duration::from_millis(200),
        ..Limits::default()
    };
    let inside = start(limits, |_, cx| hour(cx));
    let mut stream = connect(&inside);
    eventually("it is served", || {
        (inside.look().counters.accepted() == 1).then_some(())
    });
    inside.stop();
    assert_eq!(inside.join().expect("a polite end").aborted, 1);
    let error = stream.read(&mut [0; 1]).expect_err("a reset");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[test]
fn b3_connections_in_the_queue_are_answered_before_the_server_stops() {
    // One is accepted in each turn, so that the drain finds the others in the queue.
    let limits = Limits {
        turn_accepts_max: 1,
        ..Limits::default()
    };
    let inside = start(limits, echo_and_say_goodbye);
    let mut streams: Vec<_> = (0..50).map(|_| connect(&inside)).collect();
    for stream in &mut streams {
        stream.write_all(b"hello").expect("a connection");
    }
    inside.stop();
    for mut stream in streams {
        let mut heard = String::new();
        stream.read_to_string(&mut heard).expect("no reset");
        assert_eq!(heard, "hello, and bye");
    }
    assert_eq!(inside.join().expect("a polite end").aborted, 0);
}

#[test]
fn i8_names_that_had_arrived_before_the_drain_are_all_answered() {
    let inside = start(Limits::default(), echo_and_say_goodbye);
    let mut streams: Vec<_> = (0..affordable(1000)).map(|_| connect(&inside)).collect();
    eventually("all are served", || {
        (inside.look().counters.accepted() == streams.len() as u64).then_some(())
    });
    for stream in &mut streams {
        stream.write_all(b"hello").expect("a connection");
    }
    inside.stop();
    for mut stream in streams {
        let mut heard = String::new();
        stream.read_to_string(&mut heard).expect("no reset");
        assert_eq!(heard, "hello, and bye");
    }
    assert_eq!(inside.join().expect("a polite end").aborted, 0);
}

fn echo_and_say_goodbye(event: Event, cx: &mut Context<'_>) -> Next {
    let input = cx.input();
    cx.write(input);
    cx.consume(input.len());
    if event == Event::Drain {
        cx.write(b", and bye");
        return Next::Close(CloseReason::Shutdown);
    }
    hour(cx)
}
