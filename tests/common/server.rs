//! The server as a process: started on a free port, watched through /proc, its log and SIGUSR1.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{PATIENCE, eventually};

/// A running server. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    addresses: Vec<SocketAddr>,
    log: Log,
    collector: JoinHandle<()>,
}

/// The statistics of the server, on SIGUSR1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Report {
    counts: BTreeMap<String, u64>,
}

/// The lines of standard error so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log(Arc<(Mutex<Vec<String>>, Condvar)>);

impl Server {
    /// Starts a server on a free port of 127.0.0.1, unless the flags have another address.
    #[track_caller]
    pub(crate) fn start(flags: &[&str]) -> Self {
        Self::spawn(command(flags), flags)
    }

    /// Starts a server from a shell that has run `prelude` before, `ulimit -n 64` for example.
    #[track_caller]
    pub(crate) fn start_after(prelude: &str, flags: &[&str]) -> Self {
        let plain = command(flags);
        let mut shell = Command::new("sh");
        shell
            .arg("-c")
            .arg(format!("{prelude}; exec \"$0\" \"$@\""));
        shell.arg(plain.get_program()).args(plain.get_args());
        Self::spawn(shell, flags)
    }

    /// Starts a server by another program, `env --ignore-signal=HUP` for example.
    #[track_caller]
    pub(crate) fn start_by(program: &[&str], flags: &[&str]) -> Self {
        let plain = command(flags);
        let mut command = Command::new(program[0]);
        command
            .args(&program[1..])
            .arg(plain.get_program())
            .args(plain.get_args());
        Self::spawn(command, flags)
    }

    #[track_caller]
    fn spawn(mut command: Command, flags: &[&str]) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let listeners = flags.iter().filter(|flag| **flag == "--listen").count();
        Self::run(command, listeners.max(1))
    }

    /// Starts a server by a whole command, and waits until it listens at as many addresses.
    #[track_caller]
    pub(crate) fn run(mut command: Command, listeners: usize) -> Self {
        let mut child = command
            .stderr(Stdio::piped())
            .spawn()
            .expect("starting greet-server");
        let log = Log::default();
        let collector = log.collect(child.stderr.take().expect("a pipe"));
        let mut server = Self {
            child,
            addresses: Vec::new(),
            log,
            collector,
        };
        for number in 0..listeners {
            let line = server.log.wait_for("(listening on ", number);
            server.addresses.extend(address_in(&line));
        }
        server
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    pub(crate) fn log(&self) -> &Log {
        &self.log
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.pid()).expect("a process id");
        kill(Pid::from_raw(pid), signal).expect("sending a signal");
    }

    /// Stops the process, as Ctrl-Z does: its kernel still accepts and receives for it.
    pub(crate) fn freeze(&self) {
        self.signal(Signal::SIGSTOP);
        eventually("the server is stopped", || {
            (self.state() == 'T').then_some(())
        });
    }

    pub(crate) fn thaw(&self) {
        self.signal(Signal::SIGCONT);
    }

    /// Asks for the server's statistics.
    #[track_caller]
    pub(crate) fn report(&self) -> Report {
        let seen = self.log.count(REPORT);
        self.signal(Signal::SIGUSR1);
        Report::parse(&self.log.wait_for(REPORT, seen))
    }

    /// Waits until the server has ended and its log was read to the end.
    #[track_caller]
    pub(crate) fn exit(&mut self) -> ExitStatus {
        let status = eventually("the server has ended", || {
            self.child.try_wait().expect("waiting")
        });
        eventually("its log has ended", || {
            self.collector.is_finished().then_some(())
        });
        status
    }

    /// Asks the server to stop, and returns its exit code.
    #[track_caller]
    pub(crate) fn terminate(&mut self) -> Option<i32> {
        self.signal(Signal::SIGTERM);
        self.exit().code()
    }

    /// Limits the descriptors so that `free` more can be opened. The limit is one on their
    /// numbers, not on how many there are.
    pub(crate) fn leave_descriptors(&self, free: usize) {
        let taken = self.descriptor_numbers();
        let limit = (0..).filter(|number| !taken.contains(number)).nth(free);
        self.limit_descriptors(limit.expect("there is no end of numbers"));
    }

    pub(crate) fn limit_descriptors(&self, limit: usize) {
        let status = Command::new("prlimit")
            .arg(format!("--pid={}", self.pid()))
            .arg(format!("--nofile={limit}:"))
            .status();
        assert!(status.expect("running prlimit").success());
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("looking").is_none()
    }

    /// Returns the number of open descriptors.
    pub(crate) fn descriptors(&self) -> usize {
        self.descriptor_numbers().len()
    }

    fn descriptor_numbers(&self) -> Vec<usize> {
        let entries = fs::read_dir(format!("/proc/{}/fd", self.pid())).expect("the server runs");
        let number = |name: std::ffi::OsString| name.into_string().ok()?.parse().ok();
        entries
            .map(|entry| entry.expect("the server runs").file_name())
            .map(|name| number(name).expect("a number"))
            .collect()
    }

    /// Returns the resident memory, in KiB.
    pub(crate) fn resident_kib(&self) -> u64 {
        self.status("VmRSS:")
    }

    pub(crate) fn threads(&self) -> u64 {
        self.status("Threads:")
    }

    /// Returns the processor time used so far, user and system.
    pub(crate) fn cpu_time(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid())).expect("it runs");
        let (_, fields) = stat.rsplit_once(')').expect("the program's name ends");
        let ticks: u64 = fields
            .split_whitespace()
            .skip(11)
            .take(2)
            .map(|field| field.parse::<u64>().expect("ticks"))
            .sum();
        Duration::from_millis(ticks * 10)
    }

    fn state(&self) -> char {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid())).expect("it runs");
        let (_, fields) = stat.rsplit_once(") ").expect("the program's name ends");
        fields.chars().next().expect("a state")
    }

    fn status(&self, key: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("it runs");
        let line = status
            .lines()
            .find(|line| line.starts_with(key))
            .expect(key);
        line.split_whitespace()
            .nth(1)
            .expect("a value")
            .parse()
            .expect("a number")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            println!("the server's last words:");
            let mut lines = self.log.lines();
            lines.retain(|line| !line.contains(REPORT));
            for line in lines.iter().rev().take(20).rev() {
                println!("  {line}");
            }
        }
    }
}

