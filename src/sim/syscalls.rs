//! The loop's system calls, and their faults.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::Ordering;

use super::connection::{EndpointId, Owner, TcpState};
use super::poller::{self, ReadySet, Registration, Source, Trigger};
use super::world::{ListenerState, Stop, World};
use super::{LinkProfile, Rng, Syscall};
use oneloop::Time;
use oneloop::net::{AcceptError, errno};
use oneloop::net::{BufferSizes, ListenOptions, Readiness, Token};

impl World {
    /// Advances time until there is an event to report or `deadline` passes.
    pub(super) fn wait(
        &mut self,
        deadline: Option<Time>,
        batch: &mut Vec<Readiness>,
    ) -> io::Result<()> {
        self.call_counts.polls += 1;
        self.start_jobs();
        self.elapse_turn();
        if self.rng.random_bool(self.faults.interrupted_polls) {
            self.run_due();
            return Err(io::ErrorKind::Interrupted.into());
        }
        let until = [deadline, self.poll_until].into_iter().flatten().min();
        loop {
            self.run_due();
            self.collect(batch);
            if self.woken.swap(false, Ordering::AcqRel) {
                batch.push(WOKEN);
            }
            let over = until.is_some_and(|until| until <= self.now);
            if over || !batch.is_empty() || self.stop == Stop::Waking {
                break;
            }
            let next = [self.next_event_at(), until].into_iter().flatten().min();
            // No event is scheduled and there is no timeout: a real poller would never return.
            let next = next.ok_or(io::ErrorKind::Deadlock)?;
            self.now = self.now.max(next);
        }
        self.finish_batch(batch);
        Ok(())
    }

    /// Reports the raised readiness, all or some of it.
    fn collect(&mut self, batch: &mut Vec<Readiness>) {
        let most = if self.rng.random_bool(self.faults.shuffled_polls) {
            1 + self.rng.below(8)
        } else {
            EVENTS_PER_POLL
        };
        while batch.len() < most
            && let Some(source) = self.poller.next()
        {
            self.report(source, batch);
        }
        self.poller.stale(&mut self.rng, batch);
    }

