//! The program: exit codes, files, Ctrl-C.

use std::fs;
use std::io::Read;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::common::{Process, Server, eventually};
use crate::load::schema;
use crate::load::standin::Standin;

pub(crate) fn greet_load(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_greet-load"));
    command.args(arguments).stdin(Stdio::null());
    command
}

#[track_caller]
pub(crate) fn output(arguments: &[&str], exit: i32) -> Output {
    let output = greet_load(arguments).output().expect("it starts");
    assert_eq!(
        output.status.code(),
        Some(exit),
        "{arguments:?}: {output:?}"
    );
    output
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("text")
}

/// A file of one test, removed when the test ends.
pub(crate) struct File(PathBuf);

impl File {
    pub(crate) fn new(ending: &str) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("load-{}-{number}.{ending}", std::process::id());
        Self(PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name))
    }

    pub(crate) fn path(&self) -> &str {
        self.0.to_str().expect("a path of ASCII")
    }

    pub(crate) fn read(&self) -> String {
        fs::read_to_string(&self.0).expect("it was written")
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.read()).expect("JSON")
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[track_caller]
pub(crate) fn assert_valid(report: &Value) {
    let schema = fs::read_to_string(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/docs/load.schema.json"
    ));
    let schema = serde_json::from_str(&schema.expect("the schema is there")).expect("JSON");
    schema::check(&schema, report).unwrap();
}

/// A short run, in which no answer is late because the machine is busy.
pub(crate) const SHORT: [&str; 6] = [
    "--duration",
    "200ms",
    "--warm-up",
    "10ms",
    "--timeout",
    "20s",
];

