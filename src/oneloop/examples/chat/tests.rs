//! Conversations, in simulated storms too; members that do not read; ten thousand members.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Instant;

use oneloop::testing::Harness;
use oneloop_sim::{Client, Dialog, Faults, LinkProfile, Network, Rng, Simulation, Status, storm};

use super::*;

const GREETING: &str = "your name, please\n";

fn chat() -> Simulation<Chat> {
    Simulation::new(Chat::default(), Limits::default(), 1)
}

/// Connects a member with this name.
fn member(chat: &mut Simulation<Chat>, name: &str) -> Client {
    let client = chat.connect();
    client.send(format!("{name}\n").as_bytes());
    pass(chat);
    assert_eq!(client.received(), GREETING.as_bytes());
    client
}

/// Sends a line and lets everything happen that follows from it.
fn say(chat: &mut Simulation<Chat>, client: &Client, line: &str) {
    client.send(format!("{line}\n").as_bytes());
    pass(chat);
}

fn pass(chat: &mut Simulation<Chat>) {
    chat.run_for(Duration::from_secs(1));
}

fn heard(client: &Client) -> String {
    String::from_utf8(client.received()).expect("text")
}

#[test]
fn line_reaches_the_others_in_the_room_only() {
    let mut chat = chat();
    let [ann, bob, cat] = ["ann", "bob", "cat"].map(|name| member(&mut chat, name));
    say(&mut chat, &ann, "hello");
    assert_eq!(
        [heard(&ann), heard(&bob), heard(&cat)],
        ["", "ann: hello\n", "ann: hello\n"]
    );
    say(&mut chat, &cat, "/join attic");
    say(&mut chat, &ann, "is it cold\tup there?");
    assert_eq!(
        [heard(&bob), heard(&cat)],
        ["ann: is it coldup there?\n", ""]
    );
    say(&mut chat, &bob, "/join attic");
    say(&mut chat, &cat, "it is");
    assert_eq!([heard(&ann), heard(&bob)], ["", "cat: it is\n"]);
}

#[test]
fn private_message_reaches_one_member_in_any_room() {
    let mut chat = chat();
    let [ann, bob, cat] = ["ann", "bob", "cat"].map(|name| member(&mut chat, name));
    say(&mut chat, &bob, "/join attic");
    say(&mut chat, &ann, "/msg bob come down, please");
    assert_eq!(heard(&bob), "ann (to you): come down, please\n");
    say(&mut chat, &ann, "/msg dan hello");
    assert_eq!([heard(&ann), heard(&cat)], ["no such member\n", ""]);
}

#[test]
fn name_is_one_word_that_no_other_member_has() {
    let mut chat = chat();
    let ann = member(&mut chat, "ann");
    let other = chat.connect();
    for name in ["ann", "", "two words", "\u{7}"] {
        say(&mut chat, &other, name);
    }
    let refusals = "another name, please\n".repeat(4);
    assert_eq!(heard(&other), format!("{GREETING}{refusals}"));
    say(&mut chat, &ann, "/leave");
    assert!(ann.at_end());
    chat.run_for(Limits::default().linger_timeout);
    say(&mut chat, &other, "ann");
    assert_eq!(heard(&other), "");
    assert_eq!(chat.reactor().service().0.len(), 1);
}

#[test]
fn line_that_is_too_long_ends_the_connection() {
    let mut chat = chat();
    let [ann, bob] = ["ann", "bob"].map(|name| member(&mut chat, name));
    say(&mut chat, &ann, &"x".repeat(1000));
    assert_eq!(heard(&bob).len(), "ann: \n".len() + 1000);
    say(&mut chat, &ann, &"x".repeat(1001));
    assert!(ann.at_end());
    chat.run_for(Limits::default().linger_timeout);
    assert_eq!(chat.reactor().service().0.len(), 1);
}

#[test]
fn member_that_never_reads_is_dropped_within_a_second_and_the_others_hear_all() {
    let mut chat = chat();
    let [deaf, bob, cat] = ["deaf", "bob", "cat"].map(|name| member(&mut chat, name));
    deaf.stop_reading();
    let line = "x".repeat(1000);
    let mut sent = 0;
    while chat.reactor().counters().ended(EndReason::Aborted) == 0 {
        assert!(sent < 1000, "it was not dropped");
        bob.send(format!("{line}\n").as_bytes());
        chat.run_for(Duration::from_millis(1));
        sent += 1;
    }
    // The kernel's buffers take the first ones.
    assert!(sent > BACKLOG_MAX, "dropped after {sent}");
    pass(&mut chat);
    assert_eq!(heard(&cat), format!("bob: {line}\n").repeat(sent));
    assert_eq!((heard(&bob).as_str(), deaf_status(&deaf)), ("", "reset"));
}

fn deaf_status(client: &Client) -> &'static str {
    match client.status() {
        Status::Failed(std::io::ErrorKind::ConnectionReset) => "reset",
        _ => "not reset",
    }
}

#[test]
fn dialogs_in_a_storm_have_no_wrong_byte() {
    let mut complete = 0;
    for seed in 0..200 {
        let mut random = Rng::new(seed);
        let dialogs: Vec<_> = (0..4).map(|number| dialog(number, &mut random)).collect();
        complete += storm(Chat::default(), Limits::default(), seed, &dialogs).complete;
    }
    assert!(complete > 500, "only {complete} of 800 were complete");
}

