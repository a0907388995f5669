//! Health checks: what does not answer gets no packets.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use xdpilot_kernel::pins;

use crate::curl::answering;
use crate::keeper::Keeper;
use crate::world::{NAMES, World};

const EVERY: Duration = Duration::from_millis(200);
/// What a busy machine may need beside.
const A_LITTLE: Duration = Duration::from_millis(600);

#[test]
fn root_a_killed_server_is_out_soon_and_comes_back() {
    let mut world = World::two_armed();
    let mut lines = world.backends(false);
    lines.push(format!("check http \"/\" every {}ms", EVERY.as_millis()));
    let keeper = Keeper::start(&world.policy(&World::cats("nat", &lines)), &world.target());
    assert_eq!(answering(&world), NAMES);

    // A command that takes its time elsewhere does not delay it.
    let lock = pins::lock(|| {}).unwrap();
    let killed = Instant::now();
    world.kill(1);
    let said = keeper.says();
    let took = killed.elapsed();
    drop(lock);
    let out = format!("{}: {} of cats is out: ", world.target(), world.backend(1));
    assert!(said.starts_with(&out), "{said}");
    assert!(took < 2 * EVERY + A_LITTLE, "{took:?}");
    assert_eq!(answering(&world), ["one", "three"]);

    world.revive(1);
    assert_eq!(keeper.says(), format!("{}: {} of cats is well", world.target(), world.backend(1)));
    assert_eq!(answering(&world), NAMES);
    keeper.end(Signal::SIGTERM);
}
