//! Splits of the input into reads, which must not change the output.

use proptest::prelude::*;

use super::*;

/// The transcript and the close reason of a finished conversation.
type Outcome = (String, Option<CloseReason>);

/// Sends `reads` with `pause` after each, then ends the stream.
fn converse<'a>(
    framing: Framing,
    pause: Duration,
    reads: impl IntoIterator<Item = &'a [u8]>,
) -> Outcome {
    let mut connection = Connection::asked(framing);
    for read in reads {
        connection.receive(read).advance(pause);
    }
    connection.finish();
    (connection.transcript(), connection.closed)
}

/// Returns every way to split `bytes`: each bit of a number decides one cut.
fn every_split(bytes: &[u8]) -> impl Iterator<Item = Vec<&[u8]>> {
    (0_u32..1 << (bytes.len() - 1)).map(|cuts| {
        let places = (1..bytes.len()).filter(move |place| cuts >> (place - 1) & 1 == 1);
        split(bytes, places)
    })
}

fn split(bytes: &[u8], places: impl IntoIterator<Item = usize>) -> Vec<&[u8]> {
    let (mut pieces, mut rest, mut begin) = (Vec::new(), bytes, 0);
    for place in places {
        let (piece, after) = rest.split_at(place - begin);
        pieces.push(piece);
        (rest, begin) = (after, place);
    }
    pieces.push(rest);
    pieces
}

const SHORT: [&[u8]; 8] = [
    b"Alice\nBob\r\n\n",
    b"Al\nexit\nBo\n",
    b"\r\n\n\r\n\nA\r\r\n",
    "Zoë\n名\nBo".as_bytes(),
    b"\xc3\n\xff\nAl\n",
    "\u{9b}\n\0\n \nAl\r".as_bytes(),
    b"exi\nt\nexit",
    b"\x7f\n\x7f\n\x7f\n\x7f\n\x7f\n",
];

#[test]
fn every_split_in_line_framing_keeps_transcript() {
    for bytes in SHORT {
        let uncut = converse(Framing::Line, MS, [bytes]);
        for pause in [Duration::ZERO, 2 * GAP] {
            for reads in every_split(bytes) {
                let cut = converse(Framing::Line, pause, reads.iter().copied());
                assert_eq!(cut, uncut, "{reads:?}");
            }
        }
    }
}

#[test]
fn every_split_after_a_line_keeps_transcript_at_any_pace() {
    for bytes in SHORT {
        let first: &[u8] = b"Zoe\n";
        let uncut = converse(Framing::Auto, MS, [first, bytes]);
        for pause in [Duration::ZERO, 2 * GAP] {
            for reads in every_split(bytes) {
                let cut = converse(Framing::Auto, pause, [first].into_iter().chain(reads));
                assert_eq!(cut, uncut);
            }
        }
    }
}

#[test]
fn every_split_without_pause_keeps_transcript() {
    for bytes in SHORT {
        for framing in EVERY_FRAMING {
            let uncut = converse(framing, Duration::ZERO, [bytes]);
            for reads in every_split(bytes) {
                assert_eq!(converse(framing, GAP - MS, reads), uncut, "{framing}");
            }
        }
    }
}

#[test]
fn single_lines_give_same_transcript_in_every_framing() {
    let lines = ["Alice\n", "\n", "\u{7f}\n", "Zoë\r\n", "EXIT\n", "exit\n"];
    let converse_once = |framing| {
        let mut connection = Connection::asked(framing);
        for line in lines {
            connection.receive(line.as_bytes()).advance(2 * GAP);
        }
        (connection.transcript(), connection.closed)
    };
    assert_eq!(converse_once(Framing::Auto), converse_once(Framing::Line));
    assert_eq!(
        converse_once(Framing::Silence),
        converse_once(Framing::Line)
    );
}

proptest! {
    #[test]
    fn any_split_of_any_lines_keeps_transcript(
        lines in proptest::collection::vec("([a-zé名 ]{0,20}|[\u{0}-\u{a0}]{0,4}|x{1020,1030})(\n|\r\n)", 1..12),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..20),
        framing in prop::sample::select(vec![Framing::Auto, Framing::Line]),
    ) {
        let bytes = lines.concat().into_bytes();
        let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len())).collect();
        places.sort_unstable();
        let first: &[u8] = b"Zoe\n";
        let uncut = converse(framing, MS, [first, &bytes]);
        let cut = converse(framing, GAP, [first].into_iter().chain(split(&bytes, places)));
        prop_assert_eq!(cut, uncut);
    }

    #[test]
    fn any_input_gets_text_output_and_session_ends(
        reads in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..20),
        pauses in proptest::collection::vec(0_u32..100, 20),
        framing in prop::sample::select(EVERY_FRAMING.to_vec()),
    ) {
        let mut connection = Connection::open(framing);
        for (read, pause) in reads.iter().zip(pauses) {
            connection.receive(read).advance(pause * MS);
        }
        connection.advance(2 * NAME_TIMEOUT);
        prop_assert!(connection.transcript().starts_with(GREETING));
        prop_assert!(connection.closed.is_some());
    }
}
