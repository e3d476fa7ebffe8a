//! A step of a session inside another one, with an input and an output of its own.

use super::Context;
use super::Control;
use super::context::Scratch;
use super::output::WriteBuf;

/// The output of a nested step: see [`Context::nested`].
///
/// One is enough for all sessions of a layer, since they are stepped one at a time.
#[derive(Debug)]
pub struct Output {
    buffer: WriteBuf,
    finished: bool,
    duplex: Option<bool>,
}

impl Output {
    /// Returns the bytes written in the last nested step, in consecutive pieces.
    pub fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        self.buffer.slices()
    }

    /// Returns true if the last nested step has written nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.buffer.len() == 0
    }

    /// Returns how many bytes the last nested step has written.
    #[must_use]
    pub fn len(&self) -> usize {
        self.buffer.len()
    }

    /// Returns true if the last nested step has [finished](Context::finish) sending. The connection
    /// does so too, behind the output of this step.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.finished
    }

    /// Returns the mode if the last nested step has [set](Context::set_duplex) it: true for full
    /// duplex.
    pub(crate) fn duplex(&self) -> Option<bool> {
        self.duplex
    }
}

impl Default for Output {
    fn default() -> Self {
        Self {
            buffer: WriteBuf::new(1, 1),
            finished: false,
            duplex: None,
        }
    }
}

impl Context<'_> {
    /// Returns the input maximum that this step has raised the session's own to.
    pub(crate) fn raised_input_max(&self) -> Option<usize> {
        self.scratch.input_max
    }

    /// Returns true if earlier output of a session in full duplex is pending.
    pub(crate) fn has_pending_output(&self) -> bool {
        self.scratch.output.has_pending()
    }

    /// Requests [`Event::Flushed`](super::Event::Flushed) once all output is flushed, as a step
    /// without room gets it. Without pending output it comes in the next turn.
    pub(crate) fn request_flushed(&mut self) {
        let id = self.id();
        let controls = &mut self.scratch.service.requests.controls;
        controls.push((id, Control::Flushed));
    }

    /// Runs `body` with a context that has another input and another output, and otherwise is this
    /// one. Returns the result, and how many bytes of `input` it has consumed.
    ///
    /// This is how a layer steps the session inside it, if it transforms the bytes. `fit` returns
    /// how many bytes of nested output fit into a given room of this context: it bounds the nested
    /// context's [`room`](Self::room) and its maximum. If this context has written nothing, there
    /// is room for at least one byte. A nested step that leaves no room leaves none here, so that
    /// [`Event::Flushed`](super::Event::Flushed) follows. Nested output above the maximum overflows
    /// this context's output as well.
    ///
    /// The nested output is not sent: the caller converts the [`Output`] and writes the result.
    /// [`Transform`](crate::layer::Transform) does the rest too, which is to present unread input
    /// again and to pass on the events.
    ///
    /// A panic of `body` leaves this context intact.
    pub fn nested<T>(
        &mut self,
        input: &[u8],
        output: &mut Output,
        fit: impl Fn(usize) -> usize,
        body: impl FnOnce(&mut Context<'_>) -> T,
    ) -> (T, usize) {
        let outer = &self.scratch.output;
        let least = usize::from(outer.len() == 0 && outer.room() > 0);
        let (mark, max) = (
            fit(outer.room()).max(least),
            fit(outer.max_room()).max(least),
        );
        output.buffer.begin(mark, max);
        let earlier = self.scratch.service.requests.controls.len();
        let swapped = Swapped::new(self.scratch, &mut output.buffer);
        let mut cx = Context {
            input,
            scratch: &mut *swapped.scratch,
        };
        let result = body(&mut cx);
        let consumed = input.len() - cx.input.len();
        drop(swapped);
        let id = self.id();
        let controls = &self.scratch.service.requests.controls[earlier..];
        output.finished = controls.contains(&(id, Control::Finish));
        output.duplex = controls.iter().rev().find_map(|control| match *control {
            (of, Control::Duplex(on)) if of == id => Some(on),
            _ => None,
        });
        if output.buffer.has_overflowed() {
            self.scratch.output.overflow();
        } else if output.buffer.room() == 0 {
            self.scratch.output.leave_no_room();
        } else if !output.buffer.is_plain() {
            // The step has requested something for its session.
            self.scratch.output.leave_plain();
        }
        (result, consumed)
    }
}

