//! However the network cuts what a peer sends into reads, the peer sees the same.

use super::*;
