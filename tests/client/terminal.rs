//! The client at a terminal of 80 columns and 24 rows: a pseudo terminal, an emulator for the
//! screen, and a test for a user.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Instant;

use nix::pty::{OpenptyResult, Winsize, openpty};
use nix::sys::termios::{LocalFlags, tcgetattr};
use oneloop_client::wire::{GOOD_BYE, GREETING, TOO_SLOW};

use crate::program::{Running, client_as_installed};
use crate::standin::{DELIVERIES, Delivery, PATIENCE, Standin, read_once, say, tutorial};

const PROMPT: &str = "Please input your name: ";
const LEFT: &str = "\x1b[D";
const UP: &str = "\x1b[A";
const BACKSPACE: &str = "\x7f";
const CTRL_A: &str = "\x01";
const CTRL_C: &str = "\x03";
const CTRL_D: &str = "\x04";
const CTRL_R: &str = "\x12";

/// A terminal with a client on it: keys go to the client, its output to the screen.
struct Terminal {
    client: Running,
    keyboard: File,
    output: Receiver<Vec<u8>>,
    emulator: vt100::Parser,
    /// Every byte of the client's output.
    raw: Vec<u8>,
}

impl Terminal {
    #[track_caller]
    fn start(command: Command) -> Self {
        Self::start_with_output(command, None)
    }

    /// Starts a client with redirected standard output.
    #[track_caller]
    fn start_with_output(mut command: Command, stdout: Option<Stdio>) -> Self {
        let size = Winsize {
            ws_row: 24,
            ws_col: 80,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let OpenptyResult { master, slave } = openpty(&size, None).expect("a terminal is free");
        let clone = || Stdio::from(slave.try_clone().expect("the terminal is open"));
        command
            .stdin(clone())
            .stdout(stdout.unwrap_or_else(clone))
            .stderr(clone());
        let client = Running::start_as_is(&mut command);
        // Ours close here, so that the terminal ends with the client.
        drop((command, slave));
        let keyboard = File::from(master);
        let output = read_in_background(keyboard.try_clone().expect("the terminal is open"));
        Self {
            client,
            keyboard,
            output,
            emulator: vt100::Parser::new(24, 80, 100),
            raw: Vec::new(),
        }
    }

    fn type_in(&mut self, keys: &str) {
        self.keyboard
            .write_all(keys.as_bytes())
            .expect("the terminal is open");
    }

    /// Waits until the screen, without the blanks at the end of its lines, ends so.
    #[track_caller]
    fn expect_end(&mut self, end: &str) {
        self.expect(end, |screen| screen.ends_with(end.trim_end()));
    }

    #[track_caller]
    fn expect(&mut self, what: &str, is_there: impl Fn(&str) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !is_there(&self.screen()) {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.output.recv_timeout(left) {
                Ok(bytes) => self.take_in(&bytes),
                Err(_) => panic!("no {what:?} on the screen:\n{}", self.screen()),
            }
        }
    }

    fn take_in(&mut self, bytes: &[u8]) {
        self.raw.extend_from_slice(bytes);
        self.emulator.process(bytes);
    }

    fn screen(&self) -> String {
        let contents = self.emulator.screen().contents();
        let lines: Vec<&str> = contents.lines().map(str::trim_end).collect();
        lines.join("\n").trim_end().to_owned()
    }

    /// Waits for the client to end. Returns how it ended and the screen.
    #[track_caller]
    fn end(mut self) -> (ExitStatus, String) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.output.recv_timeout(left) {
                Ok(bytes) => self.take_in(&bytes),
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
                Err(mpsc::RecvTimeoutError::Timeout) => panic!("no end:\n{}", self.screen()),
            }
        }
        let status = self.client.0.wait().expect("the client is our child");
        (status, self.screen())
    }
}

/// Reads until the last program with the terminal open has closed it.
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

fn client_at_terminal<T: Send + 'static>(server: &Standin<T>) -> Command {
    let mut command = client_as_installed(&[&server.address()]);
    command.env("TERM", "xterm-256color");
    command
}