    fn finish_batch(&mut self, batch: &mut Vec<Readiness>) {
        if self.stop == Stop::Waking {
            self.stop = Stop::Asked;
        }
        if self.rng.random_bool(self.faults.spurious_events) {
            self.report_nothing(batch);
        }
        if self.rng.random_bool(self.faults.shuffled_polls) {
            self.rng.shuffle(batch);
        }
        self.call_counts.events += batch.len() as u64;
        for event in batch.iter() {
            let ready = u64::from(event.readable)
                | u64::from(event.writable) << 1
                | u64::from(event.hup) << 2;
            self.trace.note(self.now, "event", event.token.0, ready);
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
            .any(|l| l.open && l.address == address && !(l.shares_port && options.reuse_port))
        {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        self.listeners.push(ListenerState {
            address,
            registration: Registration::new(token),
            queue: Default::default(),
            backlog: options.backlog as usize,
            send_buffer_bytes: options.buffers.send_bytes as usize,
            receive_buffer_bytes: options.buffers.receive_bytes as usize,
            open: true,
            is_released: false,
            shares_port: options.reuse_port,
            waiting_since: None,
        });
        Ok(self.listeners.len() - 1)
    }

    pub(super) fn accept(&mut self, listener: usize) -> io::Result<(EndpointId, SocketAddr)> {
        self.call_counts.accepts += 1;
        let result = self.try_accept(listener);
        if let Err(error) = &result {
            let what = match AcceptError::of(error) {
                AcceptError::WouldBlock => "server accepts: would block",
                AcceptError::Transient => "server accepts: this one failed",
                AcceptError::Exhausted => "server accepts: no descriptor",
                _ => "server accepts: broken",
            };
            self.trace.note(self.now, what, listener, 0);
        }
        if let Some(observer) = &mut self.observer {
            let address = self.listeners[listener].address;
            let result = result.as_ref().map(|&(_, peer)| peer);
            observer.observe_accept(self.now, address, result);
        }
        if let Ok((at, _)) = result {
            self.observe(at, Syscall::Accepted);
        }
        result
    }

    fn try_accept(&mut self, listener: usize) -> io::Result<(EndpointId, SocketAddr)> {
        let registration = &mut self.listeners[listener].registration;
        if registration.lacks_credit() {
            registration.grant();
            self.call_counts.accepts_without_readiness += 1;
        }
        if let Some(since) = self.listeners[listener].waiting_since {
            let longest = &mut self.call_counts.max_queue_starvation;
            *longest = (*longest).max(self.now - since);
            self.listeners[listener].waiting_since = Some(self.now);
        }
        if self.rng.random_bool(self.faults.interruptions) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        if self.rng.random_bool(self.faults.exhausted_accepts) {
            let errors = [errno::EMFILE, errno::ENFILE, errno::ENOBUFS];
            return Err(io::Error::from_raw_os_error(self.rng.choose(&errors)));
        }
        if self.descriptors.open >= self.descriptors.limit {
            return Err(io::Error::from_raw_os_error(errno::EMFILE));
        }
        let at = self.take_queued(listener)?;
        self.descriptors.open += 1;
        // Input that arrived in the queue was not neglected by the loop.
        let (now, present) = (self.now, self.present(at));
        self.end_mut(at).starvation.read = present.any_of(ReadySet::EOF).then_some(now);
        Ok((at, self.end(at.other()).address))
    }

    /// Sheds like `Os`, with a reserve descriptor.
    pub(super) fn shed(&mut self, listener: usize, message: &[u8]) -> io::Result<()> {
        let result = self.try_shed(listener, message);
        if let Some(observer) = &mut self.observer {
            let address = self.listeners[listener].address;
            observer.observe_shed(self.now, address, result.as_ref().copied());
        }
        result.map(drop)
    }

    fn try_shed(&mut self, listener: usize, message: &[u8]) -> io::Result<SocketAddr> {
        let reopened = !self.rng.random_bool(self.faults.exhausted_accepts);
        if !std::mem::replace(&mut self.descriptors.reserve, reopened) {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        let at = self.take_queued(listener)?;
        self.observe(at, Syscall::Shed);
        let taken = self.end_mut(at).outgoing.push(message);
        let (bytes, offered) = (&message[..taken], message.len());
        self.observe(at, Syscall::Wrote { bytes, offered });
        self.close(at);
        self.observe(at, Syscall::Closed);
        Ok(self.end(at.other()).address)
    }

    pub(super) fn dial(
        &mut self,
        to: SocketAddr,
        from: Option<IpAddr>,
        buffers: &BufferSizes,
    ) -> io::Result<EndpointId> {
        if self.descriptors.open >= self.descriptors.limit {
            return Err(io::Error::from_raw_os_error(errno::EMFILE));
        }
        self.descriptors.open += 1;
        let port = FIRST_FREE_PORT + self.rng.below(20_000) as u16;
        let from = SocketAddr::new(from.unwrap_or(to.ip()), port);
        let link = LinkProfile {
            receive_buffer_bytes: buffers.receive_bytes as usize,
            ..self.outbound_link.clone()
        };
        let at = self.connect(Owner::Loop, (from, to), link, self.now);
        let outgoing = &mut self.end_mut(at).outgoing;
        outgoing.set_send_buffer(buffers.send_bytes as usize);
        self.observe(at, Syscall::Connecting);
        Ok(at)
    }

    pub(super) fn finish_connect(&mut self, at: EndpointId) -> io::Result<bool> {
        if let Some(error) = self.end_mut(at).take_error() {
            return Err(error.into());
        }
        match self.end(at).state {
            TcpState::Connecting => Ok(false),
            TcpState::Broken { .. } => Err(io::ErrorKind::NotConnected.into()),
            _ => Ok(true),
        }
    }

    pub(super) fn register(&mut self, at: EndpointId, token: Token) -> io::Result<()> {
        if self.rng.random_bool(self.faults.failed_registrations) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.end_mut(at).registration = Some(Registration::new(token));
        self.observe(at, Syscall::Registered);
        self.registered.push(at);
        let present = self.present(at);
        if present.any() {
            self.notify(at, present);
        }
        Ok(())
    }

    pub(super) fn read(&mut self, at: EndpointId, buffer: &mut [u8]) -> io::Result<usize> {
        self.call_counts.reads += 1;
        self.end_starvation(at);
        self.check_readiness(at);
        let result = self.try_read(at, buffer);
        let (now, more) = (self.now, self.present(at).any_of(ReadySet::EOF));
        self.end_mut(at).starvation.read = more.then_some(now);
        match &result {
            Ok(0) => self.observe(at, Syscall::ReadEnd),
            Ok(bytes) => {
                self.call_counts.bytes_read += *bytes as u64;
                self.observe(at, Syscall::Read(&buffer[..*bytes]));
                self.schedule_transmit(at.other());
            }
            Err(error) => self.observe(at, Syscall::ReadFailed(error.kind())),
        }
        result
    }

    pub(super) fn write(&mut self, at: EndpointId, bytes: &[u8]) -> io::Result<usize> {
        self.call_counts.writes += 1;
        self.end_starvation(at);
        let result = self.try_write(at, bytes);
        self.note_blocked_write(at, bytes.len(), result.as_ref().ok().copied());
        match &result {
            Ok(taken) => {
                self.call_counts.bytes_written += *taken as u64;
                let (bytes, offered) = (&bytes[..*taken], bytes.len());
                self.observe(at, Syscall::Wrote { bytes, offered });
            }
            Err(error) => self.observe(at, Syscall::WriteFailed(error.kind())),
        }
        self.schedule_transmit(at);
        result
    }

    pub(super) fn shutdown_write(&mut self, at: EndpointId) -> io::Result<()> {
        if self.end(at).is_broken() || self.end(at).state == TcpState::Connecting {
            return Err(io::ErrorKind::NotConnected.into());
        }
        self.observe(at, Syscall::Finished);
        self.end_mut(at).outgoing.finish();
        self.schedule_transmit(at);
        Ok(())
    }

    pub(super) fn take_error(&mut self, at: EndpointId) -> Option<io::ErrorKind> {
        let error = self.end_mut(at).take_error()?;
        self.observe(at, Syscall::Broken(error));
        Some(error)
    }

    /// Resets the connection. The caller closes the stream next.
    pub(super) fn abort_stream(&mut self, at: EndpointId) {
        self.observe(at, Syscall::Reset);
        self.abort(at);
    }

    pub(super) fn close_stream(&mut self, at: EndpointId) {
        self.end_starvation(at);
        self.observe(at, Syscall::Closed);
        self.registered.retain(|registered| *registered != at);
        self.descriptors.open -= 1;
        if let Some(registration) = self.end_mut(at).registration.take()
            && self.rng.random_bool(self.faults.stale_events)
        {
            self.poller.inject_stale_event(registration.token);
        }
        self.close(at);
    }

    /// Advances the clock by the duration of the last turn.
    fn elapse_turn(&mut self) {
        let micros = self.rng.range(1..=20);
        self.now = self.now + std::time::Duration::from_micros(micros);
        if self.rng.random_bool(self.faults.stalls) {
            self.now = self.now + self.rng.duration_up_to(STALL_MAX);
        }
    }

    fn report(&mut self, source: Source, batch: &mut Vec<Readiness>) {
        let present = match source {
            Source::Listener(listener) => self.listeners[listener].present(),
            Source::Stream(at) => self.present(at),
        };
        // Taken out, because the registration borrows the world.
        let mut rng = std::mem::replace(&mut self.rng, Rng::new(0));
        let faults = self.faults;
        if let Some(registration) = self.registration(source) {
            poller::report(registration, present, (&mut rng, &faults), batch);
        }
        self.rng = rng;
    }

    /// Reports an event without cause for a random registered endpoint.
    fn report_nothing(&mut self, batch: &mut Vec<Readiness>) {
        let Some(at) = self.any_registered() else {
            return;
        };
        let mut rng = std::mem::replace(&mut self.rng, Rng::new(0));
        if let Some(registration) = self.registration(Source::Stream(at)) {
            poller::report_nothing(registration, &mut rng, batch);
        }
        self.rng = rng;
    }

    fn registration(&mut self, source: Source) -> Option<&mut Registration> {
        match source {
            Source::Listener(listener) => {
                let state = &mut self.listeners[listener];
                state.is_registered().then_some(&mut state.registration)
            }
            Source::Stream(at) => self.end_mut(at).registration.as_mut(),
        }
    }

    /// Takes the first connection of a queue, unless a fault occurs.
    fn take_queued(&mut self, listener: usize) -> io::Result<EndpointId> {
        let needless = self.rng.random_bool(self.faults.needless_blocks);
        if needless || self.listeners[listener].queue.is_empty() {
            self.listeners[listener].registration.blocked();
            if needless {
                self.notify_listener_later(listener);
            }
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let at = self.listeners[listener].queue.pop_front();
        let at = at.expect("the queue was seen not to be empty");
        let (now, state) = (self.now, &mut self.listeners[listener]);
        state.waiting_since = (!state.queue.is_empty()).then_some(now);
        if self.rng.random_bool(self.faults.aborted_accepts) {
            self.abort(at);
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        Ok(at)
    }

    /// Notes whether the loop has output to retry.
    fn note_blocked_write(&mut self, at: EndpointId, offered: usize, taken: Option<usize>) {
        let (now, room) = (self.now, self.present(at).any_of(ReadySet::WRITE));
        let end = self.end_mut(at);
        end.starvation.write_blocked = taken.unwrap_or(0) < offered && !end.is_broken();
        end.starvation.write = (end.starvation.write_blocked && room).then_some(now);
        // Input had to wait for this output until now.
        end.starvation.read = end.starvation.read.map(|_| now);
    }

    /// Ends the starvation of an endpoint, and records its duration.
    fn end_starvation(&mut self, at: EndpointId) {
        if let Some(since) = self.end(at).starved_since() {
            let longest = &mut self.call_counts.max_starvation;
            *longest = (*longest).max(self.now - since);
        }
    }

    /// Justifies reads until the next `WouldBlock`.
    fn grant_reads(&mut self, at: EndpointId) {
        if let Some(registration) = &mut self.end_mut(at).registration {
            registration.grant();
        }
    }

    fn check_readiness(&mut self, at: EndpointId) {
        let registration = self.end(at).registration.as_ref();
        if registration.is_some_and(Registration::lacks_credit) {
            self.call_counts.reads_without_readiness += 1;
            self.grant_reads(at);
            self.trace
                .note(self.now, "read for no reason", at.connection, 0);
        }
    }

    fn try_read(&mut self, at: EndpointId, buffer: &mut [u8]) -> io::Result<usize> {
        if self.rng.random_bool(self.faults.interruptions) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        if self.rng.random_bool(self.faults.read_resets) {
            self.reset_both(at);
        }
        if self.rng.random_bool(self.faults.needless_blocks) {
            return Err(self.read_blocks(at, true));
        }
        if self.incoming(at).arrived() > 0 {
            let most = self.read_len(buffer.len());
            return Ok(self.incoming(at).read(&mut buffer[..most]));
        }
        match self.end_mut(at).take_error() {
            Some(error) => Err(error.into()),
            None if self.end(at).is_broken() || self.incoming(at).has_finished() => Ok(0),
            None => Err(self.read_blocks(at, false)),
        }
    }

    fn read_blocks(&mut self, at: EndpointId, needlessly: bool) -> io::Error {
        if let Some(registration) = &mut self.end_mut(at).registration {
            registration.blocked();
        }
        let present = self.present(at) & ReadySet::EOF;
        if needlessly && present.any() {
            self.notify_later(at, present);
        }
        io::ErrorKind::WouldBlock.into()
    }

    /// Returns the length of a read, short if a fault occurs. Edge triggering excludes it: there a
    /// short read means that the socket is empty.
    fn read_len(&mut self, bytes: usize) -> usize {
        let allowed = self.trigger == Trigger::RearmOnWouldBlock && bytes > 1;
        if allowed && self.rng.random_bool(self.faults.short_reads) {
            1 + self.rng.below(bytes - 1)
        } else {
            bytes
        }
    }

    fn try_write(&mut self, at: EndpointId, bytes: &[u8]) -> io::Result<usize> {
        if self.rng.random_bool(self.faults.interruptions) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        if self.rng.random_bool(self.faults.write_breaks) {
            self.reset_both(at);
        }
        if let Some(error) = self.end_mut(at).take_error() {
            return Err(error.into());
        }
        if self.end(at).is_broken() || self.end(at).outgoing.is_finishing() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        if self.rng.random_bool(self.faults.needless_blocks) {
            // The event scheduled here may find no room; then the one that room raises follows.
            self.end_mut(at).outgoing.block_sender();
            self.notify_later(at, ReadySet::WRITE);
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let most = match bytes.len() {
            2.. if self.rng.random_bool(self.faults.short_writes) => {
                1 + self.rng.below(bytes.len() - 1)
            }
            all => all,
        };
        let connected = self.end(at).is_connected();
        let outgoing = &mut self.end_mut(at).outgoing;
        if !connected || outgoing.space() == 0 {
            outgoing.block_sender();
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let taken = outgoing.push(&bytes[..most]);
        if taken < bytes.len() && self.trigger == Trigger::Edge {
            self.promise_room(at, taken == most);
        }
        Ok(taken)
    }

    /// Makes sure that an event follows a short write. With a `needless` one there may be room
    /// already.
    fn promise_room(&mut self, at: EndpointId, needless: bool) {
        self.end_mut(at).outgoing.block_sender();
        if needless {
            self.notify_later(at, ReadySet::WRITE);
        }
    }
}

impl ListenerState {
    fn present(&self) -> ReadySet {
        if self.queue.is_empty() {
            ReadySet::NONE
        } else {
            ReadySet::READ
        }
    }
}

const EVENTS_PER_POLL: usize = 1024;

const FIRST_FREE_PORT: u16 = 40_000;

const STALL_MAX: std::time::Duration = std::time::Duration::from_millis(200);

/// The event of a wake-up.
const WOKEN: Readiness = {
    let mut woken = Readiness::of(Token::WAKER);
    woken.readable = true;
    woken
};
