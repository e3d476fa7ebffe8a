//! The record of a run: a digest, and lines of text on request.

use oneloop::Time;

/// A digest of all events, and their text if enabled.
#[derive(Debug, Default)]
pub(super) struct Trace {
    digest: u64,
    lines: Option<Vec<String>>,
}

impl Trace {
    pub(super) fn record_lines(&mut self) {
        self.lines.get_or_insert_default();
    }

    /// Records one event: `what` happened, to which connection or other number, with a detail.
    pub(super) fn note(&mut self, now: Time, what: &'static str, subject: usize, detail: u64) {
        for word in [now.as_nanos(), subject as u64, detail] {
            self.mix(word);
        }
        for chunk in what.as_bytes().chunks(size_of::<u64>()) {
            let mut word = [0; size_of::<u64>()];
            word[..chunk.len()].copy_from_slice(chunk);
            self.mix(u64::from_le_bytes(word));
        }
        if let Some(lines) = &mut self.lines {
            lines.push(line(now, what, subject, detail));
        }
    }

    pub(super) fn note_text(&mut self, now: Time, text: &str) {
        for byte in text.bytes() {
            self.mix(u64::from(byte));
        }
        if let Some(lines) = &mut self.lines {
            lines.push(format!("{} {text}", stamp(now)));
        }
    }

    pub(super) fn take_lines(&mut self) -> Vec<String> {
        self.lines.as_mut().map(std::mem::take).unwrap_or_default()
    }

    pub(super) fn digest(&self) -> u64 {
        self.digest
    }

    /// Mixes a whole word with FNV's multiplier.
    fn mix(&mut self, word: u64) {
        self.digest = (self.digest.rotate_left(5) ^ word).wrapping_mul(0x0000_0100_0000_01B3);
    }
}

fn line(now: Time, what: &str, subject: usize, detail: u64) -> String {
    format!("{} #{subject:<4} {what} {detail}", stamp(now))
}

fn stamp(now: Time) -> String {
    let micros = now.as_nanos() / 1000;
    format!("{:>8}.{:06} s ", micros / 1_000_000, micros % 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_one_length_differ_in_digest() {
        let digest = |what| {
            let mut trace = Trace::default();
            trace.note(Time::START, what, 1, 2);
            trace.digest()
        };
        assert_eq!(digest("server reads"), digest("server reads"));
        assert_ne!(digest("server reads"), digest("server sheds"));
        assert_ne!(digest("client reads at"), digest("client reads it"));
    }
}