/// Starts a server that greets each name, and sends `news` after its first question when the test
/// allows it.
fn newsy(news: &'static str) -> (Standin<Vec<Vec<u8>>>, mpsc::Sender<()>) {
    let (send, may_send) = mpsc::channel();
    let server = Standin::start(move |mut peer| {
        say(&mut peer, GREETING);
        may_send.recv_timeout(PATIENCE).expect("the test goes on");
        say(&mut peer, news);
        let mut names = Vec::new();
        loop {
            let name = read_once(&mut peer);
            names.push(name.clone());
            if name.is_empty() || name == b"exit" {
                say(&mut peer, GOOD_BYE);
                return names;
            }
            say(
                &mut peer,
                [b"Hello ", &name[..], b"!\nWhat's your name?"].concat(),
            );
        }
    });
    (server, send)
}

#[test]
fn conversation_reads_like_the_tutorials() {
    for delivery in DELIVERIES {
        let server = tutorial(delivery);
        let mut terminal = Terminal::start(client_at_terminal(&server));
        terminal.expect_end(PROMPT);
        terminal.type_in("Alice\r");
        terminal.expect_end(&format!("Hello Alice!\nWhat's your name?\n{PROMPT}"));
        terminal.type_in("exit\r");
        let (status, screen) = terminal.end();
        assert_eq!(
            screen,
            "Welcome!\nWhat's your name?\nPlease input your name: Alice\nHello Alice!\n\
             What's your name?\nPlease input your name: exit\nGood bye!"
        );
        assert_eq!(status.code(), Some(0));
        assert_eq!(server.result(), [&b"Alice"[..], b"exit"]);
    }
}

#[test]
fn an_empty_line_asks_again_and_sends_nothing() {
    let server = tutorial(Delivery::Segments);
    let mut terminal = Terminal::start(client_at_terminal(&server));
    terminal.expect_end(PROMPT);
    terminal.type_in("\r");
    terminal.expect_end(&format!("Please input your name:\n{PROMPT}"));
    terminal.type_in("exit\r");
    let (status, screen) = terminal.end();
    assert_eq!(
        screen,
        "Welcome!\nWhat's your name?\nPlease input your name:\n\
         Please input your name: exit\nGood bye!"
    );
    assert_eq!(status.code(), Some(0));
    assert_eq!(server.result(), [b"exit"]);
}

#[test]
fn ctrl_d_is_a_polite_exit_on_a_line_of_its_own() {
    let server = tutorial(Delivery::Segments);
    let mut terminal = Terminal::start(client_at_terminal(&server));
    terminal.expect_end(PROMPT);
    terminal.type_in(CTRL_D);
    let (status, screen) = terminal.end();
    assert!(screen.ends_with("\nGood bye!"), "{screen:?}");
    assert_eq!(status.code(), Some(0));
    assert_eq!(server.result(), [b"exit"]);
}

#[test]
fn ctrl_c_ends_and_restores_the_terminal() {
    let server = tutorial(Delivery::Segments);
    let mut terminal = Terminal::start(client_at_terminal(&server));
    terminal.expect_end(PROMPT);
    let keyboard = terminal.keyboard.try_clone().expect("the terminal is open");
    assert!(!is_cooked(&keyboard));
    terminal.type_in(&format!("Al{CTRL_C}"));
    let status = terminal.client.0.wait().expect("the client is our child");
    assert_eq!(status.signal(), Some(2), "{status:?}");
    assert!(is_cooked(&keyboard));
    assert_eq!(server.result(), [b""], "nothing was sent");
}

fn is_cooked(terminal: &File) -> bool {
    let flags = tcgetattr(terminal).expect("it is a terminal").local_flags;
    flags.contains(LocalFlags::ICANON | LocalFlags::ECHO)
}

#[test]
fn connection_end_at_the_prompt_ends_the_program() {
    for _ in 0..10 {
        let (end, may_end) = mpsc::channel();
        let server = Standin::start(move |mut peer| {
            say(&mut peer, GREETING);
            may_end.recv_timeout(PATIENCE).expect("the test goes on");
            say(&mut peer, TOO_SLOW);
        });
        let address = server.address();
        let mut terminal = Terminal::start(client_at_terminal(&server));
        terminal.expect_end(PROMPT);
        terminal.type_in("Al");
        terminal.expect_end(&format!("{PROMPT}Al"));
        let keyboard = terminal.keyboard.try_clone().expect("the terminal is open");
        end.send(()).expect("the stand-in waits");
        // No key is pressed.
        let (status, screen) = terminal.end();
        assert_eq!(status.code(), Some(5));
        assert!(
            screen.starts_with(&format!(
                "Welcome!\nWhat's your name?\nYou took too long. Good bye!\n\
                 {address} ended the conversation"
            )),
            "{screen}"
        );
        assert!(is_cooked(&keyboard));
    }
}