impl Report {
    /// Returns the count with this key, its words joined by spaces or by underscores; 0 if there is
    /// none.
    pub(crate) fn count(&self, key: &str) -> u64 {
        self.counts.get(&joined(key)).copied().unwrap_or(0)
    }

    pub(crate) fn open(&self) -> u64 {
        self.count("connections_open")
    }

    /// Returns how many connections ended for this reason, given in the log's words.
    pub(crate) fn ended(&self, reason: &str) -> u64 {
        self.count(&["ended", reason].join(" "))
    }

    pub(crate) fn ended_in_all(&self) -> u64 {
        let ended = self
            .counts
            .iter()
            .filter(|(key, _)| key.starts_with("ended_"));
        ended.map(|(_, count)| count).sum()
    }

    fn parse(line: &str) -> Self {
        let (_, fields) = line.split_once(REPORT).expect("a report");
        let counts = fields
            .split(' ')
            .map(|field| field.split_once('=').expect("key=value"))
            .map(|(key, value)| (key.to_owned(), value.parse().expect("a number")))
            .collect();
        Self { counts }
    }
}

fn joined(words: &str) -> String {
    words
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join("_")
}

impl Log {
    fn collect(&self, stderr: impl Read + Send + 'static) -> JoinHandle<()> {
        let log = self.clone();
        thread::spawn(move || {
            let mut reader = BufReader::new(stderr);
            let mut line = Vec::new();
            while reader
                .read_until(b'\n', &mut line)
                .is_ok_and(|bytes| bytes > 0)
            {
                let text = line.strip_suffix(b"\n").unwrap_or(&line);
                log.push(String::from_utf8_lossy(text).into_owned());
                line.clear();
            }
        })
    }

    /// Waits for a line that contains a text, passing over the first `skip` such lines.
    #[track_caller]
    pub(crate) fn wait_for(&self, what: &str, skip: usize) -> String {
        let find = |lines: &[String]| {
            let mut found = lines.iter().filter(|line| line.contains(what));
            found.nth(skip).cloned()
        };
        let more = &self.0.1;
        let waited = more.wait_timeout_while(self.hold(), PATIENCE, |lines| find(lines).is_none());
        let lines = waited.unwrap_or_else(PoisonError::into_inner).0.clone();
        match find(&lines) {
            Some(line) => line,
            None => panic!("no line with {what:?}"),
        }
    }

    pub(crate) fn count(&self, what: &str) -> usize {
        self.hold()
            .iter()
            .filter(|line| line.contains(what))
            .count()
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.hold().clone()
    }

    fn push(&self, line: String) {
        self.hold().push(line);
        self.0.1.notify_all();
    }

    fn hold(&self) -> MutexGuard<'_, Vec<String>> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the command of a server, without what the environment has set for one.
pub(crate) fn command(flags: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_greet-server"));
    for (variable, _) in std::env::vars_os() {
        if variable.to_string_lossy().starts_with("GREET_") {
            command.env_remove(variable);
        }
    }
    if !flags.contains(&"--listen") {
        command.args(["--listen", "127.0.0.1:0"]);
    }
    command.args(flags);
    command
}

/// Returns the address in a line of the log, unless it is a path.
fn address_in(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once("(listening on ").expect("the address");
    let (address, _) = rest.split_once(')').expect("its end");
    address.parse().ok()
}

const REPORT: &str = " statistics ";
