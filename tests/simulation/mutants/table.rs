//! The known mistakes.

use super::mutant::{Mutant, Suite};

pub(crate) const MUTANTS: &[Mutant] = &[];