#[test]
fn connection_end_before_the_prompt_is_noticed() {
    // The farewell comes with the question: before, while and after the editor starts.
    for _ in 0..20 {
        let server = Standin::start(|mut peer| {
            say(&mut peer, GREETING);
            say(&mut peer, TOO_SLOW);
        });
        let (status, screen) = Terminal::start(client_at_terminal(&server)).end();
        assert_eq!(status.code(), Some(5), "{screen}");
        assert_eq!(
            screen.matches("You took too long. Good bye!").count(),
            1,
            "{screen}"
        );
    }
}

#[test]
fn messages_appear_above_the_line_being_edited() {
    let (server, send) = newsy("The server stops at noon.\nBring cake.\n");
    let mut terminal = Terminal::start(client_at_terminal(&server));
    terminal.expect_end(PROMPT);
    terminal.type_in(&format!("Alce{LEFT}{LEFT}"));
    terminal.expect_end(&format!("{PROMPT}Alce"));
    send.send(()).expect("the stand-in waits");
    terminal.expect_end(&format!(
        "Welcome!\nWhat's your name?\nThe server stops at noon.\nBring cake.\n{PROMPT}Alce"
    ));
    // The cursor is where it was.
    terminal.type_in("i\r");
    terminal.expect_end(&format!("Hello Alice!\nWhat's your name?\n{PROMPT}"));
    terminal.type_in(CTRL_D);
    assert_eq!(terminal.end().0.code(), Some(0));
    assert_eq!(server.result(), [&b"Alice"[..], b"exit"]);
}

#[test]
fn messages_appear_above_a_wrapped_line() {
    let (server, send) = newsy("The server stops at noon.\n");
    let mut terminal = Terminal::start(client_at_terminal(&server));
    terminal.expect_end(PROMPT);
    let name = "Bartholomew ".repeat(12) + "Smith";
    terminal.type_in(&format!("{name}{CTRL_A}"));
    terminal.expect_end("Smith");
    send.send(()).expect("the stand-in waits");
    terminal.expect("the message", |screen| screen.contains("at noon"));
    terminal.expect_end("Smith");
    let screen = terminal.screen();
    assert_eq!(
        screen.matches("Please input your name:").count(),
        1,
        "{screen}"
    );
    terminal.type_in("\r");
    terminal.expect_end(PROMPT);
    terminal.type_in(CTRL_D);
    assert_eq!(terminal.end().0.code(), Some(0));
    assert_eq!(server.result(), [name.as_bytes(), b"exit"]);
}

#[test]
fn many_messages_lose_neither_a_line_nor_a_key() {
    let server = Standin::start(|mut peer| {
        say(&mut peer, GREETING);
        for number in 0..200 {
            say(&mut peer, format!("news {number}\n"));
            if number % 10 == 0 {
                // Paces the lines, so that they meet the editor in many states.
                thread::sleep(std::time::Duration::from_millis(3));
            }
        }
        let name = read_once(&mut peer);
        say(&mut peer, GOOD_BYE);
        name
    });
    let mut terminal = Terminal::start(client_at_terminal(&server));
    terminal.expect("the prompt", |screen| screen.contains(PROMPT.trim_end()));
    let name: String = ('a'..='z').collect();
    for key in name.chars() {
        terminal.type_in(&key.to_string());
        thread::sleep(std::time::Duration::from_millis(2));
    }
    terminal.expect_end(&format!("news 199\n{PROMPT}{name}"));
    let screen = terminal.screen();
    let expected: Vec<String> = (177..200).map(|number| format!("news {number}")).collect();
    assert!(screen.starts_with(&expected.join("\n")), "{screen}");
    terminal.type_in("\r");
    terminal.end();
    assert_eq!(server.result(), name.as_bytes());
}

