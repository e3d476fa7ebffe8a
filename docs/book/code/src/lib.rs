//! The programs of the book, what its tests share, and what draws its figures.
//!
//! A program of the book is a file in `src/bin`. It contains the bug of its chapter and the mend,
//! and its first argument chooses between them.

use std::net::TcpListener;
use std::{env, io};

pub mod diagram;
pub mod figures;
pub mod lab;
pub mod machine;
pub mod pages;
pub mod pcap;
pub mod services;
pub mod sniff;
pub mod turns;
pub mod wheel;

/// The two versions of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// The version with the bug of the chapter.
    Broken,
    /// A first mend, which has a bug of its own. Only chapter 8 has one.
    Halfway,
    /// The version without the bug.
    Mended,
}

/// Binds a listener as the command line requests: `PROGRAM [broken|halfway|mended] [ADDRESS]`.
///
/// The defaults are `mended` and the tutorial's address, `127.0.0.1:6000`. Prints the address.
///
/// # Errors
///
/// Returns an error if the first argument is another word, or if the address cannot be bound.
pub fn listen() -> io::Result<(TcpListener, Variant)> {
    let variant = match env::args().nth(1).as_deref() {
        Some("broken") => Variant::Broken,
        Some("halfway") => Variant::Halfway,
        Some("mended") | None => Variant::Mended,
        Some(word) => return Err(io::Error::other(format!("unknown variant: {word}"))),
    };
    let address = env::args().nth(2);
    let listener = TcpListener::bind(address.as_deref().unwrap_or("127.0.0.1:6000"))?;
    println!("listening on {}", listener.local_addr()?);
    Ok((listener, variant))
}

/// Returns argument `position` of the command line as a number, or `default` without one.
pub fn number(position: usize, default: u64) -> u64 {
    let argument = env::args().nth(position);
    argument
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}
