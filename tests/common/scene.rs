//! A server, a background client, and a test that disturbs them.

use std::ops::Deref;

use super::{Client, Report, Server, eventually_or_why};

/// A server in which something hostile is to happen. At its end the bystander must have noticed
/// nothing, and the server must hold what it held at the beginning.
#[derive(Debug)]
pub(crate) struct Scene {
    server: Server,
    /// The background client. `None` where time-outs are so short that it cannot
    /// can stay.
    resident: Option<Client>,
    descriptors: usize,
}

impl Scene {
    /// Starts a server with these flags, and a client that it serves all the time.
    #[track_caller]
    pub(crate) fn new(flags: &[&str]) -> Self {
        Self::of(Server::start(flags))
    }

    /// Starts a scene with a server of the test's own.
    #[track_caller]
    pub(crate) fn of(server: Server) -> Self {
        let resident = Some(Client::acquainted(server.address()));
        let descriptors = server.descriptors();
        Self {
            server,
            resident,
            descriptors,
        }
    }

    /// Starts a server with time-outs that are too short for a client to stay.
    #[track_caller]
    pub(crate) fn brief(flags: &[&str]) -> Self {
        let server = Server::start(flags);
        server.report(); // it is past its beginning, in which it reads files
        let descriptors = server.descriptors();
        Self {
            server,
            resident: None,
            descriptors,
        }
    }

    /// Connects a client.
    #[track_caller]
    pub(crate) fn client(&self) -> Client {
        Client::connect(self.address())
    }

    /// Connects a client, and takes the welcome and the question.
    #[track_caller]
    pub(crate) fn welcomed(&self) -> Client {
        Client::welcomed(self.address())
    }

    /// Checks that the background client is served.
    #[track_caller]
    pub(crate) fn check_bystander(&mut self) {
        match &mut self.resident {
            Some(resident) => {
                resident.round_trip("bystander");
            }
            None => Client::acquainted(self.address()).leave(),
        }
    }

    /// Checks that the background client is served, and that soon everything is as it was:
    /// connections, descriptors, deadlines, memory held for connections. Then the server must stop
    /// without a fault. Returns its last report.
    #[track_caller]
    pub(crate) fn end(mut self) -> Report {
        self.check_bystander();
        let report = self.wait_for_baseline();
        if let Some(resident) = self.resident.take() {
            resident.leave();
        }
        assert_eq!(self.server.terminate(), Some(0));
        assert_eq!(self.server.log().count("panicked"), 0);
        report
    }

    #[track_caller]
    pub(crate) fn wait_for_baseline(&self) -> Report {
        let residents = u64::from(self.resident.is_some());
        let report = eventually_or_why("everything is as it was", || {
            let (report, descriptors) = (self.server.report(), self.server.descriptors());
            let is_baseline = report.open() == residents
                && report.count("refusing") == 0
                && report.count("deadlines") == residents
                && report.count("bytes held") == 0
                && descriptors == self.descriptors;
            if is_baseline {
                Ok(report)
            } else {
                Err(format!("{descriptors} descriptors, {report:?}"))
            }
        });
        assert_eq!(
            report.count("accepted"),
            report.open() + report.ended_in_all(),
            "every connection ends for exactly one reason: {report:?}"
        );
        report
    }
}

impl Deref for Scene {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}
