//! Listening sockets that another process has passed to this one, and those opened here.
//!
//! A service manager passes sockets by the variables `LISTEN_PID`, `LISTEN_FDS` and
//! `LISTEN_FDNAMES` (sd_listen_fds(3)), a predecessor over a socket that is the standard input.

#[cfg(unix)]
mod inherited;
#[cfg(unix)]
mod passed;

use oneloop::{BuildError, Listen, ListenerId, Reactor, Service};

#[cfg(unix)]
pub(crate) use inherited::{Answer, Predecessor, Transfer};

/// The sockets of this process.
#[derive(Default)]
pub(crate) struct Sockets {
    /// Sockets that were passed, and that no listener has taken yet.
    #[cfg(unix)]
    offers: Vec<Offer>,
    /// The process that has passed them, unless it was a service manager.
    #[cfg(unix)]
    predecessor: Option<Predecessor>,
    /// The listeners, each with the key by which a successor finds its socket.
    listeners: Vec<(ListenerId, String)>,
}

/// A socket that another process has passed.
#[cfg(unix)]
struct Offer {
    /// `fd://NAME` for one of a service manager, otherwise the address that was to be bound.
    key: String,
    socket: std::os::fd::OwnedFd,
}

impl Sockets {
    /// Adds a listener to the reactor, with the socket of the predecessor if it passes one.
    ///
    /// # Errors
    /// As [`Reactor::add_listener`].
    pub(crate) fn add(
        &mut self,
        reactor: &mut Reactor<impl Service>,
        listen: Listen,
    ) -> Result<ListenerId, BuildError> {
        let key = listen.to_string();
        let id = reactor.add_listener(self.inherit(listen, &key))?;
        self.listeners.push((id, key));
        Ok(id)
    }

    #[cfg(not(unix))]
    fn inherit(&mut self, listen: Listen, _: &str) -> Listen {
        listen
    }
}

#[cfg(unix)]
impl Sockets {
    /// Takes the sockets that another process passes. There must be no other thread yet.
    ///
    /// # Errors
    /// A sentence for the operator.
    pub(crate) fn from_environment() -> Result<Self, String> {
        let (mut offers, predecessor) = match Predecessor::from_environment()? {
            Some((predecessor, offers)) => (offers, Some(predecessor)),
            None => (Vec::new(), None),
        };
        offers.extend(passed::offers()?);
        Ok(Self {
            offers,
            predecessor,
            listeners: Vec::new(),
        })
    }

    /// Returns `true` if a predecessor has passed sockets, and waits for the answer.
    pub(crate) const fn is_inherited(&self) -> bool {
        self.predecessor.is_some()
    }

    /// Takes the process that has passed the sockets, unless it was a service manager.
    pub(crate) const fn take_predecessor(&mut self) -> Option<Predecessor> {
        self.predecessor.take()
    }

    /// Takes the first socket with this key.
    fn take(&mut self, key: &str) -> Option<Offer> {
        let found = self.offers.iter().position(|offer| offer.key == key)?;
        Some(self.offers.remove(found))
    }

    /// Returns the listener with the predecessor's socket in the place of a new one.
    fn inherit(&mut self, listen: Listen, key: &str) -> Listen {
        match self.take(key) {
            Some(offer) => listen.with_socket(offer.socket).own_file(),
            None => listen,
        }
    }
}

#[cfg(not(unix))]
impl Sockets {
    /// Returns no sockets: elsewhere none are passed.
    pub(crate) fn from_environment() -> Result<Self, String> {
        Ok(Self::default())
    }

    /// Fails: elsewhere none are passed.
    pub(crate) fn add_passed(
        &mut self,
        _: &mut Reactor<impl Service>,
        _: &str,
        _: impl Fn(Listen) -> Listen,
    ) -> Result<(), String> {
        Err("this system has no service manager that passes sockets".into())
    }

    /// Succeeds: there are none.
    pub(crate) fn check_all_taken(&mut self) -> Result<(), String> {
        Ok(())
    }
}
