//! Tokens: the sources of events.
//!
//! A connection's token is its slot's index, with the connection's generation above it, so that an
//! event for an earlier connection in the same slot is recognised. Listeners have the tokens from
//! the top down, below the poller's own, which is the last.

use crate::net::Token;
use crate::service::SessionId;

/// The source that a token identifies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Poller,
    Listener(usize),
    Connection(SessionId),
}

/// Returns the token of a connection.
pub(crate) fn connection(id: SessionId) -> Token {
    Token((id.generation as usize) << INDEX_BITS | id.index as usize)
}

/// Returns the token of the listener with this index.
pub(crate) fn listener(listener: usize) -> Token {
    Token(FIRST_LISTENER - listener)
}

/// Returns the source that `token` identifies.
#[inline]
pub(crate) fn source(token: Token) -> Source {
    if token.0 > FIRST_LISTENER - LISTENERS_MAX {
        return match FIRST_LISTENER.checked_sub(token.0) {
            Some(listener) => Source::Listener(listener),
            None => Source::Poller,
        };
    }
    let index = (token.0 & (INDEX_END - 1)) as u32;
    Source::Connection(SessionId {
        index,
        generation: (token.0 >> INDEX_BITS) as u32,
    })
}

/// Returns the generation after `generation`.
///
/// On 32-bit machines it has fewer bits, so it wraps sooner. Within a batch no index is reused, by
/// the order of the turn.
pub(crate) fn next_generation(generation: u32) -> u32 {
    generation.wrapping_add(1) & GENERATION_MASK
}

const INDEX_BITS: u32 = if usize::BITS == 64 { 32 } else { 20 };
/// Slots have indices below this.
const INDEX_END: usize = 1 << INDEX_BITS;
/// The highest generation is reserved for the listeners.
const GENERATION_MASK: u32 = if usize::BITS == 64 {
    u32::MAX >> 1
} else {
    (1 << 11) - 1
};
const FIRST_LISTENER: usize = Token::WAKER.0 - 1;
pub(crate) const LISTENERS_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_of_different_sources_differ() {
        let mut generation = 0;
        for index in [0, 1, 19_999] {
            generation = next_generation(generation);
            let id = SessionId { index, generation };
            assert_eq!(source(connection(id)), Source::Connection(id));
        }
        let last = SessionId {
            index: 19_999,
            generation: GENERATION_MASK,
        };
        assert_eq!(source(connection(last)), Source::Connection(last));
        for number in [0, 1, LISTENERS_MAX - 1] {
            assert_eq!(source(listener(number)), Source::Listener(number));
        }
        assert_eq!(source(Token::WAKER), Source::Poller);
    }

    #[test]
    fn generation_after_the_last_is_zero() {
        assert_eq!(next_generation(GENERATION_MASK), 0);
    }
}
