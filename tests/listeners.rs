//! Listeners of every kind on the operating system's network.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread::JoinHandle;
use std::time::Duration;

use oneloop::{
    Address, BuildError, Builder, CloseReason, Connect, ConnectError, Context, EndReason, Event,
    Limits, Listen, ListenerId, Next, Peer, Reactor, Service, ServiceContext, Stopper, Tag,
};

/// Echoes its input, after the name of the session's listener. Outbound sessions send a greeting.
#[derive(Debug, Default)]
struct Echo {
    connects: Vec<Connect>,
    peers: Vec<Peer>,
    heard: Vec<u8>,
    failed: Vec<(Tag, io::ErrorKind)>,
}

impl Service for Echo {
    type Session = Peer;

    fn started(&mut self, cx: &mut ServiceContext) {
        for connect in self.connects.drain(..) {
            cx.connect(connect);
        }
    }

    fn open(&mut self, peer: Peer, _: &mut ServiceContext) -> Peer {
        self.peers.push(peer);
        peer
    }

    fn step(&mut self, peer: &mut Peer, event: Event, cx: &mut Context<'_>) -> Next {
        let input = cx.input();
        cx.consume(input.len());
        match peer.listener {
            None if event == Event::Open => cx.write(b"greeting"),
            None => {
                self.heard.extend_from_slice(input);
                if event == Event::Eof {
                    cx.drain();
                }
            }
            Some(listener) if event == Event::Open => cx.write(listener.name().as_bytes()),
            Some(_) => cx.write(input),
        }
        match event {
            Event::Eof => Next::Close(CloseReason::Eof),
            Event::Drain => Next::Close(CloseReason::Shutdown),
            _ => Next::Read {
                until: cx.after(PATIENCE),
            },
        }
    }

    fn refusal_message(&self, _: ListenerId, _: EndReason) -> &[u8] {
        b"refused"
    }

    fn connect_failed(&mut self, tag: Tag, error: &ConnectError, cx: &mut ServiceContext) {
        self.failed.push((tag, error.kind()));
        cx.drain();
    }
}

/// A reactor on a thread of its own.
struct Running {
    listeners: Vec<Address>,
    stopper: Stopper,
    thread: JoinHandle<Echo>,
}

impl Running {
    fn start(builder: Builder<Echo>) -> Self {
        Self::run(builder.build().expect("all listeners open"))
    }

    fn run(mut reactor: Reactor<Echo>) -> Self {
        Self {
            listeners: reactor
                .listeners()
                .map(|(_, address)| address.clone())
                .collect(),
            stopper: reactor.stopper(),
            thread: std::thread::spawn(move || {
                reactor.run().expect("the loop runs to its end");
                std::mem::take(reactor.service_mut())
            }),
        }
    }

    fn address(&self, listener: usize) -> SocketAddr {
        self.listeners[listener]
            .socket_addr()
            .expect("an IP address")
    }

    fn stop(self) -> Echo {
        self.stopper.stop();
        self.thread.join().expect("no panic")
    }
}

fn builder() -> Builder<Echo> {
    Reactor::builder(Echo::default()).limits(limits())
}

fn limits() -> Limits {
    Limits {
        // No peer is slow to close here, and a test that fails must not wait long.
        linger_timeout: Duration::ZERO,
        drain_timeout: Duration::from_secs(20),
        ..Limits::default()
    }
}

fn any_port() -> SocketAddr {
    ([127, 0, 0, 1], 0).into()
}

trait Peers: Read + Write {}
impl<T: Read + Write> Peers for T {}

fn tcp(to: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(to).expect("a listener");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    stream
}

/// Reads as many bytes as `expected` has, and asserts that they are the same.
fn expect(stream: &mut impl Read, expected: &[u8]) {
    let mut read = vec![0; expected.len()];
    stream.read_exact(&mut read).expect("as many bytes");
    assert_eq!(read, expected);
}

