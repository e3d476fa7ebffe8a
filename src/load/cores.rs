//! Cores: which a process may use, which it used, and keeping it on one.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::io;

use super::process::Process;

/// A set of cores, by the numbers that the system gives them. Shown like `0-2,5`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cores(BTreeSet<u32>);

impl Cores {
    /// Returns the cores that a process may use. `None` where the system does not report that.
    #[must_use]
    pub fn allowed(process: Process) -> Option<Self> {
        let status = process.read("status")?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
        Self::parse(line.trim())
    }

    /// Returns the cores that share their execution units with `core`, itself among them.
    #[must_use]
    pub fn siblings(core: u32) -> Self {
        let path = format!("/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list");
        let list = fs::read_to_string(path).ok();
        list.and_then(|list| Self::parse(list.trim()))
            .unwrap_or_else(|| Self::from_iter([core]))
    }

    /// Returns the core that another process than those on `taken` should use: one that shares
    /// nothing with them if there is one, else one that is not among them.
    #[must_use]
    pub fn apart_from(&self, taken: &Self) -> Option<u32> {
        let free = || self.iter().filter(|core| !taken.contains(*core));
        let alone = |core: &u32| {
            Self::siblings(*core)
                .iter()
                .all(|core| !taken.contains(core))
        };
        free().find(alone).or_else(|| free().next())
    }

    /// Returns the core, if there is only one.
    #[must_use]
    pub fn only(&self) -> Option<u32> {
        (self.len() == 1).then(|| self.iter().next())?
    }

    /// Returns the cores in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = u32> {
        self.0.iter().copied()
    }

    /// Returns `true` if `core` is one of them.
    #[must_use]
    pub fn contains(&self, core: u32) -> bool {
        self.0.contains(&core)
    }

    /// Returns how many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns `true` if there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn insert(&mut self, core: u32) {
        self.0.insert(core);
    }

    /// Parses a list as the kernel writes it, like `0-2,5`.
    fn parse(list: &str) -> Option<Self> {
        let mut cores = BTreeSet::new();
        for range in list.split(',') {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
            cores.extend(first..=last);
        }
        Some(Self(cores))
    }
}

impl FromIterator<u32> for Cores {
    fn from_iter<T: IntoIterator<Item = u32>>(cores: T) -> Self {
        Self(cores.into_iter().collect())
    }
}

impl fmt::Display for Cores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut ranges: Vec<(u32, u32)> = Vec::new();
        for core in self.iter() {
            match ranges.last_mut() {
                Some((_, last)) if *last + 1 == core => *last = core,
                _ => ranges.push((core, core)),
            }
        }
        for (place, (first, last)) in ranges.into_iter().enumerate() {
            let comma = if place > 0 { "," } else { "" };
            match first == last {
                true => write!(f, "{comma}{first}")?,
                false => write!(f, "{comma}{first}-{last}")?,
            }
        }
        Ok(())
    }
}

/// Keeps a process on one core.
///
/// # Errors
/// If the system does not let it, or has no such call.
#[cfg(target_os = "linux")]
pub fn pin(process: Process, core: u32) -> io::Result<()> {
    use nix::sched::{CpuSet, sched_setaffinity};
    use nix::unistd::Pid;

    let mut set = CpuSet::new();
    set.set(core as usize)?;
    let pid = i32::try_from(process.pid()).map_err(|_| io::ErrorKind::InvalidInput)?;
    Ok(sched_setaffinity(Pid::from_raw(pid), &set)?)
}

/// Keeps a process on one core.
///
/// # Errors
/// Always: this system has no such call.
#[cfg(not(target_os = "linux"))]
pub fn pin(_: Process, _: u32) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Returns the core that this thread runs on now.
#[cfg(target_os = "linux")]
pub(crate) fn own_core() -> Option<u32> {
    u32::try_from(nix::sched::sched_getcpu().ok()?).ok()
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn own_core() -> Option<u32> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn list_of_cores_is_read_and_written_as_the_kernel_does() {
        for list in ["0", "0-1", "0-2,5,7-8"] {
            let cores = Cores::parse(list).expect("a list");
            assert_eq!(cores.to_string(), list);
        }
        assert_eq!(Cores::parse("0-2,5").map(|cores| cores.len()), Some(4));
        assert_eq!(Cores::parse("0-x"), None);
    }

    #[test]
    fn core_apart_is_none_of_those_taken() {
        // Beyond the cores of any machine, where each is its own sibling.
        let cores = |list| Cores::parse(list).expect("a list");
        assert_eq!(cores("9000-9003").apart_from(&cores("9000")), Some(9001));
        assert_eq!(cores("9000").apart_from(&cores("9000")), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn process_that_is_pinned_may_use_one_core_only() {
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .expect("there is a sleep");
        let process = Process::new(child.id());
        let core = Cores::allowed(process).and_then(|cores| cores.iter().last());
        let core = core.expect("there is a /proc");
        let pinned = pin(process, core);
        let allowed = Cores::allowed(process);
        child
            .kill()
            .and_then(|()| child.wait())
            .expect("it is ours");
        pinned.expect("one of its own cores");
        assert_eq!(allowed, Some(Cores::from_iter([core])));
    }
}