/// Exchanges the output of a step for another one until it is dropped, also by a panic.
struct Swapped<'a> {
    scratch: &'a mut Scratch,
    output: &'a mut WriteBuf,
}

impl<'a> Swapped<'a> {
    fn new(scratch: &'a mut Scratch, output: &'a mut WriteBuf) -> Self {
        std::mem::swap(&mut scratch.output, output);
        Self { scratch, output }
    }
}

impl Drop for Swapped<'_> {
    fn drop(&mut self) {
        std::mem::swap(&mut self.scratch.output, self.output);
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;
    use crate::service::SessionLimits;

    /// Returns a scratch with a mark of 10 bytes and a maximum of 100.
    fn scratch() -> Scratch {
        Scratch::new(SessionLimits {
            input_bytes_max: 100,
            input_bytes_hard_max: 1000,
            output_bytes_mark: 10,
            output_bytes_max: 100,
        })
    }

    fn written(scratch: &Scratch) -> Vec<u8> {
        scratch.output.slices().flatten().copied().collect()
    }

    #[test]
    fn nested_context_has_another_input_and_output() {
        let (mut scratch, mut output) = (scratch(), Output::default());
        let mut cx = Context::new(b"outer", &mut scratch);
        let (room, consumed) = cx.nested(
            b"inner",
            &mut output,
            |room| room / 2,
            |cx| {
                assert_eq!(cx.input(), b"inner");
                cx.consume(2);
                cx.write(b"abc");
                cx.room()
            },
        );
        assert_eq!((room, consumed, output.len()), (2, 2, 3));
        assert_eq!(
            (cx.input(), cx.written(), cx.room()),
            (&b"outer"[..], 0, 10)
        );
        assert_eq!(output.pieces().collect::<Vec<_>>(), [b"abc"]);
        cx.write(b"wire");
        // The next one begins anew.
        cx.nested(b"", &mut output, |room| room, |cx| assert_eq!(cx.room(), 6));
        assert!(output.is_empty());
        assert_eq!(written(&scratch), b"wire");
    }

    #[test]
    fn nested_output_has_room_unless_the_outer_one_is_in_use() {
        let (mut scratch, mut output) = (scratch(), Output::default());
        let mut cx = Context::new(b"", &mut scratch);
        let mut room = |cx: &mut Context<'_>| cx.nested(b"", &mut output, |_| 0, |cx| cx.room()).0;
        assert_eq!(room(&mut cx), 1);
        cx.write(b"x");
        assert_eq!(room(&mut cx), 0);
    }

    #[test]
    fn nested_output_above_the_maximum_overflows() {
        for bytes in [90, 91] {
            let (mut scratch, mut output) = (scratch(), Output::default());
            let mut cx = Context::new(b"", &mut scratch);
            cx.write(&[0; 10]);
            cx.nested(
                b"",
                &mut output,
                |room| room,
                |cx| cx.write(&vec![0; bytes]),
            );
            assert_eq!(scratch.output.has_overflowed(), bytes == 91);
        }
    }

    #[test]
    fn panic_in_a_nested_step_leaves_the_outer_output() {
        let (mut scratch, mut output) = (scratch(), Output::default());
        let mut cx = Context::new(b"", &mut scratch);
        cx.write(b"outer");
        let panics = || cx.nested(b"", &mut output, |room| room, |_| panic!("as planned"));
        assert!(catch_unwind(AssertUnwindSafe(panics)).is_err());
        assert_eq!(
            (written(&scratch), scratch.output.room()),
            (b"outer".to_vec(), 5)
        );
    }
}
