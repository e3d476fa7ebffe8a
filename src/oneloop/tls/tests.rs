use std::fs;
use std::path::PathBuf;

use super::*;
use crate::layer::Compose;
use crate::service::{Next, Service};
use crate::testing::Harness;

const FIRST: &str = include_str!("testdata/first.pem");
const FIRST_KEY: &str = include_str!("testdata/first-key.pem");
const SECOND: &str = include_str!("testdata/second.pem");
const SECOND_KEY: &str = include_str!("testdata/second-key.pem");

fn from_pem(certificate: &str, key: &str) -> Result<Config, ConfigError> {
    Config::from_pem(certificate.as_bytes(), key.as_bytes(), Settings::default())
}

/// Returns paths in a folder of this test alone.
fn paths(test: &str) -> (PathBuf, PathBuf) {
    let folder = std::env::temp_dir().join(format!("oneloop-{test}-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder");
    (folder.join("cert.pem"), folder.join("key.pem"))
}

#[track_caller]
fn assert_error(result: Result<impl Sized, ConfigError>, words: &[&str]) {
    let error = result.err().expect("an error").to_string();
    for word in words {
        assert!(error.contains(word), "{error}");
    }
}

#[test]
fn certificate_that_cannot_be_used_is_refused_with_its_cause() {
    assert!(from_pem(FIRST, FIRST_KEY).is_ok());
    let chain = format!("{FIRST}{SECOND}");
    assert!(from_pem(&chain, FIRST_KEY).is_ok(), "further certificates");
    assert_error(
        from_pem("", FIRST_KEY),
        &["certificate: it has no certificate"],
    );
    assert_error(from_pem(FIRST_KEY, FIRST_KEY), &["it has no certificate"]);
    assert_error(
        from_pem(FIRST, FIRST),
        &["private key: it has no private key"],
    );
    assert_error(
        from_pem(FIRST, SECOND_KEY),
        &["private key for this certificate"],
    );
    let cut = &FIRST[..FIRST.len() / 2];
    assert_error(
        from_pem(cut, FIRST_KEY),
        &["certificate: it is not valid PEM"],
    );
    let no_certificate = FIRST_KEY.replace("PRIVATE KEY", "CERTIFICATE");
    assert!(from_pem(&no_certificate, FIRST_KEY).is_err());
}

#[test]
fn files_are_named_in_their_errors() {
    let (certificate, key) = paths("errors");
    let read = || Config::from_files(&certificate, &key, Settings::default());
    assert_error(read(), &["cannot use the file", "cert.pem: No such file"]);
    fs::write(&certificate, FIRST).expect("a file");
    assert_error(read(), &["key.pem: No such file"]);
    fs::write(&key, SECOND_KEY).expect("a file");
    assert_error(read(), &["private key for this certificate", "key.pem"]);
    fs::write(&certificate, "nothing").expect("a file");
    assert_error(read(), &["certificate", "cert.pem: it has no certificate"]);
    fs::remove_dir_all(certificate.parent().expect("a folder")).expect("its removal");
}

#[test]
fn reload_of_broken_files_changes_nothing() {
    let (certificate, key) = paths("reload");
    fs::write(&certificate, FIRST).expect("a file");
    fs::write(&key, FIRST_KEY).expect("a file");
    let config = Config::from_files(&certificate, &key, Settings::default()).expect("a pair");
    let handle = config.clone();
    let first = config.engine();
    fs::write(&certificate, SECOND).expect("a file");
    assert!(handle.reload().is_err(), "half of a renewal");
    assert!(std::sync::Arc::ptr_eq(&config.engine(), &first));
    fs::write(&key, SECOND_KEY).expect("a file");
    handle.reload().expect("a pair");
    assert!(!std::sync::Arc::ptr_eq(&config.engine(), &first));
    fs::remove_dir_all(certificate.parent().expect("a folder")).expect("its removal");
    assert!(handle.reload().is_err());
}

#[test]
fn configuration_from_memory_has_no_files_to_reload() {
    let config = from_pem(FIRST, FIRST_KEY).expect("a pair");
    assert_error(config.reload(), &["no certificate files"]);
    assert!(
        config
            .replace(SECOND.as_bytes(), SECOND_KEY.as_bytes())
            .is_ok()
    );
}

#[test]
fn handle_can_be_used_by_any_thread() {
    fn is_shared<T: Clone + Send + Sync>(_: &T) {}
    is_shared(&from_pem(FIRST, FIRST_KEY).expect("a pair"));
}

#[test]
fn slot_of_a_connection_is_small() {
    assert!(size_of::<TlsState>() <= 16);
}

struct Silent;

impl Service for Silent {
    type Session = ();

    fn open(&mut self, _: Peer, _: &mut ServiceContext) {}

    fn step(&mut self, (): &mut (), event: Event, _: &mut Context<'_>) -> Next {
        panic!("{event:?} before the handshake is complete")
    }
}

#[test]
fn peer_that_sends_no_tls_is_refused_at_once() {
    let config = from_pem(FIRST, FIRST_KEY).expect("a pair");
    for (wrong, alert) in [
        (&b"GET / HTTP/1.1\r\n"[..], Some(&21)),
        (b"\x80\x2e\x01\x03\x01", Some(&21)),
        (b"\x16\x03\x01\0\x05hello", None),
    ] {
        let (mut service, mut harness) = (Silent.with(config.layer()), Harness::new());
        let mut session = harness.open(&mut service);
        harness.step(&mut service, &mut session, Event::Open);
        harness.receive(wrong);
        let next = harness.step(&mut service, &mut session, Event::Data);
        assert_eq!(next, Next::Close(CloseReason::HandshakeFailed), "{wrong:?}");
        assert_eq!(harness.take_output().first(), alert, "{wrong:?}");
    }
    assert_eq!(config.counters().failed, 3);
    assert_eq!(config.counters().begun, 0);
}

#[test]
fn client_hello_without_end_is_refused() {
    let config = from_pem(FIRST, FIRST_KEY).expect("a pair");
    let (mut service, mut harness) = (Silent.with(config.layer()), Harness::new());
    let mut session = harness.open(&mut service);
    harness.step(&mut service, &mut session, Event::Open);
    // A ClientHello of 60,000 bytes, in records of 1,000.
    let mut hello = vec![1, 0, 0xea, 0x60];
    hello.resize(60_000, 0);
    let mut taken = 0;
    for piece in hello.chunks(1000) {
        let [high, low] = (piece.len() as u16).to_be_bytes();
        harness.receive(&[&[22, 3, 1, high, low], piece].concat());
        taken += piece.len();
        match harness.step(&mut service, &mut session, Event::Data) {
            Next::Read { .. } => {}
            next => {
                assert_eq!(next, Next::Close(CloseReason::HandshakeFailed));
                break;
            }
        }
    }
    assert!((15_000..=17_000).contains(&taken), "{taken}");
}

#[test]
fn counters_have_names_of_their_own() {
    let counters = Counters {
        begun: 1,
        completed: 20,
        resumed: 300,
        failed: 4_000,
        timed_out: 50_000,
        disconnected: 600_000,
    };
    assert_eq!(
        counters.iter().map(|(_, count)| count).sum::<u64>(),
        654_321
    );
    let names: std::collections::HashSet<_> = counters.iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), size_of::<Counters>() / size_of::<u64>());
}
