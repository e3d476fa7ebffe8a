//! Every kind of request with its answer, alone, in every cut, and in simulated storms.

use oneloop::testing::Harness;
use oneloop_sim::{Dialog, Rng, Simulation, storm};

use super::*;

/// A request and the whole answer that RFC 9112 and 9110 want.
struct Case {
    request: Vec<u8>,
    answer: Vec<u8>,
    fate: Fate,
}

/// The fate of the connection after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Kept,
    Closed,
}

const PAGES: [(&str, usize); 3] = [("/", 128), ("/3k", 3_000), ("/70k", 70_000)];

fn http() -> Http {
    Http::new(PAGES).expect("temporary files")
}

fn case(request: impl Into<Vec<u8>>, status: &str, body: &[u8], fate: Fate) -> Case {
    let connection = match fate {
        Fate::Kept => "",
        Fate::Closed => "Connection: close\r\n",
    };
    let length = match status.starts_with("200") {
        true => body.len(),
        false => 0,
    };
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n{connection}\r\n");
    Case {
        request: request.into(),
        answer: [head.as_bytes(), body].concat(),
        fate,
    }
}

/// The bytes of a page, computed on their own.
fn page(bytes: usize) -> Vec<u8> {
    b"abcdefghijklmnopqrstuvw".repeat(bytes / 23 + 1)[..bytes].to_vec()
}

/// A GET whose answer has no body to compare.
fn bare(request: &str, status: &str, fate: Fate) -> Case {
    case(request.replace('\n', "\r\n"), status, b"", fate)
}

fn cases() -> Vec<Case> {
    let get = |target: &str, bytes, fate| {
        let request = format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
        case(request, "200 OK", &page(bytes), fate)
    };
    let head = |target: &str, bytes: usize| {
        let mut case = case(
            format!("HEAD {target} HTTP/1.1\r\nHost: a\r\n\r\n"),
            "200 OK",
            &page(bytes),
            Fate::Kept,
        );
        case.answer.truncate(case.answer.len() - bytes);
        case
    };
    let not_allowed = "405 Method Not Allowed\r\nAllow: GET, HEAD";
    let (kept, closed) = (Fate::Kept, Fate::Closed);
    let mut cases = vec![
        get("/", 128, kept),
        get("/3k", 3_000, kept),
        get("/70k", 70_000, kept),
        get("/?page=/3k", 128, kept),
        get("http://host:80/3k?x", 3_000, kept),
        get("http://host", 128, kept),
        head("/", 128),
        head("/70k", 70_000),
        bare("GET /4k HTTP/1.1\nHost: a\n\n", "404 Not Found", kept),
        bare("HEAD // HTTP/1.1\nHost: a\n\n", "404 Not Found", kept),
        bare("\n\nDELETE / HTTP/1.1\nHost: a\n\n", not_allowed, kept),
        bare("OPTIONS * HTTP/1.1\nHost: a\n\n", not_allowed, kept),
        bare(
            "POST / HTTP/1.1\nhost: a\ncontent-length: 5\n\nabc\n",
            not_allowed,
            kept,
        ),
        bare("GET /\n\n", "400 Bad Request", closed),
        bare("GET / HTTP/1.1\n\n", "400 Bad Request", closed),
        bare("GET / HTTP/3.0\nHost: a\n\n", "400 Bad Request", closed),
        bare(
            "GET / HTTP/1.1\nHost: a\nHost: b\n\n",
            "400 Bad Request",
            closed,
        ),
        bare("GET / HTTP/1.1\nHost : a\n\n", "400 Bad Request", closed),
        bare(
            "GET /x HTTP/1.1\nHost: a\nConnection: x, close\n\n",
            "404 Not Found",
            closed,
        ),
        bare(
            "GET / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n",
            "411 Length Required",
            closed,
        ),
        bare(
            "GET / HTTP/1.1\nHost: a\nContent-Length: 65537\n\n",
            "413 Content Too Large",
            closed,
        ),
        bare(
            "GET / HTTP/1.1\nHost: a\nContent-Length: 99999999999999999999\n\n",
            "413 Content Too Large",
            closed,
        ),
        case("GET / HTTP/1.0\r\n\r\n", "200 OK", &page(128), closed),
    ];
    for length in ["", "+1", "-1", "1 2", "0x1", "1\nContent-Length: 1"] {
        let request = format!("GET / HTTP/1.1\nHost: a\nContent-Length: {length}\n\n");
        cases.push(bare(&request, "400 Bad Request", closed));
    }
    let too_large = "431 Request Header Fields Too Large";
    let with_head_of = |bytes: usize| {
        let rest = bytes - "GET / HTTP/1.1\r\nHost: a\r\nX: \r\n\r\n".len();
        format!("GET / HTTP/1.1\nHost: a\nX: {}\n\n", "x".repeat(rest))
    };
    let with_fields = |number| format!("GET /n HTTP/1.1\nHost: a\n{}\n", "X: y\n".repeat(number));
    cases.push(case(
        with_head_of(HEAD_BYTES_MAX).replace('\n', "\r\n"),
        "200 OK",
        &page(128),
        kept,
    ));
    cases.push(bare(&with_head_of(HEAD_BYTES_MAX + 1), too_large, closed));
    cases.push(bare(&with_fields(FIELDS_MAX - 1), "404 Not Found", kept));
    cases.push(bare(&with_fields(FIELDS_MAX), too_large, closed));
    let body = "x".repeat(BODY_BYTES_MAX);
    let post =
        format!("POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: {BODY_BYTES_MAX}\r\n\r\n{body}");
    cases.push(case(post, not_allowed, b"", kept));
    cases
}

