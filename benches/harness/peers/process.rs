//! A peer that runs: where it listens, what it costs, and its end.

use std::io::{self, BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};
use std::{fs, thread};

use super::{Pin, Unavailable, build};

/// A peer's process. It is killed and waited for when this is dropped.
///
/// The process reads its stdin as a sign of life: should this program be killed, the peers' pipe
/// closes and they end by themselves. (Ours does not look at stdin.)
#[derive(Debug)]
pub struct Running {
    name: &'static str,
    child: Child,
    address: SocketAddr,
    pinned_to: Option<usize>,
    lines: Receiver<String>,
}

/// What a process occupies, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Pages in memory, shared ones too (`VmRSS`).
    pub resident: u64,
    /// Pages that belong to no file (`Anonymous`): the stack, the heap, what is mapped for it. Not
    /// `Private_Dirty`: a program that has just been built counts there too, page by page, until it is
    /// on the disk, and whenever no second process runs it.
    pub anonymous: u64,
}

impl Running {
    pub(super) fn start(
        name: &'static str,
        command: &[String],
        pin: Pin,
    ) -> Result<Self, Unavailable> {
        let pinned_to = match pin {
            Pin::Core(core) if build::is_on_path("taskset") => Some(core),
            _ => None,
        };
        let mut child = shell(command, pinned_to)
            .spawn()
            .map_err(|error| Unavailable::Failed(format!("cannot start {name}: {error}")))?;
        let lines = lines_of(&mut child);
        // From here on, dropping ends the process.
        let mut running = Self {
            name,
            child,
            address: SocketAddr::from(([0, 0, 0, 0], 0)),
            pinned_to,
            lines,
        };
        running.address = first_address(&running.lines)
            .map_err(|why| Unavailable::Failed(format!("{name} did not start: {why}")))?;
        Ok(running)
    }

    /// Closes the peer's stdin, and tells whether it ended for that, within 20 s.
    pub fn ends_with_its_stdin(mut self) -> bool {
        drop(self.child.stdin.take());
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(_) => {}
                // Both outputs are closed, which only the end of the process does.
                Err(RecvTimeoutError::Disconnected) => return true,
                Err(RecvTimeoutError::Timeout) => return false,
            }
        }
    }

    /// Asks the process to stop, as an operator would, and returns what it said from the line with
    /// its address to its end.
    ///
    /// # Errors
    ///
    /// When it goes on for 20 s.
    #[cfg(unix)]
    pub fn terminate(self) -> io::Result<Vec<String>> {
        use nix::sys::signal::{Signal, kill};
        use nix::unistd::Pid;

        let pid = i32::try_from(self.pid()).map_err(io::Error::other)?;
        kill(Pid::from_raw(pid), Signal::SIGTERM)?;
        let (deadline, mut said) = (Instant::now() + PATIENCE, Vec::new());
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => said.push(line),
                Err(RecvTimeoutError::Disconnected) => return Ok(said),
                Err(RecvTimeoutError::Timeout) => {
                    return Err(io::Error::other(format!("{} goes on", self.name)));
                }
            }
        }
    }

    /// The name of the peer.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The core that it is bound to, if it is.
    pub fn pinned_to(&self) -> Option<usize> {
        self.pinned_to
    }

    /// CPU time used so far, user and system, by all of its threads, in steps of 10 ms.
    ///
    /// # Errors
    ///
    /// When the process is gone, or where there is no `/proc`.
    pub fn cpu_time(&self) -> io::Result<Duration> {
        let stat = self.proc_file("stat")?;
        // The program's name, in brackets, may contain anything: count from its end.
        let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        let mut fields = after_name.split_whitespace().skip(UTIME_AFTER_NAME);
        let mut ticks = || fields.next().and_then(|field| field.parse::<u64>().ok());
        match (ticks(), ticks()) {
            (Some(user), Some(system)) => {
                Ok(TICK * u32::try_from(user + system).unwrap_or(u32::MAX))
            }
            _ => Err(self.unreadable("stat")),
        }
    }

    /// How long its threads have run so far, in nanoseconds. What threads that have ended did is
    /// not in it: for servers that end threads there is [`cpu_time`](Self::cpu_time).
    ///
    /// # Errors
    ///
    /// When the process is gone, or where there is no `/proc` with `schedstat`.
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

    /// How often its first thread has waited for something so far.
    ///
    /// # Errors
    ///
    /// When the process is gone, or where there is no `/proc`.
    pub fn waits(&self) -> io::Result<u64> {
        self.number("status", "voluntary_ctxt_switches:")
    }

    /// Memory in use now.
    ///
    /// # Errors
    ///
    /// When the process is gone, or where there is no `/proc`.
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
        // It may have ended already; then there is nothing left to do but to reap it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Through a shell that raises the limit of open files as far as it may and then becomes the
/// program: every peer gets the same limit, and none needs code for it.
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

/// The lines of both outputs. Threads go on reading after the receiver is gone, because a pipe
/// that nobody empties would stop the peer.
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
            // Nobody listens once the address is known.
            let _ = lines.send(line);
        }
    });
}

/// Waits for the line that tells the address; the error has what the program said instead.
fn first_address(lines: &Receiver<String>) -> Result<SocketAddr, String> {
    let deadline = Instant::now() + PATIENCE;
    let mut said = String::new();
    loop {
        match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => match address_in(&line) {
                Some(address) => return Ok(address),
                None => said = said + &line + "\n",
            },
            Err(RecvTimeoutError::Timeout) => {
                return Err(format!("no address within {PATIENCE:?}; it said: {said}"));
            }
            Err(RecvTimeoutError::Disconnected) => {
                return Err(format!("it ended before it listened; it said: {said}"));
            }
        }
    }
}

/// The address in `listening on 127.0.0.1:6000`, or in our own server's
/// `Waiting for connection... (listening on 127.0.0.1:6000)`.
pub(super) fn address_in(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once("listening on ")?;
    let end = rest.find([')', ',', ' ']).unwrap_or(rest.len());
    rest[..end].parse().ok()
}

/// Longer than a loaded machine takes to start an interpreter.
const PATIENCE: Duration = Duration::from_secs(20);

/// proc(5) numbers the fields from 1; the name is the 2nd, and `utime`, the 14th, precedes `stime`.
const UTIME_AFTER_NAME: usize = 14 - 3;

/// What `/proc` counts in (`USER_HZ`): a hundredth of a second on all that Linux still runs on.
const TICK: Duration = Duration::from_millis(10);
