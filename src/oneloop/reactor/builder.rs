//! Building a reactor: its limits and its listeners, all or none.

use std::error::Error;
use std::fmt;
use std::io;

use super::{InvalidLimits, Limits, Listen, Reactor, Watch};
use crate::net::{Net, Os};
use crate::service::Service;

/// A reactor to be built: see [`Reactor::builder`].
#[derive(Debug)]
#[must_use = "it does nothing until `build` is called"]
pub struct Builder<S> {
    service: S,
    limits: Limits,
    listeners: Vec<Listen>,
    watch: Option<Watch>,
}

/// The reason why a reactor could not be built, or a listener not be added.
#[derive(Debug)]
#[non_exhaustive]
pub enum BuildError {
    /// A limit is invalid.
    Limits(InvalidLimits),
    /// The operating system has no poller for it, usually because descriptors are exhausted.
    Poller(io::Error),
    /// A listener could not be opened, usually because its address is in use or not local.
    Listen {
        /// The address and the name of the listener.
        listener: String,
        /// The error of the operating system.
        error: io::Error,
    },
    /// The listeners reserve more places than there are.
    Reserve {
        /// The address and the name of the listener that was one too many.
        listener: String,
    },
    /// There are as many listeners as a reactor can have.
    TooManyListeners,
}

impl<S: Service> Reactor<S, Os> {
    /// Begins to build a reactor with any number of listeners.
    ///
    /// ```no_run
    /// # use oneloop::{Context, Event, Next, Peer, Service, ServiceContext};
    /// # struct Echo;
    /// # impl Service for Echo {
    /// #     type Session = ();
    /// #     fn open(&mut self, _: Peer, _: &mut ServiceContext) {}
    /// #     fn step(&mut self, _: &mut (), _: Event, cx: &mut Context<'_>) -> Next {
    /// #         Next::Read { until: cx.after(std::time::Duration::from_secs(60)) }
    /// #     }
    /// # }
    /// use oneloop::{Limits, Listen, Reactor};
    ///
    /// let mut reactor = Reactor::builder(Echo)
    ///     .limits(Limits::default())
    ///     .listen(Listen::tcp(([127, 0, 0, 1], 6000).into()))
    ///     .listen(Listen::unix("/tmp/echo.sock").name("local").mode(0o600))
    ///     .build()?;
    /// reactor.run()?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn builder(service: S) -> Builder<S> {
        Builder {
            service,
            limits: Limits::default(),
            listeners: Vec::new(),
            watch: None,
        }
    }
}

impl<S: Service> Builder<S> {
    /// Sets the limits. Default: [`Limits::default`].
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Has the loop measure itself. Default: it does not.
    pub fn watch(mut self, watch: Watch) -> Self {
        self.watch = Some(watch);
        self
    }

    /// Adds a listener.
    pub fn listen(mut self, listen: impl Into<Listen>) -> Self {
        self.listeners.push(listen.into());
        self
    }

    /// Builds the reactor on the operating system's network.
    ///
    /// # Errors
    /// If a limit is invalid, or a listener cannot be opened. Then none stays open.
    pub fn build(self) -> Result<Reactor<S>, BuildError> {
        // Before the poller is created, which tests of the limits need not have.
        self.limits.validate()?;
        self.build_on(Os::new().map_err(BuildError::Poller)?)
    }

    /// Builds the reactor on the given network, for example a simulated one.
    ///
    /// # Errors
    /// As [`build`](Self::build).
    pub fn build_on<N: Net>(self, net: N) -> Result<Reactor<S, N>, BuildError> {
        let mut reactor = Reactor::with_net(self.service, self.limits, net)?;
        for listen in self.listeners {
            reactor.add_listener(listen)?;
        }
        if let Some(watch) = self.watch {
            reactor.watch(watch);
        }
        Ok(reactor)
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Limits(error) => error.fmt(f),
            Self::Poller(error) => write!(f, "cannot create a poller: {error}"),
            Self::Listen { listener, error } => write!(f, "cannot listen on {listener}: {error}"),
            Self::Reserve { listener } => write!(
                f,
                "cannot reserve places for {listener}: there are not as many"
            ),
            Self::TooManyListeners => f.write_str("there are too many listeners"),
        }
    }
}

impl Error for BuildError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Limits(error) => Some(error),
            Self::Poller(error) | Self::Listen { error, .. } => Some(error),
            Self::Reserve { .. } | Self::TooManyListeners => None,
        }
    }
}

impl From<InvalidLimits> for BuildError {
    fn from(error: InvalidLimits) -> Self {
        Self::Limits(error)
    }
}

impl From<BuildError> for io::Error {
    /// Keeps the kind of the operating system's error. The others are of the kind `InvalidInput`.
    fn from(error: BuildError) -> Self {
        let kind = match &error {
            BuildError::Poller(error) | BuildError::Listen { error, .. } => error.kind(),
            _ => io::ErrorKind::InvalidInput,
        };
        Self::new(kind, error)
    }
}