#[test]
fn wide_characters_can_be_edited() {
    for (keys, shown, sent) in [
        (format!("Alixe{LEFT}{BACKSPACE}c"), "Alice", "Alice"),
        (format!("你好{BACKSPACE}"), "你", "你"),
        (format!("你好{LEFT}{LEFT}x"), "x你好", "x你好"),
        (format!("a\u{1f600}b{LEFT}{BACKSPACE}"), "ab", "ab"),
        (format!("Zoe\u{308}!{BACKSPACE}{BACKSPACE}"), "Zo", "Zo"),
    ] {
        let server = tutorial(Delivery::Segments);
        let mut terminal = Terminal::start(client_at_terminal(&server));
        terminal.expect_end(PROMPT);
        terminal.type_in(&keys);
        terminal.expect_end(&format!("{PROMPT}{shown}"));
        terminal.type_in("\r");
        terminal.expect_end(PROMPT);
        terminal.type_in(CTRL_D);
        assert_eq!(terminal.end().0.code(), Some(0));
        assert_eq!(server.result(), [sent.as_bytes(), b"exit"]);
    }
}

#[test]
fn names_can_be_recalled_and_searched_for() {
    let server = tutorial(Delivery::Segments);
    let mut terminal = Terminal::start(client_at_terminal(&server));
    for name in ["Alice", "Bob"] {
        terminal.expect_end(PROMPT);
        terminal.type_in(&format!("{name}\r"));
        terminal.expect(name, |screen| screen.contains(&format!("Hello {name}!")));
    }
    terminal.expect_end(PROMPT);
    terminal.type_in(&format!("{UP}{UP}"));
    terminal.expect_end(&format!("{PROMPT}Alice"));
    terminal.type_in("\r");
    terminal.expect_end(&format!("Hello Alice!\nWhat's your name?\n{PROMPT}"));
    terminal.type_in(&format!("{CTRL_R}Bo"));
    terminal.expect("the match", |screen| screen.ends_with("Bob"));
    terminal.type_in("\r");
    terminal.expect_end(&format!("Hello Bob!\nWhat's your name?\n{PROMPT}"));
    terminal.type_in(CTRL_D);
    assert_eq!(terminal.end().0.code(), Some(0));
    let names = server.result();
    assert_eq!(names, [&b"Alice"[..], b"Bob", b"Alice", b"Bob", b"exit"]);
}

#[test]
fn names_are_remembered_for_the_next_time() {
    let folder = std::env::temp_dir().join(format!("oneloop-history-{}", std::process::id()));
    let file = folder.join("state/greet-client/history");
    for (variable, value) in [
        ("GREET_HISTORY", &file),
        ("XDG_STATE_HOME", &folder.join("state")),
    ] {
        let start = |server: &Standin<_>| {
            let mut command = client_at_terminal(server);
            command.env_remove("GREET_HISTORY").env(variable, value);
            let mut terminal = Terminal::start(command);
            terminal.expect_end(PROMPT);
            terminal
        };
        let server = tutorial(Delivery::Segments);
        let mut terminal = start(&server);
        terminal.type_in("Alice\r");
        terminal.expect_end(&format!("Hello Alice!\nWhat's your name?\n{PROMPT}"));
        terminal.type_in(CTRL_D);
        assert_eq!(terminal.end().0.code(), Some(0));

        let server = tutorial(Delivery::Segments);
        let mut terminal = start(&server);
        terminal.type_in(UP);
        terminal.expect_end(&format!("{PROMPT}Alice"));
        terminal.type_in(&format!("\r{CTRL_D}"));
        assert_eq!(terminal.end().0.code(), Some(0));
        assert_eq!(server.result(), [&b"Alice"[..], b"exit"]);
        std::fs::remove_dir_all(&folder).expect("the history is in there");
    }
}

#[test]
fn several_pasted_lines_are_several_names() {
    let server = tutorial(Delivery::Segments);
    let mut terminal = Terminal::start(client_at_terminal(&server));
    terminal.expect_end(PROMPT);
    terminal.type_in("Alice\rBob\rexit\r");
    let (status, screen) = terminal.end();
    assert_eq!(status.code(), Some(0), "{screen}");
    assert_eq!(server.result(), [&b"Alice"[..], b"Bob", b"exit"]);
}

