//! The calls a loop makes, and what goes wrong with them.

use std::io;
use std::net::{IpAddr, SocketAddr};

use super::connection::{At, Owner, Presence};
use super::poller::{self, Hints, Registration, Source, Trigger};
use super::world::{Listening, Stop, World};
use super::{Link, Random, Seen};
use oneloop::Time;
use oneloop::net::{AcceptError, errno};
use oneloop::net::{BufferSizes, ListenOptions, Readiness, Token};

impl World {
    /// Lets time pass until there is something to report or `deadline` has come.
    pub(super) fn wait(
        &mut self,
        deadline: Option<Time>,
        batch: &mut Vec<Readiness>,
    ) -> io::Result<()> {
        self.tally.polls += 1;
        self.work();
        if self.random.chance(self.faults.interrupted_polls) {
            self.run_due();
            return Err(io::ErrorKind::Interrupted.into());
        }
        let until = [deadline, self.horizon].into_iter().flatten().min();
        loop {
            self.run_due();
            self.collect(batch);
            let over = until.is_some_and(|until| until <= self.now);
            if over || !batch.is_empty() || self.stop == Stop::Waking {
                break;
            }
            let next = [self.next_due(), until].into_iter().flatten().min();
            // Nothing is due and nobody waits: a real poller would never return.
            let next = next.ok_or(io::ErrorKind::Deadlock)?;
            self.now = self.now.max(next);
        }
        self.finish_batch(batch);
        Ok(())
    }

    /// Reports what has been raised, all of it or some.
    fn collect(&mut self, batch: &mut Vec<Readiness>) {
        let most = if self.random.chance(self.faults.shuffled_polls) {
            1 + self.random.below(8)
        } else {
            EVENTS_PER_POLL
        };
        while batch.len() < most
            && let Some(source) = self.poller.next()
        {
            self.report(source, batch);
        }
        self.poller.stale(&mut self.random, batch);
    }

    fn finish_batch(&mut self, batch: &mut Vec<Readiness>) {
        if self.stop == Stop::Waking {
            self.stop = Stop::Asked;
        }
        if self.random.chance(self.faults.spurious_events) {
            self.report_nothing(batch);
        }
        if self.random.chance(self.faults.shuffled_polls) {
            self.random.shuffle(batch);
        }
        self.tally.events += batch.len() as u64;
        for event in batch.iter() {
            let hints = u64::from(event.readable)
                | u64::from(event.writable) << 1
                | u64::from(event.hup) << 2;
            self.trace.note(self.now, "event", event.token.0, hints);
        }
    }

