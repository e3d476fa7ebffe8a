//! The machine in the report, and the cores that both sides run on.

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use oneloop_load::{Cores, Outcome, Process};
use serde_json::Value;

use crate::common::Server;
use crate::load::program::{SHORT, assert_valid, greet_load, output, text};
use crate::{plan, run};

fn json(command: &mut Command) -> Value {
    let output = command.args(["--json", "-"]).output().expect("it starts");
    let report = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_valid(&report);
    report
}

#[track_caller]
fn assert_warned(report: &Value, words: &str) {
    let warnings = report["runs"][0]["warnings"].to_string();
    assert!(warnings.contains(words), "{warnings}");
}

fn own_cores() -> Option<Cores> {
    Cores::allowed(Process::new(std::process::id()))
}

#[test]
fn machine_is_named_in_the_report() {
    let report = text(&output(&SHORT, 0).stdout);
    let machine = report.lines().find(|line| line.starts_with("machine"));
    let machine = machine.expect("a line about it");
    assert!(machine.contains("CPU"), "{machine}");
    let Ok(release) = std::fs::read_to_string("/proc/sys/kernel/osrelease") else {
        return eprintln!("skipped: there is no /proc to read the kernel's release from");
    };
    assert!(machine.contains(release.trim()), "{machine}");
}

#[test]
fn both_sides_are_pinned_unless_no_pin_is_given() {
    let Some(2..) = own_cores().map(|cores| cores.len()) else {
        return eprintln!("skipped: this needs two cores, and a system that reports them");
    };
    let report = json(&mut greet_load(&SHORT));
    let (generator, server) = (&report["pinned"]["generator"], &report["pinned"]["server"]);
    assert!(
        generator.is_u64() && server.is_u64(),
        "{}",
        report["pinned"]
    );
    assert_ne!(generator, server);
    let placement = &report["runs"][0]["placement"];
    assert_eq!(
        placement["generator_cores"],
        Value::from(vec![generator.clone()])
    );
    assert_eq!(placement["server_cores"], Value::from(vec![server.clone()]));
    assert_eq!(placement["shared"], 0.0);

    let report = json(&mut greet_load(&[&SHORT[..], &["--no-pin"]].concat()));
    assert!(report["pinned"]["generator"].is_null());
    assert!(report["pinned"]["server"].is_null());
}

#[test]
fn sides_on_one_core_are_warned_about() {
    let Some(core) = own_cores().and_then(|cores| cores.iter().next()) else {
        return eprintln!("skipped: this system does not report cores");
    };
    let core = core.to_string();
    let taskset = ["taskset", "-c", &core, env!("CARGO_BIN_EXE_greet-load")];
    let mut command = Command::new("env");
    command.args(taskset).args(SHORT);
    if Command::new("taskset").arg("--version").output().is_err() {
        return eprintln!("skipped: there is no taskset");
    }
    let report = json(&mut command);
    assert_eq!(report["runs"][0]["placement"]["shared"], 1.0);
    assert_warned(&report, "shared a core for 100 % of the time");
}

#[test]
fn busy_machine_is_warned_about() {
    if !cfg!(target_os = "linux") {
        return eprintln!("skipped: this system does not report what other processes use");
    }
    let over = AtomicBool::new(false);
    let report = thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        let report = json(&mut greet_load(&[&SHORT[..], &["-n", "2"]].concat()));
        over.store(true, Ordering::Relaxed);
        report
    });
    assert_warned(&report, "other processes used");
}

#[test]
fn generator_at_its_limit_is_warned_about() {
    let server = Server::start(&["--framing", "line"]);
    let warned = |outcome: &Outcome| {
        let mut findings = outcome.findings().into_iter();
        findings.any(|finding| finding.text.contains("bottleneck"))
    };
    let mut outcome = run(&plan(server.address()));
    outcome.costs.generator = Some(outcome.costs.wall * 95 / 100);
    for (server_share, expected) in [(50, true), (94, false)] {
        outcome.costs.server = Some(outcome.costs.wall * server_share / 100);
        assert_eq!(warned(&outcome), expected, "{server_share}");
    }
    outcome.costs.server = None;
    assert!(warned(&outcome));
}

#[test]
fn server_process_is_found_by_its_address() {
    if !cfg!(target_os = "linux") {
        return eprintln!("skipped: this system does not report listeners");
    }
    let server = Server::start(&["--framing", "line"]);
    let address = server.address().to_string();
    let report = json(&mut greet_load(&[&[&address[..]], &SHORT[..]].concat()));
    assert_eq!(report["server"]["pid"], server.pid());
    assert!(report["runs"][0]["cpu"]["server_s"].is_number());
}