/// Exchanges a message with the service, behind the name of its listener.
fn exchange(mut stream: impl Peers, name: &str) {
    expect(&mut stream, name.as_bytes());
    stream.write_all(b"hello").expect("a connection");
    expect(&mut stream, b"hello");
}

fn reads_to_end(mut stream: impl Read) -> Vec<u8> {
    let mut read = Vec::new();
    stream.read_to_end(&mut read).expect("an end");
    read
}

const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn session_of_a_wildcard_listener_has_the_address_that_its_peer_connected_to() {
    let any = SocketAddr::from(([0, 0, 0, 0], 0));
    let running = Running::start(builder().listen(any).listen(any_port()));
    let ends = [
        SocketAddr::from(([127, 0, 0, 1], running.address(0).port())),
        running.address(1),
    ];
    for to in ends {
        let stream = tcp(to);
        exchange(&stream, "");
    }
    let peers = running.stop().peers;
    let local: Vec<_> = peers.iter().filter_map(|peer| peer.local).collect();
    assert_eq!(local, ends);
}

#[test]
fn admin_listener_answers_while_the_other_one_is_full_and_while_it_drains() {
    let limits = Limits {
        connections_max: 4,
        ..limits()
    };
    let admin = Listen::tcp(any_port())
        .name("admin")
        .reserve(2)
        .drain_last();
    let builder = Reactor::builder(Echo::default()).limits(limits);
    let running = Running::start(builder.listen(any_port()).listen(admin));
    let (main, admin) = (running.address(0), running.address(1));
    let inside: Vec<_> = (0..2).map(|_| tcp(main)).collect();
    inside.iter().for_each(|stream| exchange(stream, ""));
    assert_eq!(reads_to_end(tcp(main)), b"refused");
    let early = tcp(admin);
    exchange(&early, "admin");

    // The drain waits for output that this client does not read.
    let mut slow = &inside[0];
    let flood = vec![b'x'; 8 << 20];
    slow.set_write_timeout(Some(Duration::from_millis(200)))
        .expect("a socket");
    let _ = slow.write_all(&flood);
    running.stopper.stop();
    assert_eq!(reads_to_end(&inside[1]), b"", "it has drained");
    exchange(tcp(admin), "admin");
    let mut early = &early;
    early.write_all(b"again").expect("a connection");
    expect(&mut early, b"again");
    drop(inside);
    assert_eq!(
        reads_to_end(early),
        b"",
        "it drains when the others have ended"
    );
    running.thread.join().expect("no panic");
}

#[test]
fn listeners_that_share_a_port_both_accept() {
    let first = Running::start(builder().listen(Listen::tcp(any_port()).reuse_port().name("1")));
    let address = first.address(0);
    let second = Running::start(builder().listen(Listen::tcp(address).reuse_port().name("2")));
    let mut accepted = [false; 2];
    // Which one accepts is the kernel's choice, by a hash of the ports.
    for _ in 0..500 {
        let mut name = [0];
        tcp(address).read_exact(&mut name).expect("a name");
        accepted[usize::from(name[0] - b'1')] = true;
        if accepted == [true; 2] {
            break;
        }
    }
    assert_eq!(accepted, [true; 2]);
    first.stop();
    second.stop();
    let alone = Running::start(builder().listen(address));
    let error = builder().listen(Listen::tcp(address).reuse_port()).build();
    let error = error.expect_err("the first one does not share");
    assert_eq!(io::Error::from(error).kind(), io::ErrorKind::AddrInUse);
    alone.stop();
}

#[test]
fn builder_names_the_listener_in_its_error() {
    let taken = TcpListener::bind(any_port()).expect("a free port");
    let address = taken.local_addr().expect("it is bound");
    let listen = Listen::tcp(address).name("admin");
    let error = builder().listen(any_port()).listen(listen).build();
    let error = error.expect_err("the port is taken");
    let text = error.to_string();
    let named = format!("cannot listen on {address} (admin): ");
    assert!(text.starts_with(&named), "{text}");
    assert!(matches!(error, BuildError::Listen { .. }));
}

