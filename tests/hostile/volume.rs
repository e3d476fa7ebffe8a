//! Group D: volume and exhaustion.

use crate::common::{FULL, Scene, Server};

#[test]
fn d2_more_refused_at_once_than_may_linger_do_not_bring_the_server_down() {
    // 64 descriptors leave room for 16 that linger.
    let flags = ["--max-connections", "3"];
    let scene = Scene::of(Server::start_after("ulimit -n 64", &flags));
    scene.freeze();
    let inside: Vec<_> = (0..2).map(|_| scene.client()).collect();
    let mut refused: Vec<_> = (0..100).map(|_| scene.client()).collect();
    scene.thaw();
    for client in &mut refused {
        client.expect_before_any_end(FULL);
    }
    drop(inside);
    let report = scene.end();
    assert_eq!(report.ended("refused, server full"), 100);
}
