//! A model of the ready queue: connections take turns, and a turn has a budget.

use std::collections::VecDeque;

/// The state of the queue before a turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// The connections that are ready, and how many names each has left.
    pub queue: Vec<(usize, usize)>,
    /// What the turn does.
    pub note: String,
}

// ANCHOR: model
/// Answers names, `budget` of them for a connection and turn. A connection with names left goes
/// to the end of the queue.
pub fn take_turns(names: &[usize], budget: usize) -> Vec<Turn> {
    let mut queue: VecDeque<(usize, usize)> = names.iter().copied().enumerate().collect();
    let mut turns = Vec::new();
    while let Some((key, left)) = queue.front().copied() {
        let answered = left.min(budget);
        turns.push(Turn {
            queue: queue.iter().copied().collect(),
            note: format!("#{key}: {answered} answered"),
        });
        queue.pop_front();
        if left > answered {
            queue.push_back((key, left - answered));
        }
    }
    turns
}
// ANCHOR_END: model