#[cfg(unix)]
mod unix {
    use std::fs;
    use std::os::fd::OwnedFd;
    use std::os::unix::fs::{FileTypeExt, PermissionsExt};
    use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
    use std::path::PathBuf;

    use oneloop::PeerAddress;

    use super::*;

    /// A folder for sockets, whose paths must be short. It is removed at the end of the test.
    struct Folder(PathBuf);

    impl Folder {
        fn new(test: &str) -> Self {
            let name = format!("oneloop-{}-{test}", std::process::id());
            let folder = std::env::temp_dir().join(name);
            let _ = fs::remove_dir_all(&folder);
            fs::create_dir(&folder).expect("a folder for temporary files");
            Self(folder)
        }

        fn socket(&self) -> PathBuf {
            self.0.join("s")
        }

        fn files(&self) -> usize {
            fs::read_dir(&self.0).expect("the folder").count()
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn local(folder: &Folder) -> UnixStream {
        let stream = UnixStream::connect(folder.socket()).expect("a listener");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        stream
    }

    fn listen(folder: &Folder) -> Listen {
        Listen::unix(folder.socket()).name("local")
    }

    fn error_of(builder: Builder<Echo>) -> io::Error {
        builder.build().expect_err("the path is taken").into()
    }

    #[test]
    fn unix_peer_is_served_and_its_file_is_removed_at_the_end() {
        let folder = Folder::new("served");
        let running = Running::start(builder().listen(listen(&folder)));
        assert_eq!(running.listeners, [Address::Unix(folder.socket())]);
        let stream = local(&folder);
        exchange(&stream, "local");
        stream.shutdown(Shutdown::Write).expect("a connection");
        assert_eq!(reads_to_end(&stream), b"");
        let echo = running.stop();
        assert_eq!(echo.peers[0].address, PeerAddress::Unix);
        assert_eq!(echo.peers[0].local, None);
        assert_eq!(folder.files(), 0);
    }

    #[test]
    fn message_larger_than_the_buffers_comes_back_whole() {
        let folder = Folder::new("large");
        let running = Running::start(builder().listen(listen(&folder)));
        let stream = local(&folder);
        let message: Vec<u8> = (0..4_000_000_u32)
            .map(|number| (number % 251) as u8)
            .collect();
        let mut reading = stream.try_clone().expect("a descriptor");
        let expected = message.clone();
        let reader = std::thread::spawn(move || {
            expect(&mut reading, b"local");
            expect(&mut reading, &expected);
        });
        (&stream).write_all(&message).expect("a connection");
        reader.join().expect("the same bytes");
        running.stop();
    }

    #[test]
    fn socket_file_has_the_permissions_asked_for() {
        for mode in [0o600, 0o666, 0o620] {
            let folder = Folder::new(&format!("mode-{mode:o}"));
            let reactor = builder().listen(listen(&folder).mode(mode)).build();
            let reactor = reactor.expect("a free path");
            let file = fs::symlink_metadata(folder.socket()).expect("a file");
            assert_eq!(file.permissions().mode() & 0o777, mode);
            drop(reactor);
        }
    }

    #[test]
    fn file_of_a_closed_socket_is_replaced() {
        let folder = Folder::new("stale");
        drop(UnixListener::bind(folder.socket()).expect("a free path"));
        let running = Running::start(builder().listen(listen(&folder)));
        exchange(local(&folder), "local");
        assert_eq!(folder.files(), 1);
        running.stop();
    }

    #[test]
    fn file_of_an_open_socket_is_left_alone() {
        let folder = Folder::new("live");
        let other = UnixListener::bind(folder.socket()).expect("a free path");
        let error = error_of(builder().listen(listen(&folder)));
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        let _client = UnixStream::connect(folder.socket()).expect("it is still the other's");
        other.accept().expect("it is still there");
    }

    #[test]
    fn file_of_an_open_socket_with_a_full_queue_is_left_alone() {
        let folder = Folder::new("queue");
        let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None);
        let socket = socket.expect("a descriptor");
        let address = socket2::SockAddr::unix(folder.socket()).expect("a short path");
        socket.bind(&address).expect("a free path");
        socket.listen(0).expect("a socket");
        let _waiting = UnixStream::connect(folder.socket()).expect("the one place");
        let error = error_of(builder().listen(listen(&folder)));
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert!(folder.socket().exists());
    }

