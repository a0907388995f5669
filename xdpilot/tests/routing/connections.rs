//! Connections stay with their backends while pools change.

use nix::sys::signal::Signal;

use crate::command::done;
use crate::curl::answering;
use crate::http::Connection;
use crate::keeper::Keeper;
use crate::world::{NAMES, SERVICE, World};

#[test]
fn root_a_connection_survives_a_drain_a_weight_and_another_policy() {
    let world = World::two_armed();
    let text = World::cats("nat", &world.backends(false));
    let keeper = Keeper::start(&world.policy(&text), &world.target());
    let mut connection = Connection::open(&world.client, format!("{SERVICE}:80").parse().unwrap());
    let server = connection.server();
    let number = NAMES.iter().position(|name| *name == server).unwrap();
    let (its, other) = (world.backend(number), world.backend((number + 1) % NAMES.len()));
    let others: Vec<&str> = NAMES.into_iter().filter(|name| *name != server).collect();

    done(&["pool", "drain", "cats", &its, "--on", &world.target()]);
    assert_eq!(answering(&world), others);
    assert_eq!(connection.server(), server);
    done(&["pool", "weight", "cats", &other, "7", "--on", &world.target()]);
    assert_eq!(answering(&world), others);
    assert_eq!(connection.server(), server);

    world.policy(&text.replace(&its, &format!("{its} weight 0")).replace(&other, &format!("{other} weight 3")));
    assert_eq!(keeper.says(), "policy: other backends");
    assert_eq!(answering(&world), others);
    assert_eq!(connection.server(), server);
    world.policy(&text.replace("tcp dst port 80", "tcp dst port 80 or tcp dst port 81"));
    assert_eq!(keeper.says(), "policy: 2 rules added, 2 removed");
    assert_eq!(answering(&world), NAMES);
    assert_eq!(connection.server(), server);
    keeper.end(Signal::SIGTERM);
}
