//! The client as a process: started with a clean environment, watched to its end, and killed with
//! its test.

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;

use crate::standin::PATIENCE;

/// The exit code and the output of a client.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// `None` if a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

/// Makes a client with these arguments and bare names, for stand-ins of the tutorial's server.
pub(crate) fn client(args: &[&str]) -> Command {
    let mut command = client_as_installed(args);
    command.env("GREET_FRAMING", "silence");
    command
}

/// Makes a client with these arguments and nothing of the test's environment that could change it.
pub(crate) fn client_as_installed(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_greet-client"));
    command.args(args).stdin(Stdio::null());
    for name in ["ADDR", "NAME", "FRAMING", "TIMEOUT"] {
        command.env_remove(format!("GREET_{name}"));
    }
    command.env("GREET_HISTORY", "");
    command
}

/// Runs the client to its end.
#[track_caller]
pub(crate) fn run(command: &mut Command) -> Outcome {
    finish(Running::start(command))
}

/// Runs the client to its end with `input` in a pipe.
#[track_caller]
pub(crate) fn run_with_input(command: &mut Command, input: impl Into<Vec<u8>>) -> Outcome {
    let mut running = Running::start(command.stdin(Stdio::piped()));
    let mut stdin = running.0.stdin.take().expect("standard input is a pipe");
    let input = input.into();
    // The client need not read all of it. The thread ends with the client at the latest.
    thread::spawn(move || stdin.write_all(&input));
    finish(running)
}

impl Outcome {
    /// Checks for success: code 0, this output, no error message.
    #[track_caller]
    pub(crate) fn expect_done(&self, stdout: &str) {
        assert_eq!(self.code, Some(0), "{self:?}");
        assert_eq!(String::from_utf8_lossy(&self.stdout), stdout);
        assert_eq!(self.stderr, "");
    }

    /// Checks for a failure with this code and one sentence that has all of `words` in it.
    #[track_caller]
    pub(crate) fn expect_failed(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert_eq!(self.stderr.lines().count(), 1, "one sentence: {self:?}");
        assert!(self.stderr.ends_with('\n'), "{self:?}");
        for word in words {
            assert!(self.stderr.contains(word), "{word:?} in {self:?}");
        }
    }

    /// Checks for this output and nothing else.
    #[track_caller]
    pub(crate) fn expect_shown(&self, stdout: &str) {
        assert_eq!(String::from_utf8_lossy(&self.stdout), stdout);
    }
}

/// A client that is killed when the test lets go of it.
pub(crate) struct Running(pub(crate) Child);

impl Running {
    #[track_caller]
    pub(crate) fn start(command: &mut Command) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Self::start_as_is(command)
    }

    /// Leaves the client's streams as the command has them.
    #[track_caller]
    pub(crate) fn start_as_is(command: &mut Command) -> Self {
        Self(command.spawn().expect("the client starts"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Reads the output of the client, until it ends.
///
/// Both streams close when the process ends, so waiting for that, with a limit, is waiting for it.
#[track_caller]
pub(crate) fn finish(mut running: Running) -> Outcome {
    let stdout = running.0.stdout.take().map(read_in_background);
    let stderr = running.0.stderr.take().map(read_in_background);
    let stdout = stdout.map(received).unwrap_or_default();
    let stderr = stderr.map(received).unwrap_or_default();
    let status = running.0.wait().expect("the client is our child");
    Outcome {
        code: status.code(),
        stdout,
        stderr: String::from_utf8(stderr).expect("messages are text"),
    }
}

fn read_in_background(mut stream: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        // The test may have given up.
        let _ = sender.send(bytes);
    });
    receiver
}

#[track_caller]
fn received(stream: Receiver<Vec<u8>>) -> Vec<u8> {
    stream
        .recv_timeout(PATIENCE)
        .expect("the client ends in time")
}
