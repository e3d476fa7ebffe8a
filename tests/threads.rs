//! Other threads: handles of a loop that runs, and pools with real threads.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Barrier};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use oneloop::{
    CallError, CloseReason, Context, Event, Handle, JobPanicked, Limits, Next, Peer, Pool, Reactor,
    ReplyError, Service, ServiceContext, SessionId, Stopped, Time,
};

/// Echoes, and notes calls. The `Rc` keeps it on its thread.
#[derive(Default)]
struct Board {
    sessions: Vec<SessionId>,
    notice: Rc<str>,
    /// The next number that each caller is to bring.
    next: [u32; CALLERS],
    out_of_order: u32,
    results: Vec<Result<u64, JobPanicked>>,
}

impl Board {
    fn note(&mut self, caller: usize, number: u32) {
        self.out_of_order += u32::from(self.next[caller] != number);
        self.next[caller] = number + 1;
    }
}

impl Service for Board {
    type Session = ();

    fn open(&mut self, peer: Peer, _: &mut ServiceContext) {
        self.sessions.push(peer.id);
    }

    fn step(&mut self, _: &mut (), event: Event, cx: &mut Context<'_>) -> Next {
        let input = cx.input();
        cx.write(input);
        cx.consume(input.len());
        match event {
            Event::Wake => cx.write(self.notice.as_bytes()),
            Event::Eof => return Next::Close(CloseReason::Eof),
            Event::Drain => return Next::Close(CloseReason::Shutdown),
            _ => {}
        }
        // No deadline ends the poll: only events and wake-ups do.
        Next::Read {
            until: Time::UNBOUNDED,
        }
    }
}

/// A loop that runs in a thread of its own.
struct Running {
    handle: Handle<Board>,
    address: SocketAddr,
    thread: JoinHandle<Stopped>,
}

impl Running {
    fn start() -> Self {
        let (tell, told) = channel();
        let thread = thread::spawn(move || {
            let limits = Limits::default();
            let mut reactor = Reactor::new(Board::default(), limits).expect("a poller");
            let free = "127.0.0.1:0".parse().expect("an address");
            let address = reactor.listen(free).expect("a free port");
            let pool = reactor.pool("job", 4, JOBS_MAX).expect("threads");
            let running = (reactor.handle(), address, pool);
            tell.send(running).expect("the test waits");
            reactor.run().expect("polling works")
        });
        let (handle, address, pool) = told.recv_timeout(PATIENCE).expect("it listens");
        drop(pool);
        Self {
            handle,
            address,
            thread,
        }
    }

    fn ask<T: Send + 'static>(
        &self,
        task: impl FnOnce(&mut Board, &mut ServiceContext) -> T + Send + 'static,
    ) -> T {
        let mut reply = self.handle.ask(task).expect("room for a call");
        reply.wait(PATIENCE).expect("an answer")
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream
    }

    fn stop(self) {
        self.handle.stop();
        let stopped = self.thread.join().expect("the loop does not panic");
        assert_eq!(stopped.aborted, 0);
    }
}

fn exchange(stream: &mut TcpStream) {
    stream.write_all(b"echo").expect("room");
    let mut answer = [0; 4];
    stream.read_exact(&mut answer).expect("an answer");
    assert_eq!(&answer, b"echo");
}

/// Calls until the loop has taken `calls` calls.
fn call_often(handle: &Handle<Board>, caller: usize, calls: u32) {
    for number in 0..calls {
        while let Err(error) = handle.run(move |board, _| board.note(caller, number)) {
            assert_eq!(error, CallError::Busy);
            thread::yield_now();
        }
    }
}

