//! The costs of a process, as the system reports them.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// A process whose costs are looked at from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    pid: u32,
}

impl Process {
    /// Returns the process with this number.
    #[must_use]
    pub fn new(pid: u32) -> Self {
        Self { pid }
    }

    /// Returns the process's number.
    #[must_use]
    pub fn pid(self) -> u32 {
        self.pid
    }

    /// Returns the CPU time of all its threads, in user space and in the kernel, to 10 ms. `None`
    /// where there is no `/proc`, or no such process.
    #[must_use]
    pub fn cpu_time(self) -> Option<Duration> {
        let stat = self.read("stat")?;
        // The program's name, in brackets, may contain anything: count from its end.
        let (_, after_name) = stat.rsplit_once(')')?;
        let mut fields = after_name.split_whitespace().skip(UTIME_AFTER_NAME);
        let mut ticks = || fields.next()?.parse::<u64>().ok();
        Some(Self::ticks(ticks()? + ticks()?))
    }

    /// Returns the bytes of memory that are this process's alone: its allocations, not its program.
    /// `None` where there is no `/proc`, or no such process.
    #[must_use]
    pub fn memory(self) -> Option<u64> {
        let status = self.read("status")?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("RssAnon:"))?;
        let kilobytes: u64 = line.split_whitespace().next()?.parse().ok()?;
        Some(kilobytes * 1024)
    }

    /// Returns the core that it runs on, or ran on last. `None` where there is no `/proc`, or no
    /// such process.
    #[must_use]
    pub fn core(self) -> Option<u32> {
        let stat = self.read("stat")?;
        let (_, after_name) = stat.rsplit_once(')')?;
        let mut fields = after_name.split_whitespace().skip(CORE_AFTER_NAME);
        fields.next()?.parse().ok()
    }

    /// Finds the process that listens at `address` on this machine. `None` if there is no such
    /// process, more than one, or it belongs to another user.
    #[must_use]
    pub fn listening_at(address: SocketAddr) -> Option<Self> {
        let sockets: Vec<_> = ["/proc/net/tcp", "/proc/net/tcp6"]
            .iter()
            .filter_map(|file| fs::read_to_string(file).ok())
            .flat_map(|table| listeners(&table, address))
            .collect();
        let pids = fs::read_dir("/proc").ok()?.filter_map(|entry| {
            let pid: u32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
            has_any_of(pid, &sockets).then_some(Self::new(pid))
        });
        let found: Vec<_> = pids.take(2).collect();
        <[Self; 1]>::try_from(found).ok().map(|[only]| only)
    }

    pub(crate) fn read(self, file: &str) -> Option<String> {
        fs::read_to_string(format!("/proc/{}/{file}", self.pid)).ok()
    }

    /// Converts the units of `/proc` (`USER_HZ`): hundredths of a second on every machine that
    /// Linux still runs on.
    pub(crate) const fn ticks(count: u64) -> Duration {
        Duration::from_millis(count.saturating_mul(10))
    }
}

/// Returns the sockets that listen for `address` in a table like `/proc/net/tcp`, as the
/// descriptors of their processes are named.
fn listeners(table: &str, address: SocketAddr) -> Vec<String> {
    let lines = table.lines().skip(1);
    let of_listener = |line: &str| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let (ip, port) = fields.get(1)?.split_once(':')?;
        let listens = *fields.get(3)? == "0A";
        let fits = u16::from_str_radix(port, 16).ok()? == address.port();
        (listens && fits && listens_for(ip, address)).then(|| format!("socket:[{}]", fields[9]))
    };
    lines.filter_map(of_listener).collect()
}

/// Returns `true` if a listener at `ip`, as the kernel writes it, takes connections to `address`.
fn listens_for(ip: &str, address: SocketAddr) -> bool {
    let own = match address.ip() {
        IpAddr::V4(ip) => words([ip.octets()]),
        IpAddr::V6(ip) => words(ip.octets().as_chunks().0.iter().copied()),
    };
    ip == own || ip.bytes().all(|digit| digit == b'0')
}

/// Writes the words of an address as the kernel does: in its own byte order.
fn words(words: impl IntoIterator<Item = [u8; 4]>) -> String {
    let words = words.into_iter();
    words
        .map(|word| format!("{:08X}", u32::from_ne_bytes(word)))
        .collect()
}

fn has_any_of(pid: u32, sockets: &[String]) -> bool {
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd"));
    descriptors.into_iter().flatten().any(|entry| {
        let target = entry.and_then(|entry| fs::read_link(entry.path()));
        target.is_ok_and(|target| {
            sockets
                .iter()
                .any(|socket| target.as_os_str() == &socket[..])
        })
    })
}

/// Returns the CPU time that this process has used, to a microsecond.
#[cfg(unix)]
pub(crate) fn own_cpu_time() -> Option<Duration> {
    use nix::sys::resource::{UsageWho, getrusage};
    let usage = getrusage(UsageWho::RUSAGE_SELF).ok()?;
    let micros = [usage.user_time(), usage.system_time()]
        .map(|time| time.tv_sec() as u64 * 1_000_000 + time.tv_usec() as u64);
    Some(Duration::from_micros(micros.iter().sum()))
}

#[cfg(not(unix))]
pub(crate) fn own_cpu_time() -> Option<Duration> {
    None
}

/// proc(5) numbers the fields from 1; the name is the 2nd, and `utime`, the 14th, precedes `stime`.
const UTIME_AFTER_NAME: usize = 14 - 3;
/// `processor` is the 39th.
const CORE_AFTER_NAME: usize = 39 - 3;

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn working_process_uses_cpu_time_and_memory() {
        let own = Process::new(std::process::id());
        let before = own.cpu_time().expect("there is a /proc");
        let precise = own_cpu_time().expect("every Unix has it");
        while own.cpu_time().expect("still here") < before + Process::ticks(3) {
            std::hint::black_box((0..10_000u64).sum::<u64>());
        }
        assert!(own_cpu_time().expect("every Unix has it") > precise + Process::ticks(1));
        assert!(own.memory().expect("there is a /proc") > 100_000);
    }

    #[test]
    fn listener_is_found_by_the_address_it_takes() {
        let table = "sl local rem st\n\
             0: 0100007F:1770 00000000:0000 0A 0:0 00:0 0 0 0 4711 1\n\
             1: 00000000:1771 00000000:0000 0A 0:0 00:0 0 0 0 4712 1\n\
             2: 0100007F:1772 0100007F:1770 01 0:0 00:0 0 0 0 4713 1\n";
        let found = |ip: [u8; 4], port| listeners(table, (ip, port).into());
        if cfg!(target_endian = "little") {
            assert_eq!(found([127, 0, 0, 1], 6000), ["socket:[4711]"]);
            assert!(found([127, 0, 0, 2], 6000).is_empty());
        }
        assert_eq!(found([127, 0, 0, 2], 6001), ["socket:[4712]"]);
        assert!(found([127, 0, 0, 1], 6002).is_empty(), "it does not listen");
    }

    #[test]
    fn missing_process_has_no_costs() {
        let none = Process::new(u32::MAX);
        assert_eq!((none.cpu_time(), none.memory()), (None, None));
    }
}
