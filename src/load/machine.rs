//! The machine that a report was made on.

use std::fmt;
use std::fs;

use super::figures;

/// The machine that a report was made on. `None` stands for values that the system does not report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// The model of its CPUs.
    pub cpu: Option<String>,
    /// The operating system's name and the release of its kernel.
    pub system: String,
    /// The architecture.
    pub arch: &'static str,
    /// CPUs that this process may use; 0 if that is not known.
    pub cpus: usize,
}

impl Machine {
    /// Describes the machine that this process runs on.
    #[must_use]
    pub fn this() -> Self {
        let cpus = std::thread::available_parallelism().map_or(0, usize::from);
        let release = fs::read_to_string("/proc/sys/kernel/osrelease");
        let system = match (std::env::consts::OS, release) {
            ("linux", Ok(release)) => format!("Linux {}", release.trim()),
            (os, _) => os.to_owned(),
        };
        Self {
            cpu: fs::read_to_string("/proc/cpuinfo")
                .ok()
                .and_then(|info| cpu_model(&info)),
            system,
            arch: std::env::consts::ARCH,
            cpus,
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cpus = figures::plural(self.cpus as u64, "CPU");
        match &self.cpu {
            Some(model) => write!(f, "{model}, {cpus}, {}", self.system),
            None => write!(f, "{} {cpus}, {}", self.arch, self.system),
        }
    }
}

/// Finds the model in the text of `/proc/cpuinfo`, where some architectures have it.
fn cpu_model(info: &str) -> Option<String> {
    let lines = info.lines().filter_map(|line| line.split_once(':'));
    let model = lines
        .filter(|(key, _)| ["model name", "Model", "cpu model"].contains(&key.trim()))
        .map(|(_, model)| model.split_whitespace().collect::<Vec<_>>().join(" "))
        .next()?;
    (!model.is_empty()).then_some(model)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_model_is_found_without_padding() {
        let info = "processor\t: 0\nmodel\t\t: 85\nmodel name\t: Intel(R)  Xeon(R) CPU\n";
        assert_eq!(cpu_model(info).as_deref(), Some("Intel(R) Xeon(R) CPU"));
        assert_eq!(cpu_model("processor : 0\n"), None);
    }

    #[test]
    fn machine_without_a_model_shows_its_architecture() {
        let machine = Machine {
            cpu: None,
            system: "Linux 6.1".into(),
            arch: "aarch64",
            cpus: 4,
        };
        assert_eq!(machine.to_string(), "aarch64 4 CPUs, Linux 6.1");
    }
}