#[test]
fn control_characters_are_escaped_at_a_terminal() {
    let server = Standin::start(|mut peer| {
        say(&mut peer, "\x1b[2JWelcome!\x07\t\r\nWhat's your name?");
        read_once(&mut peer);
        say(&mut peer, "\u{9b}31m caf\u{e9} \\\nGood bye!\n");
    });
    let mut terminal = Terminal::start(client_at_terminal(&server));
    terminal.expect_end(PROMPT);
    terminal.type_in("exit\r");
    let (status, screen) = terminal.end();
    assert_eq!(
        screen,
        "\\x1b[2JWelcome!\\x07\\x09\\x0d\nWhat's your name?\n\
         Please input your name: exit\n\\u{9b}31m caf\u{e9} \\\nGood bye!"
    );
    assert_eq!(status.code(), Some(0));
}

#[test]
fn dumb_terminal_is_prompted_without_editing() {
    let server = tutorial(Delivery::Segments);
    let mut command = client_at_terminal(&server);
    command.env("TERM", "dumb");
    let mut terminal = Terminal::start(command);
    terminal.expect_end(PROMPT);
    // The first hands over the line, the second is the end of the input.
    terminal.type_in("Alice\x04\x04");
    terminal.expect_end(&format!("Hello Alice!\nWhat's your name?\n{PROMPT}"));
    terminal.type_in(CTRL_D);
    let raw = terminal.raw.clone();
    assert!(!raw.contains(&0x1b), "{}", String::from_utf8_lossy(&raw));
    assert_eq!(terminal.end().0.code(), Some(0));
    assert_eq!(server.result(), [&b"Alice"[..], b"exit"]);
}

#[test]
fn prompt_is_shown_when_output_is_redirected() {
    let (mut reader, writer) = std::io::pipe().expect("pipes can be made");
    let server = tutorial(Delivery::Segments);
    let command = client_at_terminal(&server);
    let mut terminal = Terminal::start_with_output(command, Some(writer.into()));
    terminal.expect_end(PROMPT);
    terminal.type_in("Alice\n");
    terminal.expect_end(&format!("Alice\n{PROMPT}"));
    terminal.type_in("exit\n");
    assert_eq!(terminal.end().0.code(), Some(0));
    let mut output = String::new();
    reader
        .read_to_string(&mut output)
        .expect("the output is text");
    assert_eq!(
        output,
        "Welcome!\nWhat's your name?\nHello Alice!\nWhat's your name?\nGood bye!\n"
    );
    assert_eq!(server.result(), [&b"Alice"[..], b"exit"]);
}

#[test]
fn names_of_the_command_line_need_no_prompt() {
    let server = tutorial(Delivery::Segments);
    let mut command = client_at_terminal(&server);
    command.args(["--name", "Alice"]);
    let (status, screen) = Terminal::start(command).end();
    assert!(!screen.contains(PROMPT.trim_end()), "{screen:?}");
    assert_eq!(status.code(), Some(0));
    assert_eq!(server.result(), [&b"Alice"[..], b"exit"], "bare names");
}

#[test]
fn verbose_client_logs_addresses_alone() {
    let server = tutorial(Delivery::Segments);
    let mut command = client_at_terminal(&server);
    command.arg("--verbose");
    let mut terminal = Terminal::start(command);
    terminal.expect_end(PROMPT);
    terminal.type_in(&format!("Alx{BACKSPACE}ice{CTRL_A}\r"));
    terminal.expect_end(&format!("Hello Alice!\nWhat's your name?\n{PROMPT}"));
    terminal.type_in(CTRL_D);
    let address = server.address();
    let (_, screen) = terminal.end();
    assert!(
        screen.contains(&format!("connected to {address}")),
        "{screen}"
    );
    assert_eq!(screen.matches("DEBUG").count(), 1, "{screen}");
}

#[test]
fn no_color_turns_the_colours_off() {
    let help = |no_color: Option<&str>| {
        let mut command = client_as_installed(&["--help"]);
        command
            .env("TERM", "xterm-256color")
            .env_remove("CLICOLOR")
            .env_remove("CLICOLOR_FORCE")
            .env_remove("NO_COLOR")
            .envs(no_color.map(|value| ("NO_COLOR", value)));
        let mut terminal = Terminal::start(command);
        terminal.expect("the last line", |screen| screen.contains("NO_COLOR=1"));
        terminal.raw
    };
    assert!(help(None).contains(&0x1b));
    assert!(!help(Some("1")).contains(&0x1b));
}
