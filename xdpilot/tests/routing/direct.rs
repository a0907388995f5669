//! `via l2`: the servers have the service's address, and answer the client themselves.

use crate::command::unload;
use crate::curl::all_answer;
use crate::http::Server;
use crate::net::Net;
use crate::network::{ip, switch};
use crate::world::{CLIENT, CLIENT6, NAMES, SERVICE, SERVICE6, World};

/// A server does not tell the segment that it has the service's address, and answers the client, who is there, not by the
/// router.
pub(crate) fn answers_directly(server: &Net) {
    switch(server, "ipv4/conf/all/arp_ignore", "1");
    switch(server, "ipv4/conf/all/arp_announce", "2");
    ip(server, "route replace default dev e0");
    ip(server, "-6 route replace default dev e0");
}

#[test]
fn root_l2_servers_answer_without_the_router() {
    let world = World::one_armed();
    let servers: Vec<Server> = NAMES
        .into_iter()
        .zip(&world.servers)
        .map(|(name, (server, _))| {
            switch(server, "ipv6/conf/lo/disable_ipv6", "0");
            ip(server, &format!("addr add {SERVICE}/32 dev lo"));
            ip(server, &format!("addr add {SERVICE6}/128 dev lo nodad"));
            answers_directly(server);
            Server::start(server, 80, name)
        })
        .collect();
    let backends: Vec<String> = world.servers.iter().flat_map(|(_, own)| own.clone()).collect();
    world.load(&World::cats("l2", &backends));
    all_answer(&world, SERVICE, CLIENT);
    all_answer(&world, &format!("[{SERVICE6}]"), CLIENT6);
    unload(&world.target());
    drop(servers);
}
