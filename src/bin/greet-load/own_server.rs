//! The server that is started when none is given: this very program in another process, so that
//! one command works wherever this file is.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use oneloop::{Limits, Reactor};
use oneloop_greeting::{Config, Framing, Greeter};

use crate::args::FramingArg;
use greet_support::descriptors;

/// A server in a process of its own. It ends with this value, and also with this process, however
/// that ends.
#[derive(Debug)]
pub(crate) struct OwnServer {
    child: Child,
    address: SocketAddr,
}

impl OwnServer {
    /// Starts it, and waits until it listens.
    pub(crate) fn start(framing: FramingArg) -> io::Result<Self> {
        let framing = match framing {
            FramingArg::Line => "line",
            FramingArg::Silence => "silence",
        };
        let mut command = Command::new(std::env::current_exe()?);
        command
            .args(["--serve", framing])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        // They are this program's arguments, not the server's.
        let ours = std::env::vars_os().map(|(name, _)| name);
        for name in ours.filter(|name| name.as_encoded_bytes().starts_with(b"GREET_LOAD_")) {
            command.env_remove(name);
        }
        // Ctrl-C is for us alone: the server is needed until the report is made.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let child = command.spawn()?;
        let mut server = Self {
            child,
            address: ([127, 0, 0, 1], 0).into(),
        };
        server.address = server.read_address()?;
        Ok(server)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    fn read_address(&mut self) -> io::Result<SocketAddr> {
        let stdout = self.child.stdout.take();
        let mut line = String::new();
        BufReader::new(stdout.expect("it was asked for")).read_line(&mut line)?;
        line.trim()
            .parse()
            .map_err(|_| io::Error::other("it ended before it listened"))
    }
}

impl Drop for OwnServer {
    fn drop(&mut self) {
        // It may have ended already; then it only has to be reaped.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Serves until standard input ends, which it does when the process at its other end does.
pub(crate) fn serve(framing: FramingArg) -> io::Result<()> {
    std::thread::spawn(|| {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    let config = Config {
        framing: match framing {
            FramingArg::Line => Framing::Line,
            FramingArg::Silence => Framing::Silence,
        },
        // Idle connections are to be held, and a server that is nearly full shortens waits.
        name_timeout: Duration::from_secs(24 * 3600),
        ..Config::default()
    };
    let allowance = descriptors::raise_limit();
    let limits = Limits {
        connections_max: allowance.connections,
        refusals_max: allowance.refusals,
        ..Limits::default()
    };
    let mut reactor = Reactor::new(Greeter::new(config), limits)?;
    let address = reactor.listen(([127, 0, 0, 1], 0).into())?;
    if let Err(error) = writeln!(io::stdout(), "{address}") {
        // The process that wanted a server has ended already.
        return match error.kind() {
            ErrorKind::BrokenPipe => Ok(()),
            _ => Err(error),
        };
    }
    reactor.run()?;
    Ok(())
}
