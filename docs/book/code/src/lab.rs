//! The laboratory: starts a program, watches it through `/proc`, and talks to it.

use std::fs;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

/// The question of the greeting protocol. No line feed follows it.
pub const QUESTION: &str = "What's your name?";

/// How long a test waits for what must happen.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Returns in how many of `runs` runs `experiment` returns `true`.
pub fn count(runs: usize, mut experiment: impl FnMut() -> bool) -> usize {
    (0..runs).filter(|_| experiment()).count()
}

/// Waits until `look` finds something, at most [`PATIENCE`].
///
/// # Panics
///
/// Panics with `what` if nothing is found in time.
pub fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "never: {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// Returns the root of the repository.
pub fn repository() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
    root.canonicalize().expect("the root of the repository")
}

/// Returns `true` if a program of this name is on the path.
pub fn is_installed(tool: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(tool).is_file())
}

/// Returns the folder that cargo puts the programs of this build into.
pub fn programs() -> PathBuf {
    let own = std::env::current_exe().expect("the path of this program");
    let mut folder = own.parent().expect("a folder");
    if folder.ends_with("deps") || folder.ends_with("examples") {
        folder = folder.parent().expect("the folder above");
    }
    folder.to_owned()
}

/// Returns the path of a program of the root package, and builds it first if a source is newer.
///
/// # Panics
///
/// Panics if the program cannot be built.
pub fn greet_program(name: &str) -> PathBuf {
    static BUILDING: Mutex<()> = Mutex::new(());
    let _turn = BUILDING.lock().unwrap_or_else(PoisonError::into_inner);
    let program = programs().join(name);
    let root = repository();
    let built = fs::metadata(&program).and_then(|meta| meta.modified());
    let sources = [root.join("src"), root.join("Cargo.toml")];
    let newest = sources.iter().map(|path| newest(path)).max();
    if built.ok() < newest {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
        cargo.current_dir(&root).args(["build", "--quiet"]);
        if programs().ends_with("release") {
            cargo.arg("--release");
        }
        for name in ["greet-server", "greet-client", "greet-load"] {
            cargo.args(["--bin", name]);
        }
        assert!(cargo.status().expect("running cargo").success());
        // Cargo leaves a program alone whose sources were only touched.
        let file = fs::File::options().append(true).open(&program);
        let _ = file.and_then(|file| file.set_modified(SystemTime::now()));
    }
    program
}

fn newest(path: &Path) -> SystemTime {
    let Ok(entries) = fs::read_dir(path) else {
        let modified = fs::metadata(path).and_then(|meta| meta.modified());
        return modified.unwrap_or(SystemTime::UNIX_EPOCH);
    };
    let paths = entries.flatten().map(|entry| newest(&entry.path()));
    paths.max().unwrap_or(SystemTime::UNIX_EPOCH)
}

/// A running program. Dropping it kills it.
#[derive(Debug)]
pub struct Program {
    child: Child,
    address: SocketAddr,
    output: Output,
}

impl Program {
    /// Starts a program of the book as `PROGRAM VARIANT 127.0.0.1:0 MORE...`.
    ///
    /// # Panics
    ///
    /// Panics if it does not start and print its address.
    pub fn start(name: &str, variant: &str, more: &[&str]) -> Self {
        let mut command = Command::new(programs().join(name));
        command.args([variant, "127.0.0.1:0"]).args(more);
        Self::spawn(command)
    }

    /// Starts a program of the book in a shell that has run `limit` before, such as `ulimit -n 64`.
    ///
    /// # Panics
    ///
    /// Panics if it does not start and print its address.
    pub fn start_limited(limit: &str, name: &str, variant: &str) -> Self {
        let mut command = Command::new("sh");
        let script = format!("{limit}; exec \"$0\" {variant} 127.0.0.1:0");
        command.args(["-c", &script]).arg(programs().join(name));
        Self::spawn(command)
    }

    /// Starts the real greeting server on a free port.
    ///
    /// # Panics
    ///
    /// Panics if it does not start and log its address.
    pub fn greet_server(flags: &[&str]) -> Self {
        let mut command = Command::new(greet_program("greet-server"));
        command.args(["--listen", "127.0.0.1:0"]).args(flags);
        Self::spawn(command)
    }

