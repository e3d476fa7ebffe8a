//! The service that the server runs: the greeting, and what options put around and beside it.
//!
//! There are three, so that options which are rarely used cost the others nothing. [`plain`] and
//! [`journal`] are the greeting alone, without and with lines in the log. [`operated`] is for every
//! option that concerns operators: its layers and services are always there, and each connection
//! has those that its listener was given. From the outside:
//!
//! ```text
//! listeners `admin`, `agent`   Admin
//! every other listener         Proxied, Activity, TLS, Journal, Greeter
//! ```
//!
//! A layer that an option switches on is added in [`operated`], in an
//! [`Optional`](oneloop::layer::Optional), and its option in `Args::is_operated`. A layer that
//! changes the bytes comes outside of the journal and inside of [`Proxied`], which reads a proxy's
//! header before there is a session:
//!
//! ```text
//! let main = journal.with(controls.encryption.layer()).with(Activity);
//! let main = Proxied::new(args.proxies.protocol(), main);
//! ```

use oneloop::Service;
use oneloop::admin::{Admin, Readiness};
use oneloop::layer::{Activity, ByListeners, Compose};
use oneloop::proxy::Proxied;
use oneloop_greeting::{Control, Greeter};

use crate::args::Args;
use crate::encryption::Encryption;
use crate::journal::Journal;
use crate::operators;
use crate::own_metrics::OwnMetrics;

/// Changes that the program makes to the service while it runs. For a service that takes none of
/// them they have no effect.
#[derive(Debug, Default)]
pub(crate) struct Controls {
    pub(crate) readiness: Readiness,
    pub(crate) encryption: Encryption,
    pub(crate) greeting: Control,
}

/// The greeting alone. A connection costs less memory and an exchange less time than with a journal.
pub(crate) fn plain(args: &Args) -> Greeter {
    Greeter::new(args.greeting())
}

/// The greeting with a journal, for a log that shows its lines.
pub(crate) fn journal(args: &Args) -> (Journal, Controls) {
    let mut greeter = plain(args);
    let controls = Controls {
        greeting: greeter.control(),
        ..Controls::default()
    };
    (Journal::new(greeter), controls)
}

/// The greeting with everything that concerns operators.
///
/// # Errors
/// A sentence for the operator, about an option that cannot be used.
pub(crate) fn operated(args: &Args) -> Result<(impl Service + use<>, Controls), String> {
    let encryption = Encryption::new(&args.tls)?;
    let (own_metrics, handshakes) = (OwnMetrics::new(), encryption.clone());
    let admin = Admin::new().metrics(move |metrics| {
        own_metrics.add(metrics);
        handshakes.add_metrics(metrics);
    });
    let (main, controls) = journal(args);
    let controls = Controls {
        readiness: admin.readiness(),
        encryption,
        ..controls
    };
    #[cfg(feature = "tls")]
    let main = main.with(controls.encryption.layer());
    let main = Proxied::new(args.proxies.protocol(), main.with(Activity));
    let service = main.beside(admin.boxed(), ByListeners(operators::NAMES));
    Ok((service, controls))
}
