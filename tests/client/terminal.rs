//! The client at a terminal: a pseudo terminal, with a test for a user.

use std::fs::File;
use std::io::{Read, Write};
use std::process::Command;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Instant;

use nix::pty::{OpenptyResult, openpty};

use crate::program::{Running, client};
use crate::standin::{DELIVERIES, Delivery, PATIENCE, Standin, read_once, say, tutorial};

const PROMPT: &str = "Please input your name: ";

/// A terminal with a client on it: what is typed goes to the client, what either writes is seen.
struct Terminal {
    client: Running,
    keyboard: File,
    output: Receiver<Vec<u8>>,
    /// All that was ever on the screen.
    screen: String,
    /// How much of it earlier expectations have passed.
    passed: usize,
}

impl Terminal {
    #[track_caller]
    fn start(mut command: Command) -> Self {
        let OpenptyResult { master, slave } = openpty(None, None).expect("a terminal is free");
        let clone = || slave.try_clone().expect("the terminal is open");
        command.stdin(clone()).stdout(clone()).stderr(clone());
        let client = Running::start_as_is(&mut command);
        // Ours close here, so that the terminal ends with the client.
        drop((command, slave));
        let keyboard = File::from(master);
        let output = read_in_background(keyboard.try_clone().expect("the terminal is open"));
        Self {
            client,
            keyboard,
            output,
            screen: String::new(),
            passed: 0,
        }
    }

    fn type_in(&mut self, keys: &str) {
        self.keyboard
            .write_all(keys.as_bytes())
            .expect("the terminal is open");
    }

    /// Waits until `text` appears after what was expected before.
    #[track_caller]
    fn expect(&mut self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.screen[self.passed..].find(text) {
                self.passed += at + text.len();
                return;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            match self.output.recv_timeout(left) {
                Ok(bytes) => self.screen += &String::from_utf8_lossy(&bytes),
                Err(_) => panic!("no {text:?} on the screen: {:?}", self.screen),
            }
        }
    }

    /// Waits for the client to end. Returns its exit code and all that was on the screen.
    #[track_caller]
    fn end(mut self) -> (Option<i32>, String) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.output.recv_timeout(left) {
                Ok(bytes) => self.screen += &String::from_utf8_lossy(&bytes),
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
                Err(mpsc::RecvTimeoutError::Timeout) => panic!("no end: {:?}", self.screen),
            }
        }
        let status = self.client.0.wait().expect("the client is our child");
        (status.code(), self.screen.replace("\r\n", "\n"))
    }
}

/// Reads until nobody has the terminal open any more.
fn read_in_background(mut terminal: File) -> Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = [0; 4096];
        while let Ok(count @ 1..) = terminal.read(&mut bytes) {
            if sender.send(bytes[..count].to_vec()).is_err() {
                return;
            }
        }
    });
    receiver
}

#[test]
fn a_conversation_at_a_terminal_reads_like_the_tutorials() {
    for delivery in DELIVERIES {
        let server = tutorial(delivery);
        let mut terminal = Terminal::start(client_at_terminal(&server));
        terminal.expect(PROMPT);
        terminal.type_in("Alice\n");
        terminal.expect(PROMPT);
        terminal.type_in("exit\n");
        let (code, screen) = terminal.end();
        assert_eq!(
            screen,
            "Welcome!\nWhat's your name?\nPlease input your name: Alice\nHello Alice!\n\
             What's your name?\nPlease input your name: exit\nGood bye!\n"
        );
        assert_eq!(code, Some(0));
        assert_eq!(server.result(), [&b"Alice"[..], b"exit"]);
    }
}

