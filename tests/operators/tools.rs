//! What operators' tools make of the server. A tool that is missing is skipped.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::common::{Client, Server};
use crate::http::AdminSocket;

#[test]
fn promtool_finds_no_fault_with_the_metrics() {
    let Some(text) = metrics("promtool") else {
        return;
    };
    let output = fed(Command::new("promtool").args(["check", "metrics"]), &text);
    assert_clean(&output);
}

#[test]
fn strict_parser_of_openmetrics_accepts_the_metrics() {
    if !runs(Command::new("python3").args(["-c", "import prometheus_client.openmetrics"])) {
        return println!("skipped: python3 has no prometheus_client");
    }
    let Some(text) = metrics("python3") else {
        return;
    };
    // The format of 0.0.4 differs in the names of counters and in the end, which the strict parser
    // insists on.
    let program = "import sys, prometheus_client.parser as old\n\
        import prometheus_client.openmetrics.parser as strict\n\
        text = sys.stdin.read()\n\
        families = list(old.text_string_to_metric_families(text))\n\
        assert len(families) > 25, families\n\
        lines = []\n\
        for line in text.splitlines():\n\
        \tif line.startswith('#'):\n\
        \t\tkind, name, rest = line[2:].split(' ', 2)\n\
        \t\tline = '# ' + kind + ' ' + name.removesuffix('_total') + ' ' + rest\n\
        \tlines.append(line)\n\
        again = list(strict.text_string_to_metric_families('\\n'.join(lines) + '\\n# EOF\\n'))\n\
        assert len(again) == len(families)\n";
    let output = fed(Command::new("python3").args(["-c", program]), &text);
    assert_clean(&output);
}

#[test]
fn promtool_finds_no_fault_with_the_alert_rules() {
    if !has("promtool") {
        return;
    }
    for (what, file) in [("check", "alerts.yml"), ("test", "alerts_test.yml")] {
        let mut promtool = Command::new("promtool");
        promtool.args([what, "rules"]).arg(documents().join(file));
        let output = promtool.output().expect("running promtool");
        assert!(output.status.success(), "{output:?}");
    }
}

/// Returns the metrics of a server that has served, if the tool is there.
fn metrics(tool: &str) -> Option<String> {
    if !has(tool) {
        return None;
    }
    let socket = AdminSocket::new(&format!("tools-{tool}"));
    let server = Server::start(&["--admin", socket.flag()]);
    Client::acquainted(server.address()).leave();
    Some(socket.get("/metrics").body)
}

pub(crate) fn has(tool: &str) -> bool {
    let found = runs(Command::new(tool).arg("--version"));
    if !found {
        println!("skipped: there is no {tool}");
    }
    found
}

pub(crate) fn runs(command: &mut Command) -> bool {
    let command = command.stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn fed(command: &mut Command, input: &str) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starting a tool");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(input.as_bytes()).expect("feeding a tool");
    drop(stdin);
    child.wait_with_output().expect("waiting for a tool")
}

#[track_caller]
fn assert_clean(output: &Output) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert_eq!(said.trim(), "");
}

pub(crate) fn documents() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operations")
}
