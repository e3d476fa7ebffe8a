//! Errors, counted by kind.

use std::fmt;
use std::io;
use std::net::IpAddr;

use oneloop::ConnectError;

/// A kind of error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Fault {
    /// No process listens at the address.
    ConnectRefused,
    /// A connection was not made in time.
    ConnectTimedOut,
    /// The local addresses have no free port.
    PortsExhausted,
    /// A local address to connect from is not one of this machine.
    SourceNotLocal,
    /// This process may not open more files.
    DescriptorsExhausted,
    /// A connection could not be made for another reason.
    ConnectFailed,
    /// The server answers, but not with the greeting protocol.
    OtherProtocol,
    /// The server closed a connection because it was full.
    Full,
    /// The server closed a connection whose name came too late.
    TooSlow,
    /// The server closed a connection because it was shutting down.
    Stopping,
    /// The server closed a connection that had not finished.
    Closed,
    /// A connection was reset.
    Reset,
    /// Bytes came that are not those that had to come.
    Wrong,
    /// An answer did not come.
    Missing,
    /// Bytes arrived that no name had asked for.
    Extra,
    /// An answer took longer than it may.
    Late,
}

/// The number of errors of each kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults([u64; Fault::ALL.len()]);

impl Fault {
    /// Every kind.
    pub const ALL: [Self; 16] = [
        Self::ConnectRefused,
        Self::ConnectTimedOut,
        Self::PortsExhausted,
        Self::SourceNotLocal,
        Self::DescriptorsExhausted,
        Self::ConnectFailed,
        Self::OtherProtocol,
        Self::Full,
        Self::TooSlow,
        Self::Stopping,
        Self::Closed,
        Self::Reset,
        Self::Wrong,
        Self::Missing,
        Self::Extra,
        Self::Late,
    ];

    /// Classifies the error of a connect, made from a given source address or from none.
    pub(crate) fn of(error: &ConnectError, source: Option<IpAddr>) -> Self {
        use io::ErrorKind as Kind;
        if let ConnectError::Exhausted(_) = error {
            return Self::DescriptorsExhausted;
        }
        match error.kind() {
            Kind::ConnectionRefused => Self::ConnectRefused,
            Kind::TimedOut => Self::ConnectTimedOut,
            // The error of `bind`; without a source there is none, and `connect` finds no port.
            Kind::AddrNotAvailable if source.is_some() => Self::SourceNotLocal,
            Kind::AddrInUse | Kind::AddrNotAvailable => Self::PortsExhausted,
            _ => Self::ConnectFailed,
        }
    }

    /// Returns the kind in one word, as the JSON has it.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::ConnectRefused => "connect_refused",
            Self::ConnectTimedOut => "connect_timed_out",
            Self::PortsExhausted => "ports_exhausted",
            Self::SourceNotLocal => "source_not_local",
            Self::DescriptorsExhausted => "descriptors_exhausted",
            Self::ConnectFailed => "connect_failed",
            Self::OtherProtocol => "other_protocol",
            Self::Full => "server_full",
            Self::TooSlow => "took_too_long",
            Self::Stopping => "server_stopping",
            Self::Closed => "closed",
            Self::Reset => "reset",
            Self::Wrong => "wrong",
            Self::Missing => "missing",
            Self::Extra => "extra",
            Self::Late => "late",
        }
    }

    /// Returns the kind in plain words, and a remedy.
    #[must_use]
    pub const fn advice(self) -> &'static str {
        match self {
            Self::ConnectRefused => {
                "connections refused: no server listens there; start it, or check the port"
            }
            Self::ConnectTimedOut => {
                "connects timed out: check the server's backlog, or use --ramp"
            }
            Self::PortsExhausted => {
                "connects without a free port: try --sources 127.0.0.2-127.0.0.9"
            }
            Self::SourceNotLocal => "connects from a source that is not an address of this machine",
            Self::DescriptorsExhausted => {
                "connects without a free descriptor: raise the limit with `ulimit -n`"
            }
            Self::ConnectFailed => "connects failed for another reason",
            Self::OtherProtocol => "connections answered, but not with the greeting protocol",
            Self::Full => "connections refused by a full server: raise its --max-connections",
            Self::TooSlow => {
                "connections closed with `You took too long`: raise the server's --name-timeout"
            }
            Self::Stopping => "connections closed because the server shut down",
            Self::Closed => "connections closed by the server before they had finished",
            Self::Reset => "connections reset by the server",
            Self::Wrong => "answers with bytes that are not what the name must yield",
            Self::Missing => "answers that never came",
            Self::Extra => "answers without a question: unexpected bytes",
            Self::Late => "answers later than --timeout",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.advice())
    }
}