    /// Starts `command`, and waits until it prints `listening on ADDRESS`.
    ///
    /// # Panics
    ///
    /// Panics if it does not.
    pub fn spawn(mut command: Command) -> Self {
        for (variable, _) in std::env::vars_os() {
            if variable.to_string_lossy().starts_with("GREET_") {
                command.env_remove(variable);
            }
        }
        command.stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("starting a program");
        let output = Output::default();
        output.collect(child.stdout.take().expect("a pipe"));
        output.collect(child.stderr.take().expect("a pipe"));
        let address = address_in(&output.wait_for("listening on "));
        Self {
            child,
            address,
            output,
        }
    }

    /// Returns the address that the program listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Returns what the program has printed so far.
    pub fn output(&self) -> &Output {
        &self.output
    }

    /// Returns `true` if the program has not ended.
    pub fn is_running(&mut self) -> bool {
        self.child
            .try_wait()
            .expect("looking at the program")
            .is_none()
    }

    /// Returns the processor time that the program has used, user and system.
    pub fn cpu_time(&self) -> Duration {
        // `stat` counts all threads, in ticks of 10 ms.
        let ticks = |stat: &str| -> u64 {
            let fields = stat.rsplit_once(')').expect("the name ends").1;
            let times = fields.split_whitespace().skip(11).take(2);
            times.map(|ticks| ticks.parse::<u64>().unwrap_or(0)).sum()
        };
        Duration::from_millis(10 * ticks(&self.proc("stat")))
    }

    /// Returns the state of the main thread: `R` runs or is ready to run, `S` sleeps.
    pub fn state(&self) -> char {
        let stat = self.proc("stat");
        let fields = stat.rsplit_once(") ").expect("the name ends").1;
        fields.chars().next().expect("a state")
    }

    /// Returns a number of `/proc/PID/status`, such as `VmRSS` (KiB) or `Threads`.
    pub fn status(&self, key: &str) -> u64 {
        let status = self.proc("status");
        let line = status.lines().find(|line| line.starts_with(key));
        let value = line.and_then(|line| line.split_whitespace().nth(1));
        value
            .and_then(|value| value.parse().ok())
            .expect("a number in /proc")
    }

    fn proc(&self, file: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{file}", self.pid())).expect("reading /proc")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Extracts the address behind `listening on `.
fn address_in(line: &str) -> SocketAddr {
    let (_, rest) = line.split_once("listening on ").expect("an address");
    let end = rest.find([')', ' ']).unwrap_or(rest.len());
    rest[..end].parse().expect("a socket address")
}

/// The lines that a program has printed.
#[derive(Clone, Debug, Default)]
pub struct Output(Arc<(Mutex<Vec<String>>, Condvar)>);

impl Output {
    fn collect(&self, source: impl Read + Send + 'static) {
        let output = self.clone();
        thread::spawn(move || {
            for line in BufReader::new(source).lines().map_while(Result::ok) {
                output.lock().push(line);
                output.0.1.notify_all();
            }
        });
    }

    /// Waits for a line that contains `text`, and returns it.
    ///
    /// # Panics
    ///
    /// Panics if there is none in time.
    pub fn wait_for(&self, text: &str) -> String {
        let find = |lines: &[String]| lines.iter().find(|line| line.contains(text)).cloned();
        let more = &self.0.1;
        let lines = more
            .wait_timeout_while(self.lock(), PATIENCE, |lines| find(lines).is_none())
            .unwrap_or_else(PoisonError::into_inner)
            .0;
        find(&lines).unwrap_or_else(|| panic!("no line contains {text:?}: {lines:#?}"))
    }

    /// Waits until `count` lines contain `text`.
    ///
    /// # Panics
    ///
    /// Panics if there are fewer in the end.
    pub fn wait_for_count(&self, text: &str, count: usize) {
        eventually(text, || (self.count(text) >= count).then_some(()));
    }

    /// Returns how many lines contain `text`.
    pub fn count(&self, text: &str) -> usize {
        let lines = self.lock();
        lines.iter().filter(|line| line.contains(text)).count()
    }

    /// Returns the lines so far.
    pub fn lines(&self) -> Vec<String> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<String>> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A client under a test's control.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    unread: Vec<u8>,
}

impl Client {
    /// Connects, and waits for nothing.
    ///
    /// # Panics
    ///
    /// Panics if the connection is not established.
    pub fn connect(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).expect("connecting"))
    }

