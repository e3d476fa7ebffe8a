//! Audits by testssl.sh.

use std::process::Command;

use crate::common::Server;
use crate::{Folder, lacks, skip};

/// The findings of testssl.sh are at most of the severity LOW.
#[test]
fn testssl_finds_nothing_of_weight() {
    let tool = ["testssl", "testssl.sh"]
        .into_iter()
        .find(|tool| lacks(tool).is_none());
    let (Some(tool), None) = (tool, lacks("openssl")) else {
        return skip("testssl", "there is no `testssl` or no `openssl`");
    };
    let folder = Folder::new("audit");
    let pair = Pair::new(&folder);
    let server = Server::start(&["--tls-cert", &pair.certificate, "--tls-key", &pair.key]);
    let report = folder.file("report.csv");
    let output = Command::new(tool)
        .args(["--quiet", "--warnings", "batch", "--color", "0"])
        .args(["--add-ca", &pair.authority, "--csvfile", &report])
        // No look-up of names.
        .args(["--nodns", "none", "--ip", "127.0.0.1"])
        .arg(format!("localhost:{}", server.address().port()))
        .output()
        .expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let findings = std::fs::read_to_string(&report).unwrap_or_default();
    let findings = findings.lines().map(Finding::parse);
    let findings: Vec<_> = findings.flatten().collect();
    // It has looked.
    for id in ["TLS1_3", "heartbleed", "cert_chain_of_trust"] {
        let found = findings.iter().find(|finding| finding.id == id);
        assert_eq!(
            found.map(|found| &found.severity[..]),
            Some("OK"),
            "{id}: {text}"
        );
    }
    let heavy = |finding: &&Finding| {
        let severity = &finding.severity[..];
        matches!(severity, "MEDIUM" | "HIGH" | "CRITICAL") && !EXPECTED.contains(&&finding.id[..])
    };
    let heavy: Vec<_> = findings.iter().filter(heavy).collect();
    assert!(heavy.is_empty(), "{heavy:#?}");
}

/// A line of the report.
#[derive(Debug)]
struct Finding {
    id: String,
    severity: String,
    #[expect(dead_code, reason = "read by `Debug`, in the message of a failure")]
    line: String,
}

impl Finding {
    fn parse(line: &str) -> Option<Self> {
        let mut fields = line.trim_start_matches('"').split("\",\"");
        Some(Self {
            id: fields.next()?.into(),
            severity: fields.nth(2)?.into(),
            line: line.into(),
        })
    }
}

/// Findings about the tests' certificate, which names no list of revoked ones.
const EXPECTED: &[&str] = &[
    "cert_revocation",
    "cert_crlDistributionPoints",
    "cert_ocspURL",
];

/// A certificate for `localhost` with the lifetime of a public one, and its authority.
struct Pair {
    certificate: String,
    key: String,
    authority: String,
}

impl Pair {
    fn new(folder: &Folder) -> Self {
        let pair = Self {
            certificate: folder.file("cert.pem"),
            key: folder.file("key.pem"),
            authority: folder.file("ca.pem"),
        };
        let script = "set -e; cd \"$0\"
            openssl ecparam -name prime256v1 -genkey -noout -out ca-key.pem
            openssl req -x509 -new -key ca-key.pem -days 90 -subj /CN=audit \
                -addext basicConstraints=critical,CA:TRUE -out ca.pem
            openssl ecparam -name prime256v1 -genkey -noout -out key.pem
            openssl req -new -key key.pem -subj /CN=localhost -out request.pem
            printf 'subjectAltName=DNS:localhost\\nextendedKeyUsage=serverAuth' |
            openssl x509 -req -in request.pem -CA ca.pem -CAkey ca-key.pem -CAcreateserial \
                -days 80 -extfile /dev/stdin -out cert.pem";
        let made = Command::new("sh")
            .args(["-c", script])
            .arg(&folder.0)
            .output();
        let made = made.expect("a shell");
        assert!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
        pair
    }
}
