//! A reactor in a thread of the test itself, for effects that cannot be seen or caused from
//! outside.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, Once, PoisonError};
use std::thread::{self, JoinHandle, ThreadId};

use log::{LevelFilter, Log, Metadata, Record};
use oneloop::net::{Net, Os};
use oneloop::{Counters, Limits, Reactor, Service, Stopped, Stopper, Turn, Usage};

use super::{Client, PATIENCE, eventually_or_why};

/// A running reactor, listening on a free port of 127.0.0.1.
pub(crate) struct Inside {
    address: SocketAddr,
    stopper: Stopper,
    wake: Box<dyn Fn() + Send>,
    questions: Sender<Sender<Look>>,
    thread: JoinHandle<io::Result<Stopped>>,
}

/// The gauges and counters of a reactor.
#[derive(Clone, Debug)]
pub(crate) struct Look {
    pub(crate) usage: Usage,
    pub(crate) counters: Counters,
}

impl Inside {
    /// Starts a reactor on the network that `wrap` makes of the real one.
    pub(crate) fn start<S, N>(
        service: S,
        limits: Limits,
        wrap: impl FnOnce(Os) -> N + Send + 'static,
    ) -> Self
    where
        S: Service + Send + 'static,
        N: Net + 'static,
    {
        capture_log();
        let os = Os::new().expect("a poller");
        let stopper = os.stopper();
        let (questions, asked) = channel();
        let (tell, told) = channel();
        let thread = thread::spawn(move || {
            let mut reactor = Reactor::with_net(service, limits, wrap(os))?;
            let free = "127.0.0.1:0".parse().expect("an address");
            let (address, handle) = (reactor.listen(free)?, reactor.handle());
            let wake = move || handle.run(|_, _| {}).expect("the reactor runs");
            tell.send((address, Box::new(wake) as Box<_>))
                .expect("the test waits");
            turn(&mut reactor, &asked)
        });
        let (address, wake) = told.recv_timeout(PATIENCE).expect("it listens");
        Self {
            address,
            stopper,
            wake,
            questions,
            thread,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connects a client.
    #[track_caller]
    pub(crate) fn client(&self) -> Client {
        Client::connect(self.address)
    }

    #[track_caller]
    pub(crate) fn look(&self) -> Look {
        let (tell, told) = channel();
        self.questions.send(tell).expect("the reactor runs");
        (self.wake)();
        told.recv_timeout(PATIENCE).expect("the reactor turns")
    }

    /// Waits until every connection has ended, and nothing is held for any.
    #[track_caller]
    pub(crate) fn wait_until_empty(&self) -> Look {
        eventually_or_why("nothing is held", || {
            let look = self.look();
            if look.usage == Usage::default() {
                Ok(look)
            } else {
                Err(format!("{look:?}"))
            }
        })
    }

    /// Asks it to stop.
    pub(crate) fn stop(&self) {
        self.stopper.stop();
    }

    /// Waits until it has stopped.
    #[track_caller]
    pub(crate) fn join(self) -> io::Result<Stopped> {
        eventually_or_why("the reactor has stopped", || {
            self.thread
                .is_finished()
                .then_some(())
                .ok_or_else(String::new)
        });
        self.thread.join().expect("the reactor does not panic")
    }

    /// Stops the reactor, which has no connection to cut off. Returns the last look.
    #[track_caller]
    pub(crate) fn end(self) -> Look {
        let look = self.wait_until_empty();
        let counters = &look.counters;
        assert_eq!(
            counters.accepted() + counters.connecting(),
            counters.ended_in_all(),
            "every connection ends for exactly one reason"
        );
        self.stop();
        assert_eq!(self.join().expect("a polite end").aborted, 0);
        look
    }

    /// Returns the log lines.
    pub(crate) fn log(&self) -> Vec<String> {
        let mine = self.thread.thread().id();
        let lines = LINES.lock().unwrap_or_else(PoisonError::into_inner);
        let of_mine = lines.iter().filter(|(thread, _)| *thread == mine);
        of_mine.map(|(_, line)| line.clone()).collect()
    }
}

impl fmt::Debug for Inside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inside")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

fn turn<S: Service, N: Net>(
    reactor: &mut Reactor<S, N>,
    asked: &Receiver<Sender<Look>>,
) -> io::Result<Stopped> {
    loop {
        if let Turn::Stopped(stopped) = reactor.turn()? {
            return Ok(stopped);
        }
        while let Ok(tell) = asked.try_recv() {
            let look = Look {
                usage: reactor.usage(),
                counters: reactor.counters().clone(),
            };
            let _ = tell.send(look);
        }
    }
}

/// Keeps the log lines of each thread.
struct Capture;

impl Log for Capture {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let line = format!("{} {}", record.level(), record.args());
        let mut lines = LINES.lock().unwrap_or_else(PoisonError::into_inner);
        lines.push((thread::current().id(), line));
    }

    fn flush(&self) {}
}

fn capture_log() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        log::set_logger(&Capture).expect("no other logger");
        log::set_max_level(LevelFilter::Info);
    });
}

static LINES: Mutex<Vec<(ThreadId, String)>> = Mutex::new(Vec::new());