    /// Makes a client of a connected socket.
    ///
    /// # Panics
    ///
    /// Panics if the socket cannot be given time-outs.
    pub fn over(stream: TcpStream) -> Self {
        stream.set_nodelay(true).expect("TCP_NODELAY");
        stream
            .set_read_timeout(Some(PATIENCE))
            .expect("SO_RCVTIMEO");
        stream
            .set_write_timeout(Some(PATIENCE))
            .expect("SO_SNDTIMEO");
        let unread = Vec::new();
        Self { stream, unread }
    }

    /// Returns the socket.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Sends all of `bytes`.
    ///
    /// # Errors
    ///
    /// Returns the error of the write.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    /// Reads up to and including `end`.
    ///
    /// # Errors
    ///
    /// Returns `UnexpectedEof` if the stream ends first, or the error of the read.
    pub fn read_until(&mut self, end: &str) -> io::Result<String> {
        loop {
            let found = find(&self.unread, end.as_bytes());
            if let Some(position) = found {
                let text = self.unread.drain(..position + end.len()).collect();
                return String::from_utf8(text).map_err(io::Error::other);
            }
            if self.read_once()? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Reads to the end of the stream. Returns the bytes, and the error that ended them, if any.
    pub fn read_to_end(&mut self) -> (Vec<u8>, Option<io::Error>) {
        let error = loop {
            match self.read_once() {
                Ok(0) => break None,
                Ok(_) => {}
                Err(error) => break Some(error),
            }
        };
        (std::mem::take(&mut self.unread), error)
    }

    /// Takes what has already arrived, without waiting.
    ///
    /// # Panics
    ///
    /// Panics if the socket cannot be made non-blocking.
    pub fn arrived(&mut self) -> &[u8] {
        self.stream.set_nonblocking(true).expect("O_NONBLOCK");
        while self.read_once().is_ok_and(|count| count > 0) {}
        self.stream.set_nonblocking(false).expect("O_NONBLOCK");
        &self.unread
    }

    /// Waits until the server has taken all that was sent out of its socket.
    ///
    /// # Panics
    ///
    /// Panics if it does not do so in time.
    pub fn wait_until_read(&self) {
        let own = self.stream.local_addr().expect("an address");
        let server = self.stream.peer_addr().expect("an address");
        eventually("the server has read", || {
            let is_read = !has_unsent(own, server) && !has_unread(server, own);
            is_read.then_some(())
        });
    }

    /// Sends a name, and reads up to the next question.
    ///
    /// # Errors
    ///
    /// Returns the error of the write or the read.
    pub fn exchange(&mut self, name: &str) -> io::Result<String> {
        self.send(name)?;
        self.read_until(QUESTION)
    }

    fn read_once(&mut self) -> io::Result<usize> {
        let mut chunk = [0; 16 * 1024];
        let count = self.stream.read(&mut chunk)?;
        self.unread.extend_from_slice(&chunk[..count]);
        Ok(count)
    }
}

/// Returns the state and the two queues of one socket, as `/proc/net/tcp` has them.
fn socket_row(own: SocketAddr, peer: SocketAddr) -> Option<(String, String)> {
    let own = format!(":{:04X}", own.port());
    let peer = format!(":{:04X}", peer.port());
    let table = fs::read_to_string("/proc/net/tcp").expect("reading /proc");
    table.lines().find_map(|line| {
        // Number, own address, address of the peer, state, send queue:receive queue.
        let fields: Vec<_> = line.split_whitespace().collect();
        let is_wanted = fields[1].ends_with(&own) && fields[2].ends_with(&peer);
        is_wanted.then(|| (fields[3].to_owned(), fields[4].to_owned()))
    })
}

/// Returns `true` if the receive queue of the socket from `own` to `peer` has bytes in it.
pub fn has_unread(own: SocketAddr, peer: SocketAddr) -> bool {
    socket_row(own, peer).is_some_and(|(_, queues)| !queues.ends_with(":00000000"))
}

/// Returns `true` if the send queue of the socket from `own` to `peer` has bytes in it.
pub fn has_unsent(own: SocketAddr, peer: SocketAddr) -> bool {
    socket_row(own, peer).is_some_and(|(_, queues)| !queues.starts_with("00000000:"))
}

/// Returns `true` if the socket from `own` to `peer` exists and neither side has ended.
pub fn is_established(own: SocketAddr, peer: SocketAddr) -> bool {
    socket_row(own, peer).is_some_and(|(state, _)| state == "01")
}

/// Returns where `needle` begins in `bytes`.
pub fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    bytes
        .windows(needle.len())
        .position(|window| window == needle)
}
