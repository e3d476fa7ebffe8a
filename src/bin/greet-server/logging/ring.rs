//! Log lines that could not be written yet: bounded, the oldest are dropped first.

use std::collections::VecDeque;

/// A queue of lines with a limit on their bytes.
#[derive(Debug)]
pub(super) struct Ring {
    lines: VecDeque<Box<[u8]>>,
    bytes: usize,
    bytes_max: usize,
    /// How much of the first line was written: a line that was begun is never dropped.
    begun: usize,
    dropped: u64,
    /// How many lines were dropped, whether that was reported or not.
    dropped_in_all: u64,
}

impl Ring {
    pub(super) const fn new(bytes_max: usize) -> Self {
        Self {
            lines: VecDeque::new(),
            bytes: 0,
            bytes_max,
            begun: 0,
            dropped: 0,
            dropped_in_all: 0,
        }
    }

    /// Returns `true` if no line waits and none was dropped since the last report of it.
    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty() && self.dropped == 0
    }

    /// Adds a line, of which `begun` bytes were written already.
    ///
    /// Drops the oldest lines as long as there are more bytes than allowed; a line larger than the
    /// ring is dropped itself.
    pub(super) fn push(&mut self, line: &[u8], begun: usize) {
        if begun > 0 {
            debug_assert!(self.lines.is_empty(), "only the first line can be begun");
            self.begun = begun;
        }
        self.lines.push_back(line.into());
        self.bytes += line.len();
        while self.bytes > self.bytes_max && self.drop_oldest() {}
    }

    fn drop_oldest(&mut self) -> bool {
        let Some(line) = self.lines.remove(usize::from(self.begun > 0)) else {
            return false;
        };
        self.bytes -= line.len();
        self.dropped += 1;
        self.dropped_in_all += 1;
        true
    }

    /// Returns how many lines were dropped so far.
    pub(super) const fn dropped_in_all(&self) -> u64 {
        self.dropped_in_all
    }

    /// Returns how many lines were dropped, if that can be reported now: between two lines.
    pub(super) fn dropped(&self) -> Option<u64> {
        (self.begun == 0 && self.dropped > 0).then_some(self.dropped)
    }

    /// Notes that the dropped lines were reported by `report`, of which `written` bytes have been
    /// written.
    pub(super) fn reported(&mut self, report: &[u8], written: usize) {
        self.dropped = 0;
        if written < report.len() {
            self.lines.push_front(report.into());
            self.bytes += report.len();
            self.begun = written;
        }
    }

    /// Returns the rest of the first line.
    pub(super) fn front(&self) -> Option<&[u8]> {
        self.lines.front().map(|line| &line[self.begun..])
    }

    /// Notes that so many bytes of the first line were written.
    pub(super) fn advance(&mut self, bytes: usize) {
        self.begun += bytes;
        if self
            .lines
            .front()
            .is_some_and(|line| line.len() == self.begun)
        {
            self.bytes -= self.begun;
            self.begun = 0;
            self.lines.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(ring: &Ring) -> Vec<&str> {
        let text = |line| str::from_utf8(line).expect("the test writes text");
        ring.lines.iter().map(|line| text(line)).collect()
    }

    #[test]
    fn a_full_ring_drops_the_oldest_lines() {
        let mut ring = Ring::new(10);
        for line in ["one\n", "two\n", "three\n"] {
            ring.push(line.as_bytes(), 0);
        }
        assert_eq!(lines(&ring), ["two\n", "three\n"]);
        assert_eq!(ring.dropped(), Some(1));
    }

    #[test]
    fn begun_line_is_finished_before_the_report() {
        let mut ring = Ring::new(10);
        ring.push(b"one\n", 2);
        ring.push(b"two\n", 0);
        ring.push(b"three\n", 0);
        assert_eq!(lines(&ring), ["one\n", "three\n"]);
        assert_eq!(ring.dropped(), None, "the first line is not finished");
        assert_eq!(ring.front(), Some(&b"e\n"[..]));
        ring.advance(2);
        assert_eq!(ring.dropped(), Some(1));
    }

    #[test]
    fn report_in_part_is_finished_before_the_lines() {
        let mut ring = Ring::new(4);
        ring.push(b"one\n", 0);
        ring.push(b"two\n", 0);
        ring.reported(b"1 dropped\n", 2);
        assert_eq!(ring.dropped(), None);
        assert_eq!(ring.front(), Some(&b"dropped\n"[..]));
        ring.advance(8);
        assert_eq!(ring.front(), Some(&b"two\n"[..]));
        ring.advance(4);
        assert!(ring.is_empty());
        assert_eq!(ring.bytes, 0);
    }

    #[test]
    fn a_line_larger_than_the_ring_is_dropped_itself() {
        let mut ring = Ring::new(4);
        ring.push(b"one\n", 0);
        ring.push(b"far too long\n", 0);
        assert_eq!(lines(&ring), [""; 0]);
        assert_eq!(ring.dropped(), Some(2));
        assert_eq!(ring.bytes, 0);
    }
}
