//! Writing: the output of a step, and pending output.

use std::io::{self, ErrorKind, IoSlice};

use super::buffer::Buffers;
use super::connection::{Connection, Flags, Phase};
use super::core::{Core, Slot};
use super::drive::Progress;
use super::limits::LARGE_BUFFER_BYTES;
use crate::net::Net;
use crate::service::{Chunk, EndReason, Next, Service};

impl<S: Service, N: Net> Core<S, N> {
    /// Writes the output of a step, and saves the unsent part. Returns true if the kernel has taken
    /// all.
    #[inline(always)]
    pub(crate) fn send(&mut self, connection: &mut Slot<S, N>) -> bool {
        let output = self.scratch.output.as_plain();
        if output.is_empty() {
            return self.scratch.output.is_plain() || self.send_mixed(connection);
        }
        let written = self.net.write(&mut connection.stream, output);
        if matches!(written, Ok(bytes) if bytes == output.len()) {
            self.counters.bytes_out += output.len() as u64;
            self.scratch.output.clear();
            return true;
        }
        self.sent_in_part(connection, written, output.len())
    }

    /// Writes output that is not plain, as [`send`](Self::send) does.
    #[cold]
    #[inline(never)]
    pub(crate) fn send_mixed(&mut self, connection: &mut Slot<S, N>) -> bool {
        let output = &self.scratch.output;
        if output.has_overflowed() {
            return self.overflowed(connection);
        }
        let offered_again = connection.has_input() && !connection.flags.has(Flags::PAUSED);
        if output.room() == 0 && !offered_again {
            // It may have more to write than there was room for.
            connection.flags.add(Flags::FLUSHED);
        }
        let output = &mut self.scratch.output;
        let (written, offered) =
            write_chunks(&mut self.net, &mut connection.stream, output.chunks());
        if matches!(written, Ok(bytes) if bytes == output.len()) {
            self.counters.bytes_out += output.len() as u64;
            self.scratch.reset();
            return true;
        }
        self.sent_in_part(connection, written, offered)
    }

    /// Saves the output of a step that the kernel has not taken whole, as
    /// [`save_unsent`](Self::save_unsent) does.
    #[cold]
    fn sent_in_part(
        &mut self,
        connection: &mut Slot<S, N>,
        written: io::Result<usize>,
        offered: usize,
    ) -> bool {
        if let Ok(bytes) = written {
            Self::note_short_write(connection, bytes, offered);
        }
        self.save_unsent(connection, written)
    }

    /// Notes that a connection is not writable, if a write that took less than `offered` has filled
    /// its send buffer: another attempt now would be in vain.
    fn note_short_write(connection: &mut Slot<S, N>, bytes: usize, offered: usize) {
        if N::SHORT_WRITE_FILLS && bytes < offered {
            connection.flags.remove(Flags::WRITABLE);
        }
    }

    /// Ends a connection whose step wrote more than the maximum. A part of the output would look
    /// complete.
    #[cold]
    pub(crate) fn overflowed(&mut self, connection: &mut Slot<S, N>) -> bool {
        self.scratch.reset();
        connection.abort(EndReason::OutputOverflow);
        false
    }

    /// Moves the unsent output of a step to the connection. Returns true if there is none to move,
    /// because the session has finished sending.
    #[cold]
    pub(crate) fn save_unsent(
        &mut self,
        connection: &mut Slot<S, N>,
        written: io::Result<usize>,
    ) -> bool {
        let sent = written.unwrap_or_else(|error| Self::write_failed(connection, &error));
        self.counters.bytes_out += sent as u64;
        let finished = connection.flags.has(Flags::FINISHED);
        if finished || connection.phase == Phase::Dead {
            self.scratch.reset();
            return finished;
        }
        let buffers = connection.buffers.get_or_insert_default();
        let keep = |segment| buffers.output.append(segment);
        self.scratch.output.take_from(sent, keep);
        if sent + buffers.output.len() >= LARGE_OUTPUT_BYTES {
            self.widen_send_buffer(connection, sent);
        }
        self.scratch.reset();
        false
    }

    /// Appends the output of a step to the pending output of a connection in full duplex.
    pub(crate) fn append_pending(&mut self, connection: &mut Slot<S, N>) {
        let bytes = connection.pending_output() + self.scratch.output.len();
        if self.scratch.output.has_overflowed() || bytes > self.limits.output_bytes_max {
            self.overflowed(connection);
        } else {
            self.save_unsent(connection, Ok(0));
        }
    }

