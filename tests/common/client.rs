//! A raw client: it sends the bytes of a test, and checks every byte of the answer.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use socket2::{Domain, SockRef, Socket, Type};

use super::{GOOD_BYE, PATIENCE, QUESTION, ROUND_TRIP_MAX, WELCOME, hello};

/// A connection to the server.
#[derive(Debug)]
pub(crate) struct Client(pub(crate) TcpStream);

impl Client {
    /// Connects to a server.
    #[track_caller]
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::try_connect(address).expect("connecting to the server")
    }

    pub(crate) fn try_connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        Self::ready(stream)
    }

    /// Connects with receive and send buffers of about this size, so that they are soon full.
    #[track_caller]
    pub(crate) fn connect_narrow(address: SocketAddr, buffer_bytes: usize) -> Self {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(buffer_bytes).unwrap();
        socket.set_send_buffer_size(buffer_bytes).unwrap();
        socket.connect_timeout(&address.into(), PATIENCE).unwrap();
        Self::ready(socket.into()).unwrap()
    }

    /// Connects from `from`, which on Linux may be any address of the loopback network.
    pub(crate) fn connect_from(from: &str, address: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        let from: std::net::IpAddr = from.parse().expect("an address");
        socket.bind(&SocketAddr::new(from, 0).into())?;
        socket.connect_timeout(&address.into(), PATIENCE)?;
        Self::ready(socket.into())
    }

    fn ready(stream: TcpStream) -> io::Result<Self> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self(stream))
    }

    /// Connects and takes the welcome and the first question.
    #[track_caller]
    pub(crate) fn welcomed(address: SocketAddr) -> Self {
        let mut client = Self::connect(address);
        client.expect_welcome();
        client
    }

    /// Connects and shows itself to be a line peer, which gets its answers at once.
    #[track_caller]
    pub(crate) fn acquainted(address: SocketAddr) -> Self {
        let mut client = Self::welcomed(address);
        client.round_trip("somebody");
        client
    }

    #[track_caller]
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).expect("sending");
    }

    /// Sends each byte in a segment of its own.
    #[track_caller]
    pub(crate) fn send_bytewise(&mut self, bytes: impl AsRef<[u8]>) {
        for byte in bytes.as_ref() {
            self.send([*byte]);
        }
    }

    /// Sends until an error, at most `bytes_max`, and returns the number of bytes sent.
    pub(crate) fn send_all_it_takes(&mut self, chunk: &[u8], bytes_max: usize) -> usize {
        let mut sent = 0;
        while sent < bytes_max {
            match self.0.write(chunk) {
                Ok(bytes) => sent += bytes,
                Err(_) => break,
            }
        }
        sent
    }

    /// Shuts down the sending side.
    #[track_caller]
    pub(crate) fn finish(&mut self) {
        self.0.shutdown(Shutdown::Write).expect("half closing");
    }

    /// Disconnects by a reset instead of the polite end.
    #[track_caller]
    pub(crate) fn reset(self) {
        SockRef::from(&self.0)
            .set_linger(Some(Duration::ZERO))
            .expect("asking for a reset");
    }

    #[track_caller]
    pub(crate) fn expect_welcome(&mut self) {
        self.expect(WELCOME);
        self.expect(QUESTION);
    }

    /// Takes exactly these bytes.
    #[track_caller]
    pub(crate) fn expect(&mut self, expected: impl AsRef<[u8]>) {
        let expected = expected.as_ref();
        let mut buffer = vec![0; expected.len()];
        let mut filled = 0;
        while filled < buffer.len() {
            match self.0.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(bytes) => filled += bytes,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => panic!("{error} after {:?}", text(&buffer[..filled])),
            }
        }
        assert_eq!(text(&buffer[..filled]), text(expected));
    }

    /// Takes these bytes and then the end: a polite one, no reset.
    #[track_caller]
    pub(crate) fn expect_last(&mut self, expected: impl AsRef<[u8]>) {
        let rest = self.rest().expect("an end without a reset");
        assert_eq!(text(&rest), text(expected.as_ref()));
    }

    #[track_caller]
    pub(crate) fn expect_end(&mut self) {
        self.expect_last("");
    }

    /// Takes these bytes first; the connection may end in any way after them.
    #[track_caller]
    pub(crate) fn expect_before_any_end(&mut self, expected: impl AsRef<[u8]>) {
        self.expect(expected);
        let mut rest = Vec::new();
        match self.0.read_to_end(&mut rest) {
            Ok(_) => {}
            Err(error) => assert!(is_reset(&error), "{error}"),
        }
        assert_eq!(text(&rest), "");
    }

    /// Reads until the polite end.
    pub(crate) fn rest(&mut self) -> io::Result<Vec<u8>> {
        let mut rest = Vec::new();
        self.0.read_to_end(&mut rest)?;
        Ok(rest)
    }

    /// Reads until the connection ends, in good order or not.
    #[track_caller]
    pub(crate) fn until_gone(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        if let Err(error) = self.0.read_to_end(&mut all) {
            assert!(is_reset(&error), "{error}");
        }
        all
    }

    /// Gives a name on a line and takes the reply and the next question. Returns how long that
    /// took.
    #[track_caller]
    pub(crate) fn round_trip(&mut self, name: &str) -> Duration {
        let began = Instant::now();
        self.send(format!("{name}\n"));
        self.expect(hello(name));
        self.expect(QUESTION);
        let took = began.elapsed();
        assert!(took < ROUND_TRIP_MAX, "{name} waited {took:?}");
        took
    }

    /// Sends `exit` and takes the goodbye and the end.
    #[track_caller]
    pub(crate) fn leave(mut self) {
        self.send("exit\n");
        self.expect_last(GOOD_BYE);
    }
}

pub(crate) fn is_reset(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::ConnectionAborted
    )
}

fn text(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}