/// Steps a session with pieces of input, as the loop would. Returns its output and its fate.
fn answers<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<u8>, Fate) {
    let (mut http, mut harness) = (http(), Harness::with_output(10_000, 200_000));
    let mut session = harness.open(&mut http);
    for piece in pieces {
        harness.receive(piece);
        let mut next = harness.step(&mut http, &mut session, Event::Data);
        while !harness.had_room() && !harness.unread().is_empty() {
            next = harness.step(&mut http, &mut session, Event::Flushed);
        }
        if let Next::Close(_) = next {
            return (harness.take_output(), Fate::Closed);
        }
    }
    (harness.take_output(), Fate::Kept)
}

#[track_caller]
fn assert_answer(case: &Case, (answer, fate): (Vec<u8>, Fate)) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(&bytes[..bytes.len().min(300)]).into_owned();
    let (request, wanted) = (text(&case.request), text(&case.answer));
    assert_eq!(text(&answer), wanted, "{request:?}");
    assert!(answer == case.answer, "the body after {request:?}");
    assert_eq!(fate, case.fate, "{request:?}");
}

#[test]
fn request_of_every_kind_has_its_answer_whole_and_in_two_pieces() {
    for case in cases() {
        assert_answer(&case, answers([&case.request[..]]));
        let cuts = case.request.len().min(200);
        for cut in 1..cuts {
            let (first, second) = case.request.split_at(cut);
            assert_answer(&case, answers([first, second]));
        }
    }
}

#[test]
fn request_that_arrives_byte_by_byte_has_its_answer() {
    for case in cases().iter().filter(|case| case.request.len() < 10_000) {
        assert_answer(case, answers(case.request.chunks(1)));
    }
}

#[test]
fn pipelined_requests_are_answered_in_order_up_to_the_last_one() {
    let cases = cases();
    let mut input = Vec::new();
    let mut wanted = Vec::new();
    for case in cases.iter().filter(|case| case.fate == Fate::Kept) {
        input.extend_from_slice(&case.request);
        wanted.extend_from_slice(&case.answer);
    }
    for last in cases.iter().filter(|case| case.fate == Fate::Closed) {
        let input = [
            &input,
            &last.request[..],
            b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        ]
        .concat();
        let wanted = [&wanted[..], &last.answer].concat();
        assert!(answers([&input[..]]) == (wanted, Fate::Closed));
    }
}

#[test]
fn requests_in_a_storm_have_no_wrong_byte() {
    let cases = cases();
    let mut complete = 0;
    for seed in 0..200 {
        let mut random = Rng::new(seed);
        let dialogs: Vec<_> = (0..4).map(|_| dialog(&cases, &mut random)).collect();
        complete += storm(http(), limits(), seed, &dialogs).complete;
    }
    assert!(complete > 500, "only {complete} of 800 were complete");
}

fn limits() -> Limits {
    Limits::for_messages_up_to(64 * 1024)
}

/// Some requests, up to one after which the connection is closed.
fn dialog(cases: &[Case], random: &mut Rng) -> Dialog {
    let mut dialog = Dialog::default();
    // A large one is rare: with segments of one byte it takes many steps.
    let small = |case: &&Case| case.request.len() + case.answer.len() < 10_000;
    let small: Vec<_> = cases.iter().filter(small).collect();
    for number in 0..random.magnitude(1..=20) {
        let case = match number == 0 && random.random_bool(0.2) {
            true => &cases[random.below(cases.len())],
            false => small[random.below(small.len())],
        };
        dialog.sends.extend_from_slice(&case.request);
        dialog.expects.extend_from_slice(&case.answer);
        if case.fate == Fate::Closed {
            break;
        }
    }
    dialog
}

#[test]
fn request_completed_during_a_drain_has_the_last_answer() {
    let mut simulation = Simulation::new(http(), limits(), 1);
    let (idle, busy) = (simulation.connect(), simulation.connect());
    let blank = simulation.connect();
    blank.send(b"\r\n");
    busy.send(b"GET / HTTP/1.1\r\n");
    simulation.run_for(Duration::from_secs(1));
    simulation.network().stop();
    simulation.run_for(Duration::from_secs(3));
    assert!(idle.at_end() && blank.at_end() && !busy.at_end());
    busy.send(b"Host: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
    simulation.drain();
    let end = "\r\nConnection: close\r\n\r\n";
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: 128{end}");
    assert_eq!(busy.received(), [head.as_bytes(), &page(128)].concat());
    assert!(busy.at_end());
}
