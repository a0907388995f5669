//! `via l2`: the servers have the service's address, and answer the client themselves.

use crate::command::unload;
use crate::curl::pages;
use crate::http::Server;
use crate::network::{ip, switch};
use crate::world::{CLIENT, NAMES, SERVICE, World};

#[test]
fn root_l2_servers_answer_without_the_router() {
    let world = World::one_armed();
    let servers: Vec<Server> = NAMES
        .into_iter()
        .zip(&world.servers)
        .map(|(name, (server, _))| {
            ip(server, &format!("addr add {SERVICE}/32 dev lo"));
            switch(server, "ipv4/conf/all/arp_ignore", "1");
            switch(server, "ipv4/conf/all/arp_announce", "2");
            // The client is on the segment: answers go there, not to the router.
            ip(server, "route replace default dev e0");
            Server::start(server, 80, name)
        })
        .collect();
    let backends: Vec<String> = world.servers.iter().map(|(_, own)| own[0].clone()).collect();
    world.load(&World::cats("l2", &backends));
    let pages: Vec<String> = pages(&world.client, SERVICE, 60).into_keys().collect();
    assert_eq!(pages, ["one", "three", "two"].map(|name| format!("{name} saw {CLIENT}")));
    unload(&world.target());
    drop(servers);
}
