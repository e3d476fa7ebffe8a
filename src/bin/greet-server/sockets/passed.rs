//! Sockets that a service manager passes.

use std::env;
use std::os::fd::OwnedFd;

use listenfd::ListenFd;
use log::warn;
use oneloop::{BuildError, Listen, Reactor, Service};

use super::{Offer, Sockets};

/// Takes the sockets that the service manager passes, and removes its variables, so that no child
/// takes them too.
///
/// # Errors
/// A sentence for the operator: names are missing, or it passes something else than sockets.
pub(super) fn offers() -> Result<Vec<Offer>, String> {
    // The crate would take those of a process that did not set LISTEN_PID, too.
    let is_for_us = env::var("LISTEN_PID").ok() == Some(std::process::id().to_string());
    let names = env::var("LISTEN_FDNAMES").ok();
    let mut passed = ListenFd::from_env();
    if !is_for_us || passed.len() == 0 {
        return Ok(Vec::new());
    }
    let names = names_of(passed.len(), names.as_deref())?;
    let named = names.into_iter().enumerate();
    named
        .map(|(index, name)| {
            let key = format!("{PREFIX}{name}");
            let socket = take(&mut passed, index)
                .map_err(|problem| format!("Cannot listen on {key}: {problem}"))?;
            Ok(Offer { key, socket })
        })
        .collect()
}

impl Sockets {
    /// Adds a listener for each socket of this name; `configure` sets its options.
    ///
    /// Its queue and its file are left alone at the end, because the service manager has the socket
    /// open, too.
    ///
    /// # Errors
    /// The problem, for the operator.
    pub(crate) fn add_passed(
        &mut self,
        reactor: &mut Reactor<impl Service>,
        name: &str,
        configure: impl Fn(Listen) -> Listen,
    ) -> Result<(), String> {
        let key = format!("{PREFIX}{name}");
        let mut offer = self.take(&key).ok_or_else(|| self.without(name))?;
        loop {
            let listen = configure(Listen::adopt(offer.socket)).shared();
            let id = reactor.add_listener(listen).map_err(|error| match error {
                BuildError::Listen { error, .. } => error.to_string(),
                error => error.to_string(),
            })?;
            self.listeners.push((id, key.clone()));
            offer = match self.take(&key) {
                Some(offer) => offer,
                None => return Ok(()),
            };
        }
    }

    /// Returns the problem of a name that no socket has.
    fn without(&self, name: &str) -> String {
        let rest = match self.passed().join(", ") {
            rest if rest.is_empty() => "it passes no other".into(),
            rest => format!("it passes {rest}"),
        };
        format!("the service manager passes no socket named {name}; {rest}")
    }

    /// Checks that every socket of the service manager has a listener: connections to another one
    /// would wait for ever. Closes those of the predecessor that have none.
    ///
    /// # Errors
    /// A sentence for the operator.
    pub(crate) fn check_all_taken(&mut self) -> Result<(), String> {
        let passed = self.passed().join(", ");
        if !passed.is_empty() {
            return Err(format!(
                "Cannot start: the service manager passes sockets that no option takes: {passed}; \
                 take each with --listen {PREFIX}NAME"
            ));
        }
        for offer in self.offers.drain(..) {
            warn!("no option listens on {} any more", offer.key);
        }
        Ok(())
    }

    /// Returns the names of the service manager's sockets that no listener has taken.
    fn passed(&self) -> Vec<&str> {
        let keys = self.offers.iter().map(|offer| &*offer.key);
        keys.filter_map(|key| key.strip_prefix(PREFIX)).collect()
    }
}

/// Takes one socket, of whichever kind it is.
fn take(passed: &mut ListenFd, index: usize) -> Result<OwnedFd, &'static str> {
    if let Ok(Some(socket)) = passed.take_tcp_listener(index) {
        return Ok(socket.into());
    }
    if let Ok(Some(socket)) = passed.take_unix_listener(index) {
        return Ok(socket.into());
    }
    Err("the service manager passes something else than a stream socket")
}

/// Returns the names of `sockets` sockets. Without any, all have the name that systemd gives them.
fn names_of(sockets: usize, names: Option<&str>) -> Result<Vec<String>, String> {
    let Some(names) = names else {
        return Ok(vec!["unknown".to_owned(); sockets]);
    };
    let names: Vec<_> = names.split(':').map(str::to_owned).collect();
    if names.len() == sockets {
        return Ok(names);
    }
    Err(format!(
        "Cannot start: LISTEN_FDS passes {sockets} sockets, and LISTEN_FDNAMES has {} names",
        names.len()
    ))
}

/// The beginning of the keys of these sockets, and of the option that takes them.
const PREFIX: &str = "fd://";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_socket_has_a_name() {
        let named = names_of(2, Some("a:b")).expect("two names");
        assert_eq!(named, ["a", "b"]);
        assert_eq!(names_of(1, None).expect("a name"), ["unknown"]);
        assert!(names_of(2, Some("a")).is_err());
    }
}