impl Faults {
    /// Counts `times` more of a kind.
    pub(crate) fn add(&mut self, fault: Fault, times: u64) {
        self.0[fault as usize] += times;
    }

    /// Returns the number of errors of a kind.
    #[must_use]
    pub const fn count(&self, fault: Fault) -> u64 {
        self.0[fault as usize]
    }

    /// Returns the number of all errors.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Returns the kinds that occurred, each with its number.
    pub fn found(&self) -> impl Iterator<Item = (Fault, u64)> {
        Fault::ALL
            .into_iter()
            .map(|fault| (fault, self.count(fault)))
            .filter(|&(_, count)| count > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn list_of_all_kinds_is_in_counter_order() {
        for (place, fault) in Fault::ALL.into_iter().enumerate() {
            assert_eq!(fault as usize, place, "{fault:?}");
        }
    }

    #[test]
    fn errors_of_connect_are_told_apart() {
        let source = Some(IpAddr::from([127, 0, 0, 2]));
        for (kind, source, fault) in [
            (io::ErrorKind::AddrInUse, source, Fault::PortsExhausted),
            (io::ErrorKind::AddrNotAvailable, None, Fault::PortsExhausted),
            (
                io::ErrorKind::AddrNotAvailable,
                source,
                Fault::SourceNotLocal,
            ),
        ] {
            assert_eq!(Fault::of(&ConnectError::Os(kind.into()), source), fault);
        }
        assert!(Fault::PortsExhausted.advice().contains("--sources"));
        let descriptors = ConnectError::Exhausted(io::ErrorKind::Other.into());
        assert_eq!(Fault::of(&descriptors, None), Fault::DescriptorsExhausted);
    }

    #[test]
    fn errors_are_counted_by_kind_and_in_all() {
        let mut faults = Faults::default();
        assert_eq!((faults.total(), faults.found().count()), (0, 0));
        faults.add(Fault::Reset, 2);
        faults.add(Fault::Late, 3);
        faults.add(Fault::Reset, 5);
        assert_eq!(faults.count(Fault::Reset), 7);
        assert_eq!(faults.count(Fault::Closed), 0);
        assert_eq!(faults.total(), 10);
        let found: Vec<_> = faults.found().collect();
        assert_eq!(found, [(Fault::Reset, 7), (Fault::Late, 3)]);
    }

    #[test]
    fn kinds_have_keys_and_words_of_their_own() {
        for texts in [Fault::key, Fault::advice] {
            let mut all: Vec<_> = Fault::ALL.into_iter().map(texts).collect();
            assert!(all.iter().all(|text| text.len() > 3), "{all:?}");
            all.sort_unstable();
            all.dedup();
            assert_eq!(all.len(), Fault::ALL.len());
        }
        assert_eq!(Fault::Late.to_string(), Fault::Late.advice());
    }

    #[test]
    fn errors_of_connect_without_a_kind_of_their_own_are_one_kind() {
        for (kind, fault) in [
            (io::ErrorKind::ConnectionRefused, Fault::ConnectRefused),
            (io::ErrorKind::TimedOut, Fault::ConnectTimedOut),
            (io::ErrorKind::NetworkUnreachable, Fault::ConnectFailed),
        ] {
            assert_eq!(Fault::of(&ConnectError::Os(kind.into()), None), fault);
        }
        let timed_out = Fault::of(&ConnectError::TimedOut, None);
        assert_eq!(timed_out, Fault::ConnectTimedOut);
    }
}
