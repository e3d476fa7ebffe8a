//! The greeting service at the edges of the loop.

use oneloop::{EndReason, Limits};
use oneloop_greeting::{Config, Framing, Greeter};
use oneloop_sim::{LinkProfile, Simulation};

use super::probe::*;

fn greeter(config: Config, limits: Limits) -> Simulation<Greeter> {
    Simulation::new(Greeter::new(config), limits, 1)
}

#[test]
fn bare_name_that_came_in_time_is_answered_though_the_process_slept_past_the_deadline() {
    let mut simulation = greeter(Config::default(), Limits::default());
    let client = simulation.connect();
    simulation.run_for(59 * SECOND);
    client.send(b"Alice");
    simulation.run_for(ms(1));
    simulation.network().advance(10 * SECOND);
    simulation.run_for(SECOND);
    let heard = String::from_utf8(client.received()).unwrap();
    assert!(heard.contains("Hello Alice!\n"), "{heard}");
}

#[test]
fn longest_name_with_its_line_ending_is_answered_within_the_smallest_input() {
    for framing in [Framing::Auto, Framing::Line, Framing::Silence] {
        let config = Config {
            framing,
            name_bytes_max: 20,
            ..Config::default()
        };
        let limits = Limits {
            input_bytes_max: 23,
            output_bytes_mark: 100,
            output_bytes_max: 1000,
            ..Limits::default()
        };
        let longest = "n".repeat(20);
        let mut simulation = greeter(config.clone(), limits.clone());
        let client = simulation.connect();
        simulation.run_for(SECOND);
        client.send(format!("{longest}\r\n").as_bytes());
        simulation.run_for(SECOND);
        let heard = String::from_utf8(client.received()).unwrap();
        assert!(
            heard.contains(&format!("Hello {longest}!\n")),
            "{framing}: {heard}"
        );

        let mut simulation = greeter(config, limits);
        let client = simulation.connect();
        simulation.run_for(SECOND);
        client.send(format!("{longest}{longest}").as_bytes());
        simulation.run_for(SECOND);
        let heard = String::from_utf8(client.received()).unwrap();
        let sorry = "Sorry, that name is longer than 20 bytes. Good bye!\n";
        assert!(heard.ends_with(sorry), "{framing}: {heard}");
    }
}

#[test]
fn time_for_a_name_begins_when_its_question_has_left() {
    let config = Config {
        name_timeout: 5 * SECOND,
        ..Config::default()
    };
    let limits = Limits {
        send_buffer_bytes: 16,
        ..Limits::default()
    };
    let mut simulation = greeter(config, limits);
    // The welcome and the question arrive after six seconds; the last of the question leaves the
    // loop after two.
    let client = simulation.connect_over(LinkProfile {
        bytes_per_second: 4,
        ..LinkProfile::ideal()
    });
    let mut heard = Vec::new();
    while !heard.ends_with(b"name?") {
        simulation.run_for(ms(10));
        heard.extend(client.received());
    }
    client.send(b"A\n");
    simulation.run_for(10 * SECOND);
    heard.extend(client.received());
    let heard = String::from_utf8(heard).unwrap();
    assert!(heard.contains("Hello A!\n"), "{heard}");
}

#[test]
fn silent_peer_is_dismissed_with_a_word() {
    let mut simulation = greeter(Config::default(), Limits::default());
    let client = simulation.connect();
    simulation.run_for(65 * SECOND);
    let heard = client.received();
    assert!(heard.ends_with(b"You took too long. Good bye!\n"));
    let counters = simulation.reactor().counters();
    assert_eq!(counters.ended(EndReason::Timeout), 1);
}