#[test]
fn million_calls_from_four_threads_all_arrive_in_order_while_the_loop_serves() {
    let server = Running::start();
    let mut client = server.connect();
    exchange(&mut client);
    let memory = resident_bytes();
    let callers: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let handle = server.handle.clone();
            thread::spawn(move || call_often(&handle, caller, CALLS / CALLERS as u32))
        })
        .collect();
    let mut exchanges = 0;
    while callers.iter().any(|caller| !caller.is_finished()) {
        exchange(&mut client);
        exchanges += 1;
    }
    for caller in callers {
        caller.join().expect("no caller panics");
    }
    let (next, out_of_order) = server.ask(|board, _| (board.next, board.out_of_order));
    assert_eq!(next, [CALLS / CALLERS as u32; CALLERS]);
    assert_eq!(out_of_order, 0);
    assert!(exchanges > 0, "the loop has served nothing meanwhile");
    if let (Some(before), Some(after)) = (memory, resident_bytes()) {
        // A million boxed calls would be more than 32 MB.
        let growth = after.saturating_sub(before);
        assert!(growth < 16 << 20, "{growth} bytes more");
    }
    let counters = server
        .handle
        .counters()
        .expect("room for a call")
        .wait(PATIENCE);
    assert!(counters.expect("an answer").calls() > u64::from(CALLS));
    drop(client);
    server.stop();
}

#[test]
fn post_of_another_thread_reaches_a_session_of_a_sleeping_loop() {
    let server = Running::start();
    let mut client = server.connect();
    exchange(&mut client);
    for number in 0..1000 {
        let text = format!("notice {number}");
        let posted = text.clone();
        let post = move |board: &mut Board, cx: &mut ServiceContext| {
            board.notice = posted.into();
            cx.wake(board.sessions[0]);
        };
        assert_eq!(server.handle.run(post), Ok(()));
        let mut notice = vec![0; text.len()];
        client.read_exact(&mut notice).expect("the notice");
        assert_eq!(notice, text.as_bytes());
    }
    drop(client);
    server.stop();
}

#[test]
fn waiting_for_the_loop_on_its_own_thread_fails_at_once() {
    let server = Running::start();
    let handle = server.handle.clone();
    let outcome = server.ask(move |_, _| {
        let mut reply = handle.ask(|_, _| ()).expect("room for a call");
        reply.wait(10 * PATIENCE)
    });
    assert_eq!(outcome, Err(ReplyError::OnLoopThread));
    server.stop();
}

#[test]
fn thread_that_waits_gets_an_error_when_the_reactor_is_dropped() {
    let mut reactor = Reactor::new(Board::default(), Limits::default()).expect("a poller");
    let handle = reactor.handle();
    let (tell, told) = channel();
    let waiting = thread::spawn(move || {
        let mut reply = handle.ask(|_, _| ()).expect("room for a call");
        tell.send(()).expect("the test waits");
        reply.wait(10 * PATIENCE)
    });
    told.recv_timeout(PATIENCE).expect("it asks");
    drop(reactor);
    let outcome = waiting.join().expect("no panic");
    assert_eq!(outcome, Err(ReplyError::Abandoned));
}

#[test]
fn calls_while_the_loop_stops_are_taken_or_refused_and_none_hangs() {
    for _ in 0..20 {
        let server = Running::start();
        let callers: Vec<_> = (0..CALLERS)
            .map(|_| {
                let handle = server.handle.clone();
                thread::spawn(move || {
                    loop {
                        match handle.ask(|_, _| ()).map(|mut reply| reply.wait(PATIENCE)) {
                            Ok(Ok(())) | Err(CallError::Busy) => {}
                            Ok(Err(ReplyError::Abandoned)) | Err(CallError::Stopped) => return,
                            Ok(Err(error)) => panic!("{error}"),
                            Err(error) => panic!("{error}"),
                        }
                    }
                })
            })
            .collect();
        exchange(&mut server.connect());
        server.stop();
        for caller in callers {
            caller.join().expect("it gets an error");
        }
    }
}

/// Returns a loop that does not run yet, and its pool.
fn with_pool(name: &str, threads: usize) -> (Reactor<Board>, Pool<Board>) {
    let mut reactor = Reactor::new(Board::default(), Limits::default()).expect("a poller");
    let pool = reactor.pool(name, threads, JOBS_MAX).expect("threads");
    (reactor, pool)
}

/// Turns the loop until it has this many results.
fn turn_until(reactor: &mut Reactor<Board>, results: usize) -> Vec<Result<u64, JobPanicked>> {
    while reactor.service().results.len() < results {
        reactor.turn().expect("polling works");
    }
    std::mem::take(&mut reactor.service_mut().results)
}

