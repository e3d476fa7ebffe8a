//! Replays the corpora of the fuzz targets.

use std::fs;
use std::path::Path;

use oneloop_swarm::fuzzing;

fn replay(target: &str, body: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../fuzz/corpus")
        .join(target);
    let mut replayed = 0;
    for entry in fs::read_dir(&folder).expect("a corpus") {
        let path = entry.expect("an entry").path();
        body(&fs::read(&path).expect("a readable file"));
        replayed += 1;
    }
    assert!(replayed > 2, "hardly any corpus in {}", folder.display());
}

#[test]
fn framing_corpus_holds() {
    replay("framing", fuzzing::framing);
}

#[test]
fn session_corpus_holds() {
    replay("session", fuzzing::session);
}

#[test]
fn reactor_corpus_holds() {
    replay("reactor", fuzzing::reactor);
}

#[test]
fn relay_corpus_holds() {
    replay("relay", fuzzing::relay);
}
