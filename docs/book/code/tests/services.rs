//! Chapters 12 and 13: the state machine alone, and services under simulation and on sockets.

use std::time::Duration;

use oneloop::{CloseReason, Context, Event, Limits, Next, Peer, Service, ServiceContext};
use oneloop_book::lab::{Client, Program};
use oneloop_book::machine::{Input, State, step};
use oneloop_book::services::chat::Chat;
use oneloop_book::services::echo::{Echo, PATIENCE};
use oneloop_sim::{Faults, Simulation};

// ANCHOR: machine
#[test]
fn conversation_is_a_table_of_states_and_inputs() {
    let inputs = [
        Input::Opened,
        Input::Name("Alice"),
        Input::Name("exit"),
        Input::Name("Bob"),
    ];
    let mut output = String::new();
    let mut state = State::Greeting;
    for input in inputs {
        state = step(state, input, &mut output);
    }
    assert_eq!(state, State::Closing);
    assert_eq!(
        output,
        "Welcome!\nWhat's your name?Hello Alice!\nWhat's your name?Good bye!\n"
    );
}
// ANCHOR_END: machine

#[test]
fn deadline_closes_only_while_a_name_is_awaited() {
    let mut output = String::new();
    let state = step(State::AwaitName, Input::Deadline, &mut output);
    assert_eq!(state, State::Closing);
    assert_eq!(output, "You took too long. Good bye!\n");
    assert_eq!(
        step(State::Closing, Input::Deadline, &mut output),
        State::Closing
    );
}

// ANCHOR: minute
#[test]
fn silent_client_is_closed_after_a_minute() {
    let mut simulation = Simulation::new(Echo::default(), Limits::default(), 1);
    let client = simulation.connect();
    client.send(b"hello\n");
    simulation.run_for(PATIENCE - Duration::from_secs(1));
    assert_eq!(client.received(), b"hello\n");
    assert!(!client.at_end());
    simulation.run_for(Duration::from_secs(2));
    assert!(client.at_end());
}
// ANCHOR_END: minute

// ANCHOR: faults
/// Sends twenty lines, 25 ms apart, on a network where events are late now and then. Returns
/// `true` if the service has returned all of them.
fn echoes_everything<S: Service>(service: S, seed: u64) -> bool {
    let mut simulation = Simulation::new(service, Limits::default(), seed);
    simulation.network().set_faults(Faults {
        late_events: 0.01,
        needless_blocks: 0.01,
        ..Faults::NONE
    });
    let client = simulation.connect();
    for _ in 0..20 {
        client.send(b"a line\n");
        simulation.run_for(Duration::from_millis(25));
    }
    simulation.run_for(Duration::from_secs(1));
    client.received() == b"a line\n".repeat(20)
}

#[test]
fn echo_survives_a_hundred_seeds() {
    for seed in 0..100 {
        assert!(echoes_everything(Echo::default(), seed), "seed {seed}");
    }
}
// ANCHOR_END: faults

// ANCHOR: planted
/// An echo with a planted bug: it takes one event for one line.
struct OneLineForOneEvent;

impl Service for OneLineForOneEvent {
    type Session = ();

    fn open(&mut self, _: Peer, _: &mut ServiceContext) {}

    fn step(&mut self, _: &mut (), event: Event, cx: &mut Context<'_>) -> Next {
        if let Some(end) = cx.input().iter().position(|&byte| byte == b'\n') {
            cx.write(&cx.input()[..=end]);
            cx.consume(end + 1);
        }
        match event {
            Event::Timeout => Next::Close(CloseReason::Timeout),
            _ => Next::Read {
                until: cx.after(PATIENCE),
            },
        }
    }
}

#[test]
fn planted_bug_is_found_and_its_seed_replays() {
    let found = (0..100).find(|&seed| !echoes_everything(OneLineForOneEvent, seed));
    let seed = found.expect("a seed that shows the bug");
    println!("seed {seed} shows the bug");
    for _ in 0..3 {
        assert!(!echoes_everything(OneLineForOneEvent, seed));
    }
}
// ANCHOR_END: planted

#[test]
fn chat_passes_lines_to_all_others() {
    let mut simulation = Simulation::new(Chat::default(), Limits::default(), 1);
    let members: Vec<_> = (0..3).map(|_| simulation.connect()).collect();
    simulation.run_for(Duration::from_secs(1));
    members[0].send(b"hello\n");
    simulation.run_for(Duration::from_secs(1));
    assert_eq!(members[0].received(), b"");
    assert_eq!(members[1].received(), b"hello\n");
    assert_eq!(members[2].received(), b"hello\n");
}

#[test]
fn echo_and_chat_serve_real_sockets() {
    let echo = Program::start("ch12", "echo", &[]);
    let mut client = Client::connect(echo.address());
    client.send("one\ntwo\n").unwrap();
    assert_eq!(client.read_until("two\n").unwrap(), "one\ntwo\n");

    let chat = Program::start("ch12", "chat", &[]);
    let mut alice = Client::connect(chat.address());
    let mut bob = Client::connect(chat.address());
    // A line from Bob proves that both are members.
    bob.send("ready\n").unwrap();
    let heard = alice.stream().try_clone().unwrap();
    heard
        .set_read_timeout(Some(Duration::from_millis(200)))
        .unwrap();
    while alice.read_until("ready\n").is_err() {
        bob.send("ready\n").unwrap();
    }
    alice.send("hello\n").unwrap();
    assert_eq!(bob.read_until("\n").unwrap(), "hello\n");
}
