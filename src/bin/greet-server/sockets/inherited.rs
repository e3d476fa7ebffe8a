//! Sockets that pass from a process to its successor.
//!
//! The predecessor starts the successor with one end of a socket pair as its standard input. It
//! sends a line that names the protocol, a line for each listener that is the listener's key,
//! together with its descriptor, and an empty line. The successor sends a line when it is ready.

use std::env;
use std::io::{self, IoSlice, IoSliceMut, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use oneloop::{Reactor, Service};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

use super::{Offer, Sockets};

/// The process that has started this one to succeed it.
pub(crate) struct Predecessor {
    link: UnixStream,
}

/// The predecessor's end of the socket pair.
pub(crate) struct Transfer {
    link: UnixStream,
}

/// The answer of a successor so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// There is none yet.
    Pending,
    /// It is ready: its sockets are open, and it accepts.
    Ready,
    /// It has ended.
    Ended,
}

impl Predecessor {
    /// The variable by which a process knows that it is a successor. Its value is the process id of
    /// the predecessor.
    pub(crate) const VARIABLE: &str = "GREET_PREDECESSOR";

    /// Receives the sockets, if this process is a successor.
    pub(super) fn from_environment() -> Result<Option<(Self, Vec<Offer>)>, String> {
        if env::var_os(Self::VARIABLE).is_none() {
            return Ok(None);
        }
        let receive = || {
            let link = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
            link.set_read_timeout(Some(PATIENCE))?;
            let offers = receive(&link)?;
            Ok(Some((Self { link }, offers)))
        };
        receive().map_err(|error: io::Error| {
            let variable = Self::VARIABLE;
            format!("Cannot start: {variable} is set, but no sockets are passed: {error}")
        })
    }

    /// Reports that this process serves.
    ///
    /// # Errors
    /// If the predecessor has ended. This process can serve all the same.
    pub(crate) fn report_ready(&self) -> io::Result<()> {
        (&self.link).write_all(READY)
    }
}

impl Transfer {
    /// Sends the sockets of all open listeners. Returns the other end, which is to be the
    /// successor's standard input.
    pub(crate) fn begin(
        reactor: &Reactor<impl Service>,
        sockets: &Sockets,
    ) -> io::Result<(Self, OwnedFd)> {
        let (link, other) = UnixStream::pair()?;
        // It is read only by the loop, and what does not fit is an error.
        link.set_nonblocking(true)?;
        send(&link, PROTOCOL, None)?;
        for (id, key) in &sockets.listeners {
            if let Some(socket) = reactor.listener_socket(*id) {
                send(&link, key, Some(socket))?;
            }
        }
        send(&link, "", None)?;
        Ok((Self { link }, other.into()))
    }

    /// Looks for the successor's answer, without waiting.
    pub(crate) fn answer(&self) -> Answer {
        let mut answer = [0; READY.len()];
        match io::Read::read(&mut &self.link, &mut answer) {
            Ok(bytes) if answer[..bytes] == *READY => Answer::Ready,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Answer::Pending,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Answer::Pending,
            Ok(_) | Err(_) => Answer::Ended,
        }
    }
}

impl AsFd for Transfer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.link.as_fd()
    }
}

fn send(link: &UnixStream, line: &str, socket: Option<BorrowedFd<'_>>) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if socket.is_some() {
        ancillary.push(SendAncillaryMessage::ScmRights(socket.as_slice()));
    }
    let line = [line.as_bytes(), b"\n"].concat();
    let sent = sendmsg(
        link,
        &[IoSlice::new(&line)],
        &mut ancillary,
        SendFlags::NOSIGNAL,
    )?;
    match sent == line.len() {
        true => Ok(()),
        false => Err(io::ErrorKind::WriteZero.into()),
    }
}

fn receive(link: &UnixStream) -> io::Result<Vec<Offer>> {
    let (mut text, mut sockets) = (Vec::new(), Vec::new());
    while !is_whole(&text) {
        let mut buffer = [0; 4096];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_AT_ONCE))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let mut slices = [IoSliceMut::new(&mut buffer)];
        let received = recvmsg(link, &mut slices, &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(passed) = message {
                sockets.extend(passed);
            }
        }
        if received.bytes == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        text.extend_from_slice(&buffer[..received.bytes]);
    }
    offers(&text, sockets).ok_or_else(|| io::Error::other("it is not this protocol"))
}

/// Returns `true` once the empty line has come.
fn is_whole(text: &[u8]) -> bool {
    text.ends_with(b"\n\n")
}

/// Joins the keys and the descriptors.
fn offers(text: &[u8], sockets: Vec<OwnedFd>) -> Option<Vec<Offer>> {
    let text = std::str::from_utf8(text).ok()?;
    let keys = text.strip_prefix(PROTOCOL)?.strip_prefix('\n')?;
    let keys: Vec<_> = keys.lines().filter(|key| !key.is_empty()).collect();
    let offer = |(key, socket): (&str, OwnedFd)| Offer {
        key: key.to_owned(),
        socket,
    };
    let is_complete = keys.len() == sockets.len();
    is_complete.then(|| keys.into_iter().zip(sockets).map(offer).collect())
}

/// It changes when a successor of this version could not succeed an earlier one.
const PROTOCOL: &str = "greet-server sockets 1";
const READY: &[u8] = b"ready\n";
/// How long the successor waits for sockets that were sent before it was started.
const PATIENCE: Duration = Duration::from_secs(10);
/// A read ends after each message with descriptors: see unix(7).
const SOCKETS_AT_ONCE: usize = 8;

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn listener() -> TcpListener {
        TcpListener::bind("127.0.0.1:0").expect("a free port")
    }

    #[test]
    fn sockets_arrive_with_their_keys() {
        let (one, other) = UnixStream::pair().expect("two sockets");
        let listeners: Vec<_> = (0..20).map(|_| listener()).collect();
        send(&one, PROTOCOL, None).expect("room");
        for (number, listener) in listeners.iter().enumerate() {
            let key = format!("a listener: {number}");
            send(&one, &key, Some(listener.as_fd())).expect("room");
        }
        send(&one, "", None).expect("room");
        let offers = receive(&other).expect("the sockets");
        assert_eq!(offers.len(), 20);
        for (number, (offer, listener)) in offers.into_iter().zip(listeners).enumerate() {
            assert_eq!(offer.key, format!("a listener: {number}"));
            let received = TcpListener::from(offer.socket).local_addr();
            let sent = listener.local_addr().expect("it is bound");
            assert_eq!(received.expect("it is bound"), sent);
        }
    }

    #[test]
    fn another_protocol_is_refused() {
        let (one, other) = UnixStream::pair().expect("two sockets");
        send(&one, "greet-server sockets 7", None).expect("room");
        send(&one, "", None).expect("room");
        assert!(receive(&other).is_err());
        drop(one);
        assert!(receive(&other).is_err(), "it has ended");
    }

    #[test]
    fn answer_is_awaited_without_blocking() {
        let (link, other) = UnixStream::pair().expect("two sockets");
        link.set_nonblocking(true).expect("a socket");
        let transfer = Transfer { link };
        assert_eq!(transfer.answer(), Answer::Pending);
        let predecessor = Predecessor { link: other };
        predecessor.report_ready().expect("it is there");
        assert_eq!(transfer.answer(), Answer::Ready);
        drop(predecessor);
        assert_eq!(transfer.answer(), Answer::Ended);
    }
}
