//! A running peer: its address, its costs and its shutdown.

use std::io::{self, BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};
use std::{fs, thread};

use oneloop_load::Process;

use super::{Pin, Unavailable, build};

/// A peer's process. Dropping it kills it and waits for its end.
///
/// Peers exit at the end of their stdin, so that they end if this program is killed. Our own server
/// does not read stdin.
#[derive(Debug)]
pub struct Running {
    name: &'static str,
    child: Child,
    address: SocketAddr,
    pinned_to: Option<usize>,
    lines: Receiver<String>,
}

/// The memory of a process, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Pages in memory, shared ones too (`VmRSS`).
    pub resident: u64,
    /// Anonymous pages: the stack and the heap. Not `Private_Dirty`, which includes the pages of a
    /// newly built program until they are written to disk, and those of a program with one process.
    pub anonymous: u64,
}

impl Running {
    /// Starts a program that prints its address.
    pub(super) fn start(
        name: &'static str,
        command: &[String],
        pin: Pin,
    ) -> Result<Self, Unavailable> {
        let mut running = Self::spawn(name, command, pin)?;
        running.address = first_address(&running.lines)
            .map_err(|why| Unavailable::Failed(format!("{name} did not start: {why}")))?;
        Ok(running)
    }

    /// Starts a program that listens at `address`.
    pub(super) fn start_at(
        address: SocketAddr,
        name: &'static str,
        command: &[String],
        pin: Pin,
    ) -> Result<Self, Unavailable> {
        let mut running = Self::spawn(name, command, pin)?;
        running.address = address;
        let deadline = Instant::now() + TIMEOUT;
        while TcpStream::connect(address).is_err() {
            let ended = running.lines.recv_timeout(RETRY);
            if ended == Err(RecvTimeoutError::Disconnected) || Instant::now() > deadline {
                let why = format!("{name} does not listen at {address}: {command:?}");
                return Err(Unavailable::Failed(why));
            }
        }
        Ok(running)
    }

    fn spawn(name: &'static str, command: &[String], pin: Pin) -> Result<Self, Unavailable> {
        let pinned_to = match pin {
            Pin::Core(core) if build::is_on_path("taskset") => Some(core),
            _ => None,
        };
        let mut child = shell(command, pinned_to)
            .spawn()
            .map_err(|error| Unavailable::Failed(format!("cannot start {name}: {error}")))?;
        let lines = lines_of(&mut child);
        // From here on, drop ends the process.
        Ok(Self {
            name,
            child,
            address: SocketAddr::from(([0, 0, 0, 0], 0)),
            pinned_to,
            lines,
        })
    }

