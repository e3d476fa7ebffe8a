//! The known mistakes.

use super::mutant::{Mutant, Suite};

pub(crate) const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "end_of_drain_ignored",
        file: "src/reactor/mod.rs",
        find: "let over = self.drain.is_some_and(|drain| drain.until <= now);",
        replace: "let over = false; let _ = Drain::clone;",
        suite: Suite::Seeds(60),
    },
    Mutant {
        name: "late_events_dropped_after_panic",
        file: "src/reactor/mod.rs",
        find: "hints.nth(last);",
        replace: "hints.nth(last + 1);",
        suite: Suite::Scenario("events_are_acted_on_once"),
    },
    Mutant {
        name: "output_not_cleared_after_panic",
        file: "src/reactor/drive.rs",
        find: "        self.desk.output.clear();\n        connection.end(EndReason::Panicked);",
        replace: "        connection.end(EndReason::Panicked);",
        suite: Suite::Seeds(60),
    },
    Mutant {
        name: "halvings_begin_at_ninety_percent",
        file: "src/reactor/limits.rs",
        find: "0..8 => 0,\n            8 => 1,",
        replace: "0..9 => 0,\n            9 => 1,",
        suite: Suite::Unit("reactor::limits"),
    },
];
