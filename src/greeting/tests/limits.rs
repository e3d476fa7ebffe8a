//! Refusals, deadlines and back-pressure.

use super::*;