/// A member that is alone in its room.
fn dialog(number: usize, random: &mut Rng) -> Dialog {
    let mut sends = format!("name{number}\n/join room{number}\n");
    for _ in 0..random.magnitude(1..=100) {
        let text = "x".repeat(random.magnitude(1..=900) as usize);
        sends += &match random.below(3) {
            0 => format!("/msg nobody {text}\n"),
            1 => format!("/join other{number}\n"),
            _ => format!("{text}\n"),
        };
    }
    if random.random_bool(0.5) {
        sends += "/leave\n";
    }
    let (mut chat, mut harness) = (Chat::default(), Harness::new());
    let mut session = harness.open(&mut chat);
    harness.step(&mut chat, &mut session, Event::Open);
    for line in sends.split_inclusive('\n') {
        harness.receive(line.as_bytes());
        harness.step(&mut chat, &mut session, Event::Data);
    }
    let (sends, expects) = (sends.into_bytes(), harness.take_output());
    Dialog { sends, expects }
}

#[test]
fn conversation_in_a_storm_is_heard_in_order_and_without_gaps() {
    let mut heard_all = 0;
    for seed in 0..200 {
        let mut random = Rng::new(seed);
        let network = Network::<false>::new(seed);
        let mut chat = Simulation::with_network(network, Chat::default(), Limits::default());
        let clients: Vec<_> = (0..4)
            .map(|number| {
                let mut link = LinkProfile::sample(&mut random);
                // Through a smaller one, a kilobyte takes minutes.
                link.receive_buffer_bytes = link.receive_buffer_bytes.max(1000);
                let client = chat.connect_over(link);
                client.send(format!("name{number}\n").as_bytes());
                client
            })
            .collect();
        let speaker = chat.connect();
        speaker.send(b"ann\n");
        chat.run_for(Duration::from_secs(600));
        chat.network().set_faults(Faults::sample(&mut random));
        let mut expected = GREETING.to_owned();
        for number in 0..50 {
            let text = format!("{number}{}", "x".repeat(random.magnitude(1..=900) as usize));
            speaker.send(format!("{text}\n").as_bytes());
            expected += &format!("ann: {text}\n");
            chat.run_for(random.duration_up_to(Duration::from_millis(200)));
        }
        chat.run_for(Duration::from_secs(1800));
        let is_well = |client: &Client| client.status() == Status::Open && !client.at_end();
        for client in &clients {
            let heard = client.received();
            assert!(expected.as_bytes().starts_with(&heard), "seed {seed}");
            if is_well(client) && is_well(&speaker) {
                assert_eq!(heard.len(), expected.len(), "seed {seed}");
                heard_all += 1;
            }
        }
    }
    assert!(heard_all > 400, "only {heard_all} of 800 heard everything");
}

#[test]
fn message_that_ten_thousand_members_wait_for_is_held_once() {
    let limits = Limits {
        connections_max: 20_000,
        send_buffer_bytes: 1000,
        ..Limits::default()
    };
    let mut chat = Simulation::new(Chat::default(), limits, 1);
    let link = LinkProfile {
        receive_buffer_bytes: 1000,
        ..LinkProfile::ideal()
    };
    let clients: Vec<_> = (0..10_000)
        .map(|number| {
            let client = chat.connect_over(link.clone());
            client.send(format!("{number}\n").as_bytes());
            if number % 1000 == 999 {
                chat.run_for(Duration::from_secs(1));
            }
            client
        })
        .collect();
    assert_eq!(chat.reactor().service().0.len(), clients.len());
    clients.iter().for_each(Client::stop_reading);
    let text = "x".repeat(1024);
    let handle = chat.reactor_mut().handle();
    let mut post = || {
        let text = text.clone();
        let posted = handle.run(move |chat, cx| chat.post(&text, |_| true, cx));
        posted.expect("room for a call");
        chat.run_for(Duration::from_secs(1));
    };
    // The buffers on the way take some.
    (0..5).for_each(|_| post());
    let held = allocation_counter::measure(post).bytes_current;
    assert!(held < 1024 * 1024, "{held} bytes for a message of 1 KiB");
    assert_eq!(chat.reactor().open_connections(), clients.len());
}

#[test]
fn message_of_another_thread_is_heard_within_five_milliseconds() {
    let descriptors = rlimit::increase_nofile_limit(20_000).expect("a limit") as usize;
    let members = 9_000.min((descriptors - 500) / 2);
    let (sender, receiver) = std::sync::mpsc::channel();
    let server = thread::spawn(move || {
        let mut reactor = Reactor::new(Chat::default(), Limits::default()).expect("a poller");
        let address = reactor.listen(([127, 0, 0, 1], 0).into()).expect("a port");
        sender
            .send((address, reactor.handle()))
            .expect("the test waits");
        reactor.run().expect("the loop runs to its end");
    });
    let (address, handle) = receiver.recv().expect("it starts");
    let join = |number| {
        let mut client = BufReader::new(TcpStream::connect(address).expect("it listens"));
        client
            .get_mut()
            .write_all(format!("{number}\n").as_bytes())
            .expect("it reads");
        client.read_line(&mut String::new()).expect("a greeting");
        client
    };
    let mut clients: Vec<_> = (0..members).map(join).collect();
    let mut line = String::new();
    let mut delays = Vec::new();
    for number in 0..50 {
        let name = (number * members / 50).to_string();
        let client = &mut clients[number * members / 50];
        let start = Instant::now();
        let post = move |chat: &mut Chat, cx: &mut ServiceContext| {
            chat.post("hello", |member| member.name == name, cx);
        };
        handle.run(post).expect("room for a call");
        client.read_line(&mut line).expect("it is heard");
        delays.push(start.elapsed());
    }
    assert_eq!(line, "hello\n".repeat(50));
    handle.stop();
    server.join().expect("no panic");
    // Other programs may delay any of them, but not all.
    let least = delays.iter().min().expect("some");
    assert!(
        *least < Duration::from_millis(5),
        "{delays:?} at {members} members"
    );
}
