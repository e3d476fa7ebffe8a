//! The echo in simulated storms.

use oneloop_sim::{Dialog, Rng, storm};

use super::*;

#[test]
fn echo_in_a_storm_has_no_wrong_byte() {
    let mut complete = 0;
    for seed in 0..200 {
        let mut random = Rng::new(seed);
        let dialogs: Vec<_> = (0..4).map(|_| dialog(&mut random)).collect();
        complete += storm(Echo, Limits::default(), seed, &dialogs).complete;
    }
    assert!(complete > 500, "only {complete} of 800 were complete");
}

/// Up to 20 kB of random bytes.
fn dialog(random: &mut Rng) -> Dialog {
    let bytes = 0..random.magnitude(1..=20_000);
    let sends: Vec<u8> = bytes.map(|_| random.bits() as u8).collect();
    let expects = sends.clone();
    Dialog { sends, expects }
}
