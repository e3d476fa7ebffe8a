//! The alert rules and the dashboard name metrics that exist.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::common::{Client, Server};
use crate::http::AdminSocket;

#[test]
fn metrics_of_the_rules_the_dashboard_and_the_page_exist() {
    let socket = AdminSocket::new("documents");
    let server = Server::start(&["--admin", socket.flag()]);
    Client::acquainted(server.address()).leave();
    let text = socket.get("/metrics").body;
    let names = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    let mut exist: BTreeSet<String> = names.map(str::to_owned).collect();
    // Histograms are asked for by their series.
    let buckets: Vec<_> = exist.iter().map(|name| format!("{name}_bucket")).collect();
    exist.extend(buckets.into_iter().filter(|name| text.contains(name)));
    assert!(exist.len() > 25, "{exist:?}");
    for (file, least) in [
        ("alerts.yml", 9),
        ("dashboard.json", 18),
        ("monitoring.md", 14),
    ] {
        let mut named = metrics_in(&document(file));
        // Those of a server with TLS are in the tests of TLS.
        named.retain(|name| !name.starts_with("greet_tls_"));
        assert!(named.len() >= least, "{file} names {named:?}");
        let missing: Vec<_> = named.difference(&exist).collect();
        assert_eq!(missing, [""; 0], "{file}");
    }
}

#[test]
fn dashboard_has_twelve_panels_in_a_grid() {
    let dashboard: Value = serde_json::from_str(&document("dashboard.json")).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    assert_eq!(panels.len(), 12);
    let mut places = BTreeSet::new();
    for panel in panels {
        let at = |side: &str| panel["gridPos"][side].as_u64().expect("a place");
        assert!(at("x") + at("w") <= 24, "{panel}");
        assert!(places.insert((at("x"), at("y"))), "two panels at one place");
        assert!(!panel["title"].as_str().expect("a title").is_empty());
        for target in panel["targets"].as_array().expect("targets") {
            let query = target["expr"].as_str().expect("a query");
            assert!(!metrics_in(query).is_empty(), "{query}");
        }
    }
}

fn document(name: &str) -> String {
    let folder: PathBuf = [env!("CARGO_MANIFEST_DIR"), "docs", "operations"]
        .iter()
        .collect();
    fs::read_to_string(folder.join(name)).expect(name)
}

/// Returns the names of metrics in a text.
fn metrics_in(text: &str) -> BTreeSet<String> {
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    let prefixes = ["oneloop_", "greet_", "process_"];
    let is_metric = |word: &&str| prefixes.iter().any(|prefix| word.starts_with(prefix));
    words.filter(is_metric).map(str::to_owned).collect()
}