    /// Gives a connection whose output is large a send buffer that it can fill.
    ///
    /// With the default buffer one segment of 64 KiB is under way at a time on a loopback, and
    /// waits for an acknowledgement that Linux delays by 40 ms: two replies of 1 MB a second.
    fn widen_send_buffer(&mut self, connection: &mut Slot<S, N>, sent: usize) {
        if self.limits.send_buffer_bytes < LARGE_BUFFER_BYTES {
            if sent > 0 {
                // The rest may fit now.
                connection.flags.add(Flags::WRITABLE);
            }
            // Best effort: otherwise the output is only slower.
            let _ = self
                .net
                .set_send_buffer(&connection.stream, LARGE_BUFFER_BYTES);
        }
    }

    /// Starts the write deadline for pending output, or for the end.
    ///
    /// A session that has not closed gets `Event::Flushed`, and then returns its next wait. Its own
    /// deadline must not run before the peer has received the output to answer.
    #[cold]
    pub(crate) fn await_flush(&mut self, connection: &mut Slot<S, N>) {
        if connection.is_duplex() {
            connection.flags.add(Flags::FLUSHED);
        } else {
            connection.clear_deadline();
            if connection.phase == Phase::Live {
                connection.apply(Next::Flush, false);
            }
        }
        let deadline = self.now() + self.limits.write_timeout;
        connection.set_write_deadline(deadline, &self.pressure);
    }

    /// Writes pending output.
    #[cold]
    pub(crate) fn flush(&mut self, connection: &mut Slot<S, N>) -> Progress {
        let Connection {
            stream, buffers, ..
        } = connection;
        let Some(Buffers { output, .. }) = buffers.as_deref_mut() else {
            return Progress::None;
        };
        let (written, offered) = write_chunks(&mut self.net, stream, output.chunks());
        match written {
            Ok(bytes) => {
                self.counters.bytes_out += bytes as u64;
                output.advance(bytes);
                let progressed = output.has_progressed(self.limits.write_progress_bytes);
                if output.is_empty() {
                    connection.clear_deadline();
                    connection.free_buffers();
                    if connection.flags.has(Flags::FINISHED) {
                        self.finish_sending(connection);
                    }
                } else if progressed {
                    let deadline = self.now() + self.limits.write_timeout;
                    connection.set_write_deadline(deadline, &self.pressure);
                }
                Self::note_short_write(connection, bytes, offered);
            }
            Err(error) => {
                Self::write_failed(connection, &error);
            }
        }
        Progress::Made
    }

    /// Finishes sending for a session that reads on.
    pub(crate) fn finish(&mut self, connection: &mut Slot<S, N>) {
        if connection.phase != Phase::Live || connection.flags.has(Flags::FINISHED) {
            return;
        }
        connection.flags.add(Flags::FINISHED);
        if !connection.has_pending_output() {
            self.finish_sending(connection);
        }
    }

    fn finish_sending(&mut self, connection: &mut Slot<S, N>) {
        // If the connection is broken, the next read returns the error.
        let _ = self.net.shutdown_write(&mut connection.stream);
    }

    /// Handles the error of a write. Returns 0, the bytes written.
    #[cold]
    pub(crate) fn write_failed(connection: &mut Slot<S, N>, error: &io::Error) -> usize {
        match error.kind() {
            ErrorKind::Interrupted => {}
            ErrorKind::WouldBlock => connection.flags.remove(Flags::WRITABLE),
            // The session has finished sending, and its output is discarded.
            _ if connection.flags.has(Flags::FINISHED) && !connection.has_pending_output() => {}
            _ => connection.abort(EndReason::Reset),
        }
        0
    }
}

/// Writes chunks, up to the first one from a file: all of them, or the first ones of very many.
/// Returns the result, and how many bytes the call was offered.
fn write_chunks<'a, N: Net>(
    net: &mut N,
    stream: &mut N::Stream,
    chunks: impl Iterator<Item = Chunk<'a>>,
) -> (io::Result<usize>, usize) {
    let mut vector = [IoSlice::new(&[]); SLICES_PER_WRITE];
    let mut filled = 0;
    for chunk in chunks.take(SLICES_PER_WRITE) {
        match chunk {
            Chunk::Bytes(bytes) => vector[filled] = IoSlice::new(bytes),
            Chunk::File(slice) => {
                // A file that has become shorter is no full buffer, so nothing counts as offered.
                return (net.write_file(stream, &vector[..filled], slice), 0);
            }
        }
        filled += 1;
    }
    let slices = &vector[..filled];
    let written = match slices {
        [] => Ok(0),
        [slice] => net.write(stream, slice),
        slices => net.write_vectored(stream, slices),
    };
    (written, slices.iter().map(|slice| slice.len()).sum())
}

/// The most slices of one write. Linux takes up to 1,024; a step that writes shared bytes has few.
const SLICES_PER_WRITE: usize = 32;

/// Output from which a send buffer of the default size is too small, if a part of it is pending.
///
/// Such a buffer holds one segment of 64 KiB. A stream of chunks of that size then waits for each
/// acknowledgement; one of shorter chunks does not.
const LARGE_OUTPUT_BYTES: usize = 64 * 1024;