pub(crate) fn short(more: &[&'static str]) -> Vec<&'static str> {
    [&SHORT, more].concat()
}

#[test]
fn own_server_ends_with_the_run() {
    let report = output(&[&SHORT[..], &["--json", "-"]].concat(), 0);
    let report: Value = serde_json::from_slice(&report.stdout).expect("JSON");
    assert_valid(&report);
    assert_eq!(report["verdict"], "measured");
    assert!(report["runs"][0]["completed"].as_u64() > Some(0));
    let pid = report["server"]["pid"].as_i64().expect("its own server");
    let server = Pid::from_raw(i32::try_from(pid).expect("a pid"));
    eventually("the server ends", || kill(server, None).err());
}

#[test]
fn sweep_has_a_row_and_charts_for_each_step() {
    let (html, json) = (File::new("html"), File::new("json"));
    let arguments = [
        "--sweep",
        "1,3,10",
        "--html",
        html.path(),
        "--json",
        json.path(),
    ];
    let report = output(&[&SHORT[..], &arguments].concat(), 0);
    let table = text(&report.stdout);
    for step in ["1", "3", "10"] {
        let is_row = |line: &str| line.split_whitespace().next() == Some(step);
        assert!(table.lines().any(is_row), "{step} is not in {table}");
    }
    assert_valid(&json.json());
    assert_eq!(json.json()["shape"], "sweep");
    let page = html.read();
    assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"));
    // Throughput, latency, CPU; and for each step the distribution, percentiles, throughput and
    // latency over time; in two sizes.
    assert_eq!(page.matches("<svg").count(), 2 * (3 + 3 * 4));
    for outside in ["src=", "href=", "@import", "url(", "<script", "NaN"] {
        assert!(!page.contains(outside), "the page has {outside}");
    }
}

#[test]
fn report_of_each_scenario_is_valid() {
    for scenario in ["exchange", "churn", "idle", "mixed"] {
        let json = File::new("json");
        let arguments = ["--scenario", scenario, "-n", "20", "--json", json.path()];
        output(&[&SHORT[..], &arguments].concat(), 0);
        assert_valid(&json.json());
        assert_eq!(json.json()["runs"][0]["plan"]["scenario"], scenario);
    }
    let json = File::new("json");
    output(
        &[&SHORT[..], &["--rate", "500", "--json", json.path()]].concat(),
        0,
    );
    assert_valid(&json.json());
    assert_eq!(json.json()["runs"][0]["from_send"]["count"], 100);
}

#[test]
fn server_that_is_down_is_exit_code_1() {
    let json = File::new("json");
    // No greeting server listens on the discard port.
    let output = output(
        &["127.0.0.1:9", "--grace", "300ms", "--json", json.path()],
        1,
    );
    assert_valid(&json.json());
    assert_eq!(json.json()["verdict"], "failed");
    assert!(text(&output.stdout).contains("no server listens there"));
}

#[test]
fn wrong_answer_is_exit_code_1() {
    let standin = Standin::start(|peer| {
        peer.welcome();
        peer.serve_names(1);
        let _ = peer.read_name();
        peer.send("Hello you!\n");
        peer.ignore();
    });
    let address = standin.address.to_string();
    let output = output(&[&[&address[..], "-n", "1"], &SHORT[..]].concat(), 1);
    assert!(text(&output.stdout).contains("not what the name must yield"));
}

#[test]
fn condition_that_holds_is_exit_code_1() {
    let failed = output(&short(&["--fail-if", "p50>1ns,errors>0"]), 1);
    let report = text(&failed.stdout);
    assert!(
        report.contains("FAILED     --fail-if 'p50>1ns'"),
        "{report}"
    );
    assert!(
        report.contains("passed     --fail-if 'errors>0'"),
        "{report}"
    );
    output(&short(&["--fail-if", "p50>1h,errors>0"]), 0);
}

#[test]
fn misuse_is_exit_code_2_with_a_remedy() {
    for (arguments, advice) in [
        (&["--fail-if", "p99"][..], "p99>5ms"),
        (&["--sweep", "1,x"], "10k"),
        (&["--scenario", "churn", "--rate", "5"], "exchange or mixed"),
        (&["--sources", "nowhere"], "127.0.0.2-127.0.0.9"),
        (&["127.0.0.1:x"], "65535"),
        (&["--server-pid", "1"], "ADDR"),
        (&["--until", "p99>5ms"], "--ramp-rate"),
        (&["--rounds", "5"], "--compare"),
        (&["--duration", "0s"], "1ms"),
    ] {
        let output = output(arguments, 2);
        let message = text(&output.stderr);
        assert!(message.contains(advice), "{arguments:?}: {message}");
    }
}

#[test]
fn host_and_port_are_taken_in_any_form() {
    let server = Server::start(&["--framing", "line"]);
    let address = server.address();
    let (port, pair) = (address.port().to_string(), address.to_string());
    let named = format!("localhost:{port}");
    for target in [&[&pair[..]][..], &["127.0.0.1", &port], &[&port], &[&named]] {
        let report = output(&[target, &SHORT, &["--json", "-"]].concat(), 0);
        let report: Value = serde_json::from_slice(&report.stdout).expect("JSON");
        assert_eq!(report["runs"][0]["plan"]["target"], pair[..], "{target:?}");
    }
}

#[test]
fn own_server_ignores_the_generators_environment() {
    let mut command = greet_load(&["--json", "-"]);
    for (name, value) in [
        ("DURATION", "200ms"),
        ("WARM_UP", "10ms"),
        ("TIMEOUT", "20s"),
    ] {
        command.env(format!("GREET_LOAD_{name}"), value);
    }
    let output = command.output().expect("it starts");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

#[test]
fn report_that_cannot_be_written_is_exit_code_2() {
    let Ok(full) = fs::File::options().write(true).open("/dev/full") else {
        return eprintln!("skipped: there is no /dev/full");
    };
    for more in [&["--json", "-"][..], &[]] {
        let output = greet_load(&[&SHORT[..], more].concat())
            .stdout(full.try_clone().expect("a descriptor"))
            .output()
            .expect("it starts");
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        let message = text(&output.stderr);
        assert!(message.contains("standard output"), "{message}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn foreign_source_is_refused_before_measuring() {
    let output = output(&["--sources", crate::load::faults::FOREIGN], 2);
    let message = text(&output.stderr);
    assert!(message.contains("192.0.2.1"), "{message}");
    assert!(
        message.contains("not an address of this machine"),
        "{message}"
    );
}

#[test]
fn durations_beyond_a_year_are_refused() {
    for name in ["--duration", "--warm-up", "--ramp", "--timeout", "--grace"] {
        let output = output(&["127.0.0.1:9", name, "500years"], 2);
        let message = text(&output.stderr);
        assert!(message.contains("365days"), "{name}: {message}");
    }
}

#[test]
fn missing_descriptors_are_fewer_connections() {
    let json = File::new("json");
    let greet_load = env!("CARGO_BIN_EXE_greet-load");
    let arguments = [&SHORT[..], &["-n", "500", "--json", json.path()]].concat();
    let output = Command::new("sh")
        .args(["-c", "ulimit -n 200 && exec \"$0\" \"$@\"", greet_load])
        .args(arguments)
        .output()
        .expect("there is a shell");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let report = text(&output.stdout);
    let report: Vec<_> = report.split_whitespace().collect();
    let report = report.join(" ");
    let warning = "connections, not 500: raise it with `ulimit -n`";
    assert!(report.contains(warning), "{report}");
    let connections = &json.json()["runs"][0]["connections"];
    assert_eq!(connections["asked"], 500);
    assert!(connections["open_max"].as_u64() < Some(200));
}

#[test]
fn interrupt_is_exit_code_130_and_a_partial_report() {
    let standin = Standin::start(|peer| {
        peer.welcome();
        peer.serve();
    });
    let (json, address) = (File::new("json"), standin.address.to_string());
    let arguments = [
        &address[..],
        "-n",
        "2",
        "--duration",
        "1h",
        "--warm-up",
        "0s",
    ];
    let mut command = greet_load(&[&arguments[..], &["--json", json.path()]].concat());
    let mut child = Process::spawn(command.stdout(Stdio::piped()));
    eventually("names are answered", || {
        (standin.served() > 200).then_some(())
    });
    child.signal(Signal::SIGINT);
    let exit = eventually("it ends", || child.try_wait().expect("it is ours"));
    assert_eq!(exit.code(), Some(130));
    let mut report = String::new();
    let stdout = child.stdout.as_mut().expect("a pipe");
    stdout.read_to_string(&mut report).expect("text");
    assert!(report.contains("INTERRUPTED"), "{report}");
    assert!(report.contains("p99"), "{report}");
    assert_valid(&json.json());
    assert_eq!(json.json()["runs"][0]["ending"], "interrupted");
    assert!(json.json()["runs"][0]["completed"].as_u64() > Some(100));
}

#[test]
fn interrupt_of_a_ramp_or_a_comparison_is_exit_code_130() {
    let standin = Standin::start(|peer| {
        peer.welcome();
        peer.serve();
    });
    let address = standin.address.to_string();
    for (mode, answer) in [
        (&["--ramp-rate"][..], "no knee"),
        (&["--compare", &address], "nothing to compare"),
    ] {
        let json = File::new("json");
        let common = [&address, "-n", "2", "-d", "1h", "--json", json.path()];
        let before = standin.served();
        let mut command = greet_load(&[&common[..], mode].concat());
        let mut child = Process::spawn(command.stdout(Stdio::piped()));
        eventually("names are answered", || {
            (standin.served() > before + 200).then_some(())
        });
        child.signal(Signal::SIGINT);
        let exit = eventually("it ends", || child.try_wait().expect("it is ours"));
        assert_eq!(exit.code(), Some(130), "{mode:?}");
        let mut report = String::new();
        let stdout = child.stdout.as_mut().expect("a pipe");
        stdout.read_to_string(&mut report).expect("text");
        assert!(report.starts_with(answer), "{report}");
        assert!(report.contains("INTERRUPTED"), "{report}");
        assert_valid(&json.json());
        assert_eq!(json.json()["verdict"], "interrupted");
    }
}

#[test]
fn own_server_ends_if_the_generator_is_killed() {
    let mut child = Process::spawn(&mut greet_load(&["--duration", "1h", "--quiet"]));
    let children = format!("/proc/{0}/task/{0}/children", child.id());
    if !std::path::Path::new(&children).exists() {
        return eprintln!("skipped: there is no {children} to find the server by");
    }
    let server = eventually("it has a server", || {
        let children = fs::read_to_string(&children).ok()?;
        children.split_whitespace().next().map(str::to_owned)
    });
    child.kill().expect("it runs");
    child.wait().expect("it is ours");
    eventually("the server ends", || {
        // In a container without an init a zombie is never reaped.
        let stat = fs::read_to_string(format!("/proc/{server}/stat"));
        let gone = stat.map_or(true, |stat| stat.contains(") Z "));
        gone.then_some(())
    });
}

#[test]
fn report_without_a_reader_is_not_an_error() {
    let mut command = greet_load(&SHORT);
    let mut child = Process::spawn(command.stdout(Stdio::piped()).stderr(Stdio::piped()));
    drop(child.stdout.take());
    let exit = eventually("it ends", || child.try_wait().expect("it is ours"));
    assert_eq!(exit.code(), Some(0));
}

#[test]
fn own_server_without_a_reader_ends_silently() {
    let (reader, output) = std::io::pipe().expect("a pipe");
    drop(reader);
    let mut server = greet_load(&["--serve", "line"])
        .stdin(Stdio::piped())
        .stdout(output)
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    // Kept open, so that only the output shows that its reader has ended.
    let _stdin = server.stdin.take();
    let ended = server.wait_with_output().expect("it ends");
    assert_eq!(text(&ended.stderr), "");
    assert!(ended.status.success(), "{ended:?}");
}
