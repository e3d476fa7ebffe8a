//! Chapters 12 and 13: services on the library.

pub mod chat;
pub mod echo;