    #[test]
    fn other_kinds_of_files_are_left_alone() {
        let folder = Folder::new("file");
        fs::write(folder.socket(), "precious").expect("a free path");
        let error = error_of(builder().listen(listen(&folder)));
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(folder.socket()).expect("it is there"), b"precious");

        let folder = Folder::new("datagram");
        let _datagrams = UnixDatagram::bind(folder.socket()).expect("a free path");
        let error = error_of(builder().listen(listen(&folder)));
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert!(folder.socket().exists());
    }

    #[test]
    fn file_that_another_program_has_put_in_its_place_stays() {
        let folder = Folder::new("replaced");
        let running = Running::start(builder().listen(listen(&folder)));
        // The file is kept, so that the other one has another number.
        fs::rename(folder.socket(), folder.0.join("aside")).expect("it is there");
        let _other = UnixListener::bind(folder.socket()).expect("a free path");
        running.stop();
        let file = fs::symlink_metadata(folder.socket()).expect("it stays");
        assert!(file.file_type().is_socket());
    }

    #[test]
    fn failed_build_leaves_no_socket_file() {
        let folder = Folder::new("failed");
        let blocked = Listen::unix(folder.0.join("missing").join("s"));
        let error = error_of(builder().listen(listen(&folder)).listen(blocked));
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert_eq!(folder.files(), 0);
    }

    #[test]
    fn adopted_sockets_show_what_they_are() {
        let folder = Folder::new("adopted");
        let ip = TcpListener::bind(any_port()).expect("a free port");
        let address = ip.local_addr().expect("it is bound");
        let unix = UnixListener::bind(folder.socket()).expect("a free path");
        let running = Running::start(
            builder()
                .listen(Listen::adopt(ip).name("ip"))
                .listen(Listen::adopt(OwnedFd::from(unix)).name("local")),
        );
        let addresses = [Address::Ip(address), Address::Unix(folder.socket())];
        assert_eq!(running.listeners, addresses);
        exchange(tcp(address), "ip");
        exchange(local(&folder), "local");
        running.stop();
        assert_eq!(folder.files(), 1, "the file is not ours");
    }

    #[test]
    fn handed_over_sockets_are_served_by_the_successor() {
        let folder = Folder::new("handed");
        let first = builder().listen(listen(&folder)).listen(any_port());
        let mut first = first.build().expect("all listeners open");
        let (ids, addresses): (Vec<_>, Vec<_>) = first
            .listeners()
            .map(|(id, address)| (id, address.clone()))
            .unzip();
        let sockets = ids.iter().map(|&id| {
            let socket = first.listener_socket(id).expect("it is open");
            socket.try_clone_to_owned().expect("a descriptor")
        });
        let mut sockets = sockets.collect::<Vec<_>>().into_iter();
        let in_queue = local(&folder);
        let in_queue_of_tcp = tcp(addresses[1].socket_addr().expect("an IP address"));
        first.hand_over();
        assert!(ids.iter().all(|&id| first.listener_socket(id).is_none()));
        drop(first);
        assert_eq!(folder.files(), 1);

        let mut adopt = || Listen::adopt(sockets.next().expect("a socket"));
        let (adopted, adopted_tcp) = (adopt().name("local").own_file(), adopt());
        let second = Running::start(builder().listen(adopted).listen(adopted_tcp));
        exchange(in_queue, "local");
        exchange(in_queue_of_tcp, "");
        second.stop();
        assert_eq!(folder.files(), 0);
    }

