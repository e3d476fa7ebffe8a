//! Every event in every state.

use super::*;
