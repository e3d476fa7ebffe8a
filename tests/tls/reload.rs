//! Certificates that are renewed while clients come and go.

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use nix::sys::signal::Signal;
use oneloop::layer::Compose;
use oneloop::tls::{Config, Settings};
use oneloop::{Limits, Listen, Reactor};
use oneloop_greeting::{Framing, Greeter};

use crate::common::Server;
use crate::peer::{Conversation, trusting};
use crate::{Folder, file};

#[test]
fn renewed_certificate_is_used_for_new_connections_under_traffic() {
    let folder = Folder::new("reload");
    let (certificate, key) = (folder.file("cert.pem"), folder.file("key.pem"));
    let install = |name: &str| {
        fs::copy(file(&format!("{name}.pem")), &certificate).expect("a copy");
        fs::copy(file(&format!("{name}-key.pem")), &key).expect("a copy");
    };
    install("first");
    let config = Config::from_files(&certificate, &key, Settings::default()).expect("a pair");
    let (address, handle, server) = serve(&config);
    let trusting = trusting();
    let mut old = Conversation::acquainted(address, &trusting);
    let first = old.certificate();

    let stop = Arc::new(AtomicBool::new(false));
    let traffic: Vec<_> = (0..4)
        .map(|_| {
            let (stop, trusting) = (Arc::clone(&stop), Arc::clone(&trusting));
            thread::spawn(move || {
                let mut conversations = 0;
                while !stop.load(Ordering::Relaxed) {
                    let mut conversation = Conversation::acquainted(address, &trusting);
                    conversation.exchange("Ann");
                    conversation.finish();
                    conversations += 1;
                }
                conversations
            })
        })
        .collect();
    for round in 0..20 {
        fs::write(&certificate, "broken").expect("a file");
        config.reload().expect_err("a broken file");
        let current = match round % 2 {
            0 => "first",
            _ => "second",
        };
        let before = Conversation::acquainted(address, &trusting).certificate();
        assert_eq!(
            before == first,
            current == "first",
            "a broken file changes nothing"
        );
        install(match round % 2 {
            0 => "second",
            _ => "first",
        });
        config.reload().expect("a pair");
        let after = Conversation::acquainted(address, &trusting).certificate();
        assert_eq!(after == first, current != "first");
    }
    old.exchange("an old friend");
    assert_eq!(old.certificate(), first);
    stop.store(true, Ordering::Relaxed);
    for clients in traffic {
        assert!(clients.join().expect("no client fails") > 0);
    }
    handle();
    server.join().expect("the server ends");
    assert_eq!(config.counters().failed, 0);
}

/// Serves greetings over TLS in a thread. Returns its address, and what stops it.
fn serve(config: &Config) -> (SocketAddr, impl FnOnce(), thread::JoinHandle<()>) {
    let (sender, receiver) = std::sync::mpsc::channel();
    let config = config.clone();
    let server = thread::spawn(move || {
        let greeter = Greeter::new(oneloop_greeting::Config {
            framing: Framing::Line,
            ..Default::default()
        });
        let mut reactor = Reactor::builder(greeter.with(config.layer()))
            .limits(Limits::default())
            .listen(Listen::tcp(SocketAddr::from(([127, 0, 0, 1], 0))))
            .build()
            .expect("a free port");
        let handle = reactor.handle();
        let (_, address) = reactor.listeners().next().expect("a listener");
        let address = address.socket_addr().expect("an address of TCP");
        sender.send((address, handle)).expect("the test waits");
        reactor.run().expect("it serves");
    });
    let (address, handle) = receiver.recv().expect("the server starts");
    (address, move || handle.stop(), server)
}

#[test]
fn hangup_reloads_the_certificate_of_the_server() {
    let folder = Folder::new("hangup");
    let (certificate, key) = (folder.file("cert.pem"), folder.file("key.pem"));
    let install = |name: &str| {
        fs::copy(file(&format!("{name}.pem")), &certificate).expect("a copy");
        fs::copy(file(&format!("{name}-key.pem")), &key).expect("a copy");
    };
    install("first");
    let config = folder.file("greet-server.conf");
    fs::write(&config, "").expect("a file");
    let tls = ["--tls-cert", &certificate, "--tls-key", &key];
    let mut server = Server::start(&[&tls[..], &["--config", &config]].concat());
    let trusting = trusting();
    let mut old = Conversation::acquainted(server.address(), &trusting);
    fs::write(&key, "broken").expect("a file");
    server.signal(Signal::SIGHUP);
    server.log().wait_for("TLS: cannot use the private key", 0);
    let same = Conversation::acquainted(server.address(), &trusting);
    assert_eq!(same.certificate(), old.certificate());
    install("second");
    server.signal(Signal::SIGHUP);
    server
        .log()
        .wait_for("was read again with the certificate", 0);
    let new = Conversation::acquainted(server.address(), &trusting);
    assert_ne!(new.certificate(), old.certificate());
    old.exchange("an old friend");
    assert_eq!(server.terminate(), Some(0));
}