    /// Closes the peer's stdin. Returns true if the process ends within 20 s.
    pub fn ends_with_its_stdin(mut self) -> bool {
        drop(self.child.stdin.take());
        let deadline = Instant::now() + TIMEOUT;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(_) => {}
                // Both outputs are closed, as at the end of a process.
                Err(RecvTimeoutError::Disconnected) => return true,
                Err(RecvTimeoutError::Timeout) => return false,
            }
        }
    }

    /// Sends SIGTERM and returns the output, from the line with the address to its end.
    ///
    /// # Errors
    /// If the process runs for 20 s more.
    #[cfg(unix)]
    pub fn terminate(self) -> io::Result<Vec<String>> {
        use nix::sys::signal::{Signal, kill};
        use nix::unistd::Pid;

        let pid = i32::try_from(self.pid()).map_err(io::Error::other)?;
        kill(Pid::from_raw(pid), Signal::SIGTERM)?;
        let (deadline, mut output) = (Instant::now() + TIMEOUT, Vec::new());
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => output.push(line),
                Err(RecvTimeoutError::Disconnected) => return Ok(output),
                Err(RecvTimeoutError::Timeout) => {
                    return Err(io::Error::other(format!("{} does not end", self.name)));
                }
            }
        }
    }

    /// Returns the name of the peer.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Returns the process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Returns the address of its listener.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the core that it is pinned to, if any.
    pub fn pinned_to(&self) -> Option<usize> {
        self.pinned_to
    }

    /// Returns the CPU time used so far, user and system, by all threads, in steps of 10 ms.
    ///
    /// # Errors
    /// If the process has ended, or without `/proc`.
    pub fn cpu_time(&self) -> io::Result<Duration> {
        let time = Process::new(self.pid()).cpu_time();
        time.ok_or_else(|| self.unreadable("stat"))
    }

    /// Returns the run time of its current threads. [`cpu_time`](Self::cpu_time) includes threads
    /// that have ended.
    ///
    /// # Errors
    /// If the process has ended, or without a `/proc` that has `schedstat`.
    pub fn run_time(&self) -> io::Result<Duration> {
        let mut nanos = 0;
        for task in fs::read_dir(format!("/proc/{}/task", self.pid()))? {
            // A thread may end between the listing and the reading.
            let Ok(schedstat) = fs::read_to_string(task?.path().join("schedstat")) else {
                continue;
            };
            let run = schedstat.split_whitespace().next();
            let run = run.and_then(|nanos| nanos.parse::<u64>().ok());
            nanos += run.ok_or_else(|| self.unreadable("schedstat"))?;
        }
        Ok(Duration::from_nanos(nanos))
    }

    /// Returns the number of voluntary waits of its first thread.
    ///
    /// # Errors
    /// If the process has ended, or without `/proc`.
    pub fn waits(&self) -> io::Result<u64> {
        self.number("status", "voluntary_ctxt_switches:")
    }

    /// Returns the memory in use.
    ///
    /// # Errors
    /// If the process has ended, or without `/proc`.
    pub fn memory(&self) -> io::Result<Memory> {
        Ok(Memory {
            resident: self.number("status", "VmRSS:")? * 1024,
            anonymous: self.number("smaps_rollup", "Anonymous:")? * 1024,
        })
    }

    fn number(&self, file: &str, label: &str) -> io::Result<u64> {
        let text = self.proc_file(file)?;
        let mut lines = text.lines();
        let value = lines.find_map(|line| line.strip_prefix(label));
        let number = value.and_then(|value| value.split_whitespace().next());
        let parsed = number.and_then(|number| number.parse().ok());
        parsed.ok_or_else(|| self.unreadable(file))
    }

    fn proc_file(&self, file: &str) -> io::Result<String> {
        fs::read_to_string(format!("/proc/{}/{file}", self.pid()))
    }

    fn unreadable(&self, file: &str) -> io::Error {
        io::Error::other(format!(
            "/proc/{}/{file} of {} is not laid out as proc(5) says",
            self.pid(),
            self.name
        ))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // If it has ended already, only the wait is needed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Builds a command that raises the limit on open files in a shell, which then becomes the program.
/// Every peer gets the same limit and needs no code for it.
fn shell(command: &[String], core: Option<usize>) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", "ulimit -n \"$(ulimit -Hn)\"; exec \"$@\"", "sh"]);
    if let Some(core) = core {
        shell.args(["taskset", "-c", &core.to_string()]);
    }
    shell.args(command);
    shell.stdin(Stdio::piped());
    shell.stdout(Stdio::piped()).stderr(Stdio::piped());
    shell
}

/// Collects the lines of both outputs. The threads read on after the receiver was dropped, because
/// a full pipe would block the peer.
fn lines_of(child: &mut Child) -> Receiver<String> {
    let (sender, lines) = mpsc::channel();
    if let Some(stdout) = child.stdout.take() {
        forward(stdout, sender.clone());
    }
    if let Some(stderr) = child.stderr.take() {
        forward(stderr, sender);
    }
    lines
}

fn forward(output: impl Read + Send + 'static, lines: Sender<String>) {
    thread::spawn(move || {
        for line in BufReader::new(output).lines() {
            let Ok(line) = line else { break };
            // The receiver is dropped once the address is known.
            let _ = lines.send(line);
        }
    });
}

/// Waits for the line with the address. The error contains the other output.
fn first_address(lines: &Receiver<String>) -> Result<SocketAddr, String> {
    let deadline = Instant::now() + TIMEOUT;
    let mut output = String::new();
    loop {
        match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => match address_in(&line) {
                Some(address) => return Ok(address),
                None => output = output + &line + "\n",
            },
            Err(RecvTimeoutError::Timeout) => {
                return Err(format!(
                    "no address within {TIMEOUT:?}; it output: {output}"
                ));
            }
            Err(RecvTimeoutError::Disconnected) => {
                return Err(format!("it ended before it listened; it output: {output}"));
            }
        }
    }
}

/// Parses the address in `listening on 127.0.0.1:6000`, or in our own server's `Waiting for
/// connection... (listening on 127.0.0.1:6000)`.
pub(super) fn address_in(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once("listening on ")?;
    let end = rest.find([')', ',', ' ']).unwrap_or(rest.len());
    rest[..end].parse().ok()
}

/// Longer than a loaded machine takes to start an interpreter.
const TIMEOUT: Duration = Duration::from_secs(20);

/// The time between two connects to a program that does not listen yet.
const RETRY: Duration = Duration::from_millis(10);