fn note(board: &mut Board, result: Result<u64, JobPanicked>, _: &mut ServiceContext) {
    board.results.push(result);
}

#[test]
fn jobs_run_at_the_same_time_on_threads_with_names() {
    let (mut reactor, pool) = with_pool("several", 4);
    let barrier = Arc::new(Barrier::new(4));
    for _ in 0..4 {
        let barrier = Arc::clone(&barrier);
        let job = move || {
            barrier.wait();
            let name = thread::current().name().map(String::from);
            let number = name
                .as_deref()
                .and_then(|name| name.strip_prefix("several-"));
            number.expect("its name").parse().expect("a number")
        };
        assert_eq!(pool.run(job, note), Ok(()));
    }
    let mut numbers = turn_until(&mut reactor, 4);
    numbers.sort_by_key(|number| number.unwrap_or(u64::MAX));
    assert_eq!(numbers, [Ok(0), Ok(1), Ok(2), Ok(3)]);
}

#[test]
fn thousand_jobs_all_bring_their_results_though_some_panic() {
    let (mut reactor, pool) = with_pool("many", 3);
    let mut results = Vec::new();
    let mut number = 0;
    while results.len() < 1000 {
        let job = move || match number % 10 {
            // Not by `panic!`, which would write to stderr.
            0 => std::panic::resume_unwind(Box::new("as planned")),
            _ => number,
        };
        if number < 1000 && pool.run(job, note).is_ok() {
            number += 1;
            continue;
        }
        assert!(pool.under_way() <= JOBS_MAX);
        results.extend(turn_until(&mut reactor, 1));
    }
    let panicked = results.iter().filter(|result| result.is_err()).count();
    let sum: u64 = results.into_iter().flatten().sum();
    assert_eq!((panicked, sum), (100, 450_000));
    assert_eq!(pool.under_way(), 0);
}

#[test]
fn drop_of_a_pool_and_its_loop_waits_for_no_job() {
    let (reactor, pool) = with_pool("blocked", 1);
    let (release, released) = channel::<()>();
    let (tell, told) = channel();
    let ran = Arc::new(AtomicUsize::new(0));
    let job = move || {
        tell.send(()).expect("the test waits");
        let _ = released.recv();
        1
    };
    assert_eq!(pool.run(job, note), Ok(()));
    for _ in 0..5 {
        let ran = Arc::clone(&ran);
        let job = move || ran.fetch_add(1, Ordering::Relaxed) as u64;
        assert_eq!(pool.run(job, note), Ok(()));
    }
    told.recv_timeout(PATIENCE).expect("it runs");
    drop(pool);
    // The jobs that waited are dropped with what they own.
    assert_eq!(Arc::strong_count(&ran), 1);
    drop(reactor);
    drop(release);
    let deadline = std::time::Instant::now() + PATIENCE;
    while threads_named("blocked-0") > 0 {
        assert!(
            std::time::Instant::now() < deadline,
            "its thread does not end"
        );
        thread::yield_now();
    }
    assert_eq!(ran.load(Ordering::Relaxed), 0);
}

#[test]
fn handle_can_be_shared_although_the_service_stays_on_its_thread() {
    fn shared<T: Clone + Send + Sync>() {}
    shared::<Handle<Board>>();
    fn sent<T: Send + Sync>() {}
    sent::<Pool<Board>>();
    fn reply<T: Send>() {}
    reply::<oneloop::Reply<u32>>();
}

/// Returns the memory of this process, where the system reports it.
fn resident_bytes() -> Option<usize> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: usize = statm.split(' ').nth(1)?.parse().ok()?;
    Some(pages * 4096)
}

/// Returns the number of threads of this process with this name; 0 where the system has no list.
fn threads_named(name: &str) -> usize {
    let Ok(threads) = std::fs::read_dir("/proc/self/task") else {
        return 0;
    };
    let names = threads.filter_map(|thread| {
        let path = thread.ok()?.path().join("comm");
        std::fs::read_to_string(path).ok()
    });
    names.filter(|found| found.trim() == name).count()
}

const CALLERS: usize = 4;
const CALLS: u32 = 1_000_000;
const JOBS_MAX: usize = 16;
const PATIENCE: Duration = Duration::from_secs(60);