#[test]
fn an_empty_line_asks_again_and_sends_nothing() {
    let server = tutorial(Delivery::Segments);
    let mut terminal = Terminal::start(client_at_terminal(&server));
    terminal.expect(PROMPT);
    terminal.type_in("\n");
    terminal.expect(PROMPT);
    terminal.type_in("exit\n");
    let (code, screen) = terminal.end();
    assert_eq!(
        screen,
        "Welcome!\nWhat's your name?\nPlease input your name: \n\
         Please input your name: exit\nGood bye!\n"
    );
    assert_eq!(code, Some(0));
    assert_eq!(server.result(), [b"exit"]);
}

#[test]
fn ctrl_d_is_a_polite_exit_on_a_line_of_its_own() {
    let server = tutorial(Delivery::Segments);
    let mut terminal = Terminal::start(client_at_terminal(&server));
    terminal.expect(PROMPT);
    terminal.type_in("\x04");
    let (code, screen) = terminal.end();
    assert!(screen.ends_with("\nGood bye!\n"), "{screen:?}");
    assert_eq!(code, Some(0));
    assert_eq!(server.result(), [b"exit"]);
}

#[test]
fn ctrl_d_behind_a_name_sends_it() {
    let server = tutorial(Delivery::Segments);
    let mut terminal = Terminal::start(client_at_terminal(&server));
    terminal.expect(PROMPT);
    // The first hands over what stands there, the second is the end of the input.
    terminal.type_in("Alice\x04\x04");
    terminal.expect("\nHello Alice!");
    terminal.expect(PROMPT);
    terminal.type_in("\x04");
    assert_eq!(terminal.end().0, Some(0));
    assert_eq!(server.result(), [&b"Alice"[..], b"exit"]);
}

#[test]
fn a_terminal_is_shown_control_characters_and_does_not_obey_them() {
    let server = Standin::start(|mut peer| {
        say(&mut peer, "\x1b[2JWelcome!\x07\t\r\nWhat's your name?");
        read_once(&mut peer);
        say(&mut peer, "\u{9b}31m caf\u{e9} \\\nGood bye!\n");
    });
    let mut terminal = Terminal::start(client_at_terminal(&server));
    terminal.expect(PROMPT);
    terminal.type_in("exit\n");
    let (code, screen) = terminal.end();
    assert_eq!(
        screen,
        "\\x1b[2JWelcome!\\x07\\x09\\x0d\nWhat's your name?\n\
         Please input your name: exit\n\\u{9b}31m caf\u{e9} \\\nGood bye!\n"
    );
    assert_eq!(code, Some(0));
}

#[test]
fn a_farewell_that_came_while_the_user_was_typing_is_shown() {
    let server = Standin::start(|mut peer| {
        say(&mut peer, "Welcome!\nWhat's your name?");
        say(&mut peer, "You took too long. Good bye!\n");
    });
    let mut terminal = Terminal::start(client_at_terminal(&server));
    terminal.expect(PROMPT);
    server.result();
    terminal.type_in("Alice\n");
    terminal.expect("You took too long. Good bye!\r\n");
    assert_eq!(terminal.end().0, Some(5));
}

#[test]
fn names_of_the_command_line_need_no_prompt() {
    let server = tutorial(Delivery::Segments);
    let mut command = client_at_terminal(&server);
    command.args(["--name", "Alice"]);
    let (code, screen) = Terminal::start(command).end();
    assert!(!screen.contains(PROMPT), "{screen:?}");
    assert_eq!(code, Some(0));
}

#[test]
fn no_color_turns_the_colours_off() {
    let help = |no_color: Option<&str>| {
        let mut command = client(&["--help"]);
        command
            .env("TERM", "xterm-256color")
            .env_remove("CLICOLOR")
            .env_remove("CLICOLOR_FORCE")
            .env_remove("NO_COLOR")
            .envs(no_color.map(|value| ("NO_COLOR", value)));
        Terminal::start(command).end().1
    };
    assert!(help(None).contains('\x1b'));
    assert!(!help(Some("1")).contains('\x1b'));
}

fn client_at_terminal<T: Send + 'static>(server: &Standin<T>) -> Command {
    client(&[&server.address()])
}