    #[test]
    fn adopted_socket_keeps_the_name_of_its_listener() {
        let socket = TcpListener::bind(any_port()).expect("a free port");
        let named = Listen::unix("/run/x").name("admin");
        let adopted = named.with_socket(OwnedFd::from(socket));
        assert_eq!(adopted.to_string(), "an adopted socket (admin)");
    }

    #[test]
    fn file_of_an_adopted_socket_stays_unless_it_is_owned() {
        let folder = Folder::new("owned");
        for (is_owned, files) in [(false, 1), (true, 0)] {
            let _ = fs::remove_file(folder.socket());
            let socket = UnixListener::bind(folder.socket()).expect("a path");
            let listen = match Listen::adopt(OwnedFd::from(socket)) {
                listen if is_owned => listen.own_file(),
                listen => listen,
            };
            Running::start(builder().listen(listen)).stop();
            assert_eq!(folder.files(), files);
        }
    }

    #[test]
    fn queue_of_a_shared_socket_is_left_to_the_other_holder() {
        let holder = TcpListener::bind(any_port()).expect("a free port");
        let address = holder.local_addr().expect("it is bound");
        let shared = || OwnedFd::from(holder.try_clone().expect("a descriptor"));
        let first = builder().listen(Listen::adopt(shared()).shared());
        let mut first = first.build().expect("it listens");
        let in_queue = tcp(address);
        first.drain();
        first.run().expect("the loop runs to its end");
        let second = Running::start(builder().listen(Listen::adopt(shared()).shared()));
        exchange(in_queue, "");
        second.stop();
    }

    #[test]
    fn sockets_that_do_not_listen_are_not_adopted() {
        let (connected, _other) = UnixStream::pair().expect("descriptors");
        let file = fs::File::open("/dev/null").expect("a file");
        let datagrams = std::net::UdpSocket::bind(any_port()).expect("a free port");
        let other = "it is not a listening stream socket";
        for (descriptor, cause) in [
            (OwnedFd::from(connected), other),
            (OwnedFd::from(file), "Socket operation on non-socket"),
            (OwnedFd::from(datagrams), other),
        ] {
            let error = builder().listen(Listen::adopt(descriptor)).build();
            let error = error.expect_err("it does not listen").to_string();
            let named = format!("cannot listen on an adopted socket: {cause}");
            assert!(error.starts_with(&named), "{error}");
        }
    }

    #[test]
    fn outbound_unix_connection_is_a_session_with_its_tag() {
        let folder = Folder::new("outbound");
        let other = UnixListener::bind(folder.socket()).expect("a free path");
        let connect = Connect::unix(folder.socket()).tag(Tag::new(5));
        let service = Echo {
            connects: vec![connect],
            ..Echo::default()
        };
        let running = Running::start(Reactor::builder(service).limits(limits()));
        let (mut stream, _) = other.accept().expect("a connection");
        expect(&mut stream, b"greeting");
        stream.write_all(b"answer").expect("a connection");
        stream.shutdown(Shutdown::Write).expect("a connection");
        let echo = running.thread.join().expect("no panic");
        assert_eq!(echo.heard, b"answer");
        let [peer] = echo.peers[..] else {
            panic!("one session: {:?}", echo.peers);
        };
        assert_eq!(peer.address, PeerAddress::Unix);
        assert_eq!((peer.local, peer.listener), (None, None));
        assert_eq!(peer.tag, Some(Tag::new(5)));
    }

    #[test]
    fn outbound_unix_connection_without_a_listener_fails_with_its_tag() {
        let folder = Folder::new("refused");
        let service = Echo {
            connects: vec![Connect::unix(folder.socket()).tag(Tag::new(6))],
            ..Echo::default()
        };
        let running = Running::start(Reactor::builder(service).limits(limits()));
        let echo = running.thread.join().expect("no panic");
        assert_eq!(echo.failed, [(Tag::new(6), io::ErrorKind::NotFound)]);
    }
}
