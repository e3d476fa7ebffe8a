//! Workers without threads: a job runs at the moment when it completes.

use std::fmt;

use oneloop::net::{Job, Jobs};

/// The pools of the loop, and what happens outside of it at its time.
#[derive(Default)]
pub(super) struct Workers {
    pools: Vec<VirtualPool>,
    /// What is to be done at a later time. Each is taken when its time has come.
    deeds: Vec<Option<Deed>>,
}

/// Something that happens outside of the loop.
pub(super) enum Deed {
    /// The completion of a job, by a worker of this pool.
    Job(Job, usize),
    /// An action of another thread.
    Act(Box<dyn FnOnce()>),
}

#[derive(Debug)]
struct VirtualPool {
    jobs: Jobs,
    idle: usize,
}

impl Workers {
    pub(super) fn add_pool(&mut self, jobs: Jobs, workers: usize) {
        let idle = workers;
        self.pools.push(VirtualPool { jobs, idle });
    }

    /// Takes a job for an idle worker, if there are both.
    pub(super) fn start_job(&mut self) -> Option<Deed> {
        let idle = |(_, pool): &(usize, &mut VirtualPool)| pool.idle > 0;
        let mut idle = self.pools.iter_mut().enumerate().filter(idle);
        let (place, pool, job) =
            idle.find_map(|(place, pool)| pool.jobs.take().map(|job| (place, pool, job)))?;
        pool.idle -= 1;
        Some(Deed::Job(job, place))
    }

    /// Keeps a deed, and returns its number.
    pub(super) fn keep(&mut self, deed: Deed) -> usize {
        self.deeds.push(Some(deed));
        self.deeds.len() - 1
    }

    /// Does what was kept under this number.
    pub(super) fn act(&mut self, number: usize) {
        match self.deeds[number].take() {
            Some(Deed::Job(job, pool)) => {
                self.pools[pool].idle += 1;
                job.run();
            }
            Some(Deed::Act(act)) => act(),
            None => {}
        }
    }
}

impl fmt::Debug for Workers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workers")
            .field("pools", &self.pools)
            .finish_non_exhaustive()
    }
}