    pub(super) fn listen(
        &mut self,
        mut address: SocketAddr,
        options: &ListenOptions,
        token: Token,
    ) -> io::Result<usize> {
        if address.port() == 0 {
            address.set_port(FIRST_FREE_PORT + self.listeners.len() as u16);
        }
        if self
            .listeners
            .iter()
            .any(|l| l.open && l.address == address)
        {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        self.listeners.push(Listening {
            address,
            registration: Registration::new(token),
            queue: Default::default(),
            backlog: options.backlog as usize,
            send_buffer_bytes: options.buffers.send_bytes as usize,
            receive_buffer_bytes: options.buffers.receive_bytes as usize,
            open: true,
            waiting_since: None,
        });
        Ok(self.listeners.len() - 1)
    }

    pub(super) fn accept(&mut self, listener: usize) -> io::Result<(At, SocketAddr)> {
        self.tally.accepts += 1;
        let result = self.try_accept(listener);
        if let Err(error) = &result {
            let what = match AcceptError::of(error) {
                AcceptError::WouldBlock => "server accepts: would block",
                AcceptError::Transient => "server accepts: this one failed",
                AcceptError::Exhausted => "server accepts: no descriptor",
                AcceptError::Fatal => "server accepts: broken",
            };
            self.trace.note(self.now, what, listener, 0);
        }
        if let Some(witness) = &mut self.witness {
            let address = self.listeners[listener].address;
            let result = result.as_ref().map(|&(_, peer)| peer);
            witness.saw_accept(self.now, address, result);
        }
        if let Ok((at, _)) = result {
            self.see(at, Seen::Accepted);
        }
        result
    }

    fn try_accept(&mut self, listener: usize) -> io::Result<(At, SocketAddr)> {
        let registration = &mut self.listeners[listener].registration;
        if registration.reads_unprovoked() {
            registration.excuse();
            self.tally.unprovoked_accepts += 1;
        }
        if let Some(since) = self.listeners[listener].waiting_since {
            let longest = &mut self.tally.longest_queue_neglect;
            *longest = (*longest).max(self.now - since);
            self.listeners[listener].waiting_since = Some(self.now);
        }
        if self.random.chance(self.faults.interruptions) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        if self.random.chance(self.faults.exhausted_accepts) {
            let errors = [errno::EMFILE, errno::ENFILE, errno::ENOBUFS];
            return Err(io::Error::from_raw_os_error(self.random.pick(&errors)));
        }
        if self.descriptors.open >= self.descriptors.most {
            return Err(io::Error::from_raw_os_error(errno::EMFILE));
        }
        let at = self.take_queued(listener)?;
        self.descriptors.open += 1;
        // What came while it waited in the queue is no fault of the loop's.
        let (now, present) = (self.now, self.present(at));
        self.end_mut(at).care.read = present.any_of(Hints::FINISHED).then_some(now);
        Ok((at, self.end(at.other()).address))
    }

    /// As `Os` does it, with one descriptor in reserve.
    pub(super) fn shed(&mut self, listener: usize, message: &[u8]) -> io::Result<()> {
        let result = self.try_shed(listener, message);
        if let Some(witness) = &mut self.witness {
            let address = self.listeners[listener].address;
            witness.saw_shed(self.now, address, result.as_ref().copied());
        }
        result.map(drop)
    }

    fn try_shed(&mut self, listener: usize, message: &[u8]) -> io::Result<SocketAddr> {
        let reopened = !self.random.chance(self.faults.exhausted_accepts);
        if !std::mem::replace(&mut self.descriptors.reserve, reopened) {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        let at = self.take_queued(listener)?;
        self.see(at, Seen::Shed);
        let taken = self.end_mut(at).outgoing.push(message);
        let (bytes, offered) = (&message[..taken], message.len());
        self.see(at, Seen::Wrote { bytes, offered });
        self.close(at);
        self.see(at, Seen::Closed);
        Ok(self.end(at.other()).address)
    }

    pub(super) fn dial(
        &mut self,
        to: SocketAddr,
        from: Option<IpAddr>,
        buffers: &BufferSizes,
    ) -> io::Result<At> {
        if self.descriptors.open >= self.descriptors.most {
            return Err(io::Error::from_raw_os_error(errno::EMFILE));
        }
        self.descriptors.open += 1;
        let port = FIRST_FREE_PORT + self.random.below(20_000) as u16;
        let from = SocketAddr::new(from.unwrap_or(to.ip()), port);
        let link = Link {
            receive_buffer_bytes: buffers.receive_bytes as usize,
            ..self.outbound_link.clone()
        };
        let at = self.connect(Owner::Loop, (from, to), link, self.now);
        let outgoing = &mut self.end_mut(at).outgoing;
        outgoing.set_send_buffer(buffers.send_bytes as usize);
        self.see(at, Seen::Connecting);
        Ok(at)
    }

    pub(super) fn finish_connect(&mut self, at: At) -> io::Result<bool> {
        if let Some(error) = self.end_mut(at).take_error() {
            return Err(error.into());
        }
        match self.end(at).presence {
            Presence::Connecting => Ok(false),
            Presence::Broken { .. } => Err(io::ErrorKind::NotConnected.into()),
            _ => Ok(true),
        }
    }

    pub(super) fn register(&mut self, at: At, token: Token) -> io::Result<()> {
        if self.random.chance(self.faults.failed_registrations) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.end_mut(at).registration = Some(Registration::new(token));
        self.see(at, Seen::Registered);
        self.live.push(at);
        let present = self.present(at);
        if present.any() {
            self.notify(at, present);
        }
        Ok(())
    }

    pub(super) fn read(&mut self, at: At, buffer: &mut [u8]) -> io::Result<usize> {
        self.tally.reads += 1;
        self.note_attention(at);
        self.note_provocation(at);
        let result = self.try_read(at, buffer);
        let (now, more) = (self.now, self.present(at).any_of(Hints::FINISHED));
        self.end_mut(at).care.read = more.then_some(now);
        match &result {
            Ok(0) => self.see(at, Seen::ReadEnd),
            Ok(bytes) => {
                self.see(at, Seen::Read(&buffer[..*bytes]));
                self.pump_soon(at.other());
            }
            Err(error) => self.see(at, Seen::ReadFailed(error.kind())),
        }
        result
    }

    pub(super) fn write(&mut self, at: At, bytes: &[u8]) -> io::Result<usize> {
        self.tally.writes += 1;
        self.note_attention(at);
        let result = self.try_write(at, bytes);
        self.note_refusal(at, bytes.len(), result.as_ref().ok().copied());
        match &result {
            Ok(taken) => {
                let (bytes, offered) = (&bytes[..*taken], bytes.len());
                self.see(at, Seen::Wrote { bytes, offered });
            }
            Err(error) => self.see(at, Seen::WriteFailed(error.kind())),
        }
        self.pump_soon(at);
        result
    }

    pub(super) fn shutdown_write(&mut self, at: At) -> io::Result<()> {
        if self.end(at).is_broken() || self.end(at).presence == Presence::Connecting {
            return Err(io::ErrorKind::NotConnected.into());
        }
        self.see(at, Seen::Finished);
        self.end_mut(at).outgoing.finish();
        self.pump_soon(at);
        Ok(())
    }

    pub(super) fn take_error(&mut self, at: At) -> Option<io::ErrorKind> {
        let error = self.end_mut(at).take_error()?;
        self.see(at, Seen::Broken(error));
        Some(error)
    }

    /// Makes closing the stream, which follows, a reset.
    pub(super) fn abort_stream(&mut self, at: At) {
        self.see(at, Seen::Reset);
        self.abort(at);
    }

    pub(super) fn close_stream(&mut self, at: At) {
        self.note_attention(at);
        self.see(at, Seen::Closed);
        self.live.retain(|live| *live != at);
        self.descriptors.open -= 1;
        if let Some(registration) = self.end_mut(at).registration.take()
            && self.random.chance(self.faults.stale_events)
        {
            self.poller.haunt(registration.token);
        }
        self.close(at);
    }

    /// What the turn before has taken: time never stands still.
    fn work(&mut self) {
        let micros = self.random.within(1..=20);
        self.now = self.now + std::time::Duration::from_micros(micros);
        if self.random.chance(self.faults.stalls) {
            self.now = self.now + self.random.up_to(LONGEST_STALL);
        }
    }

    fn report(&mut self, source: Source, batch: &mut Vec<Readiness>) {
        let present = match source {
            Source::Listener(listener) => self.listeners[listener].present(),
            Source::Stream(at) => self.present(at),
        };
        // Taken out, for it lies in what the report draws from.
        let mut random = std::mem::replace(&mut self.random, Random::new(0));
        let faults = self.faults;
        if let Some(registration) = self.registration(source) {
            poller::report(registration, present, (&mut random, &faults), batch);
        }
        self.random = random;
    }

    /// An event out of thin air, for somebody who is registered.
    fn report_nothing(&mut self, batch: &mut Vec<Readiness>) {
        let Some(at) = self.any_registered() else {
            return;
        };
        let mut random = std::mem::replace(&mut self.random, Random::new(0));
        if let Some(registration) = self.registration(Source::Stream(at)) {
            poller::report_nothing(registration, &mut random, batch);
        }
        self.random = random;
    }

    fn registration(&mut self, source: Source) -> Option<&mut Registration> {
        match source {
            Source::Listener(listener) => {
                let listening = &mut self.listeners[listener];
                listening.open.then_some(&mut listening.registration)
            }
            Source::Stream(at) => self.end_mut(at).registration.as_mut(),
        }
    }

    /// The first of a listener's queue, unless the network has something against it.
    fn take_queued(&mut self, listener: usize) -> io::Result<At> {
        let needless = self.random.chance(self.faults.needless_blocks);
        if needless || self.listeners[listener].queue.is_empty() {
            self.listeners[listener].registration.blocked();
            if needless {
                self.notify_listener_later(listener);
            }
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let at = self.listeners[listener].queue.pop_front();
        let at = at.expect("the queue was seen not to be empty");
        let (now, listening) = (self.now, &mut self.listeners[listener]);
        listening.waiting_since = (!listening.queue.is_empty()).then_some(now);
        if self.random.chance(self.faults.aborted_accepts) {
            self.abort(at);
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        Ok(at)
    }

    /// Keeps in mind whether the loop has output to try again with.
    fn note_refusal(&mut self, at: At, offered: usize, taken: Option<usize>) {
        let (now, room) = (self.now, self.present(at).any_of(Hints::WRITE));
        let end = self.end_mut(at);
        end.care.owes = taken.unwrap_or(0) < offered && !end.is_broken();
        end.care.write = (end.care.owes && room).then_some(now);
        // Input had to wait for this output; from now on it need not.
        end.care.read = end.care.read.map(|_| now);
    }

    /// The loop attends to a connection.
    fn note_attention(&mut self, at: At) {
        if let Some(since) = self.end(at).neglected_since() {
            let longest = &mut self.tally.longest_neglect;
            *longest = (*longest).max(self.now - since);
        }
    }

    /// Whoever has begun to read goes on until there is nothing more.
    fn note_told(&mut self, at: At) {
        if let Some(registration) = &mut self.end_mut(at).registration {
            registration.excuse();
        }
    }

    fn note_provocation(&mut self, at: At) {
        let registration = self.end(at).registration.as_ref();
        if registration.is_some_and(Registration::reads_unprovoked) {
            self.tally.unprovoked_reads += 1;
            self.note_told(at);
            self.trace
                .note(self.now, "read for no reason", at.connection, 0);
        }
    }

    fn try_read(&mut self, at: At, buffer: &mut [u8]) -> io::Result<usize> {
        if self.random.chance(self.faults.interruptions) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        if self.random.chance(self.faults.read_resets) {
            self.tear(at);
        }
        if self.random.chance(self.faults.needless_blocks) {
            return Err(self.read_blocks(at, true));
        }
        if self.incoming(at).arrived() > 0 {
            let most = self.shortened(buffer.len());
            return Ok(self.incoming(at).read(&mut buffer[..most]));
        }
        match self.end_mut(at).take_error() {
            Some(error) => Err(error.into()),
            None if self.end(at).is_broken() || self.incoming(at).has_finished() => Ok(0),
            None => Err(self.read_blocks(at, false)),
        }
    }

    fn read_blocks(&mut self, at: At, needlessly: bool) -> io::Error {
        if let Some(registration) = &mut self.end_mut(at).registration {
            registration.blocked();
        }
        let present = self.present(at) & Hints::FINISHED;
        if needlessly && present.any() {
            self.notify_later(at, present);
        }
        io::ErrorKind::WouldBlock.into()
    }

    /// A short read where the network allows it. Under an edge trigger a short read is a promise.
    fn shortened(&mut self, bytes: usize) -> usize {
        let allowed = self.trigger == Trigger::Rearmed && bytes > 1;
        if allowed && self.random.chance(self.faults.short_reads) {
            1 + self.random.below(bytes - 1)
        } else {
            bytes
        }
    }

    fn try_write(&mut self, at: At, bytes: &[u8]) -> io::Result<usize> {
        if self.random.chance(self.faults.interruptions) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        if self.random.chance(self.faults.write_breaks) {
            self.tear(at);
        }
        if let Some(error) = self.end_mut(at).take_error() {
            return Err(error.into());
        }
        if self.end(at).is_broken() || self.end(at).outgoing.is_finishing() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        if self.random.chance(self.faults.needless_blocks) {
            // Two events can keep the promise: the one planned here, if there is room by then, and
            // otherwise the one that room brings.
            self.end_mut(at).outgoing.block_sender();
            self.notify_later(at, Hints::WRITE);
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let most = match bytes.len() {
            2.. if self.random.chance(self.faults.short_writes) => {
                1 + self.random.below(bytes.len() - 1)
            }
            all => all,
        };
        let connected = self.end(at).is_connected();
        let outgoing = &mut self.end_mut(at).outgoing;
        if !connected || outgoing.space() == 0 {
            outgoing.block_sender();
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(outgoing.push(&bytes[..most]))
    }
}

impl Listening {
    fn present(&self) -> Hints {
        if self.queue.is_empty() {
            Hints::NONE
        } else {
            Hints::READ
        }
    }
}

const EVENTS_PER_POLL: usize = 1024;

const FIRST_FREE_PORT: u16 = 40_000;

const LONGEST_STALL: std::time::Duration = std::time::Duration::from_millis(200);
