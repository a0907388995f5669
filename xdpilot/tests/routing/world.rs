//! A client, a router and three servers.

use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use xdpilot_kernel::configure;

use crate::command::{Ran, done};
use crate::http::Server;
use crate::net::{Net, PATIENCE};
use crate::network::{Plug, ip, switch, wire};
use crate::support::folder::Folder;

/// The service's addresses: nobody has them.
pub(crate) const SERVICE: &str = "10.9.9.9";
pub(crate) const SERVICE6: &str = "fd09::9";
/// The client's.
pub(crate) const CLIENT: &str = "192.0.2.1";
pub(crate) const CLIENT6: &str = "2001:db8:1::1";
/// The port of the servers.
pub(crate) const PORT: u16 = 8080;
/// The names of the servers, as their pages tell them.
pub(crate) const NAMES: [&str; 3] = ["one", "two", "three"];

/// All hosts. The interfaces are `c0` of the client, `r0` of the router towards it, `e0` of the servers.
pub(crate) struct World {
    pub(crate) client: Net,
    pub(crate) router: Net,
    /// With their addresses of both families.
    pub(crate) servers: Vec<(Net, [String; 2])>,
    /// What serves there; `None` for a server that was killed.
    serving: Vec<Option<Server>>,
    /// The bridge that connects all.
    _segment: Option<Net>,
    folder: Folder,
}

fn addresses(all: &[&str]) -> Vec<String> {
    all.iter().map(ToString::to_string).collect()
}

impl World {
    /// The client and each server on a wire of its own: `t1`, `t2`, `t3` of the router lead to the servers.
    pub(crate) fn two_armed() -> World {
        let (client, router) = (Net::new(), Net::new());
        wire(
            (&client, "c0", &client_addresses()),
            (&router, "r0", &addresses(&["192.0.2.254/24", "2001:db8:1::fe/64"])),
        );
        let server = |number: usize| {
            let server = Net::new();
            let own = [format!("10.0.{number}.2"), format!("fd00:{number}::2")];
            let near = [format!("10.0.{number}.1/24"), format!("fd00:{number}::1/64")];
            let far = [format!("{}/24", own[0]), format!("{}/64", own[1])];
            wire((&server, "e0", &far), (&router, &format!("t{number}"), &near));
            ip(&server, &format!("route add default via 10.0.{number}.1"));
            ip(&server, &format!("-6 route add default via fd00:{number}::1"));
            (server, own)
        };
        let servers = (1..=NAMES.len()).map(server).collect();
        World::begin(client, router, servers, None)
    }

    /// All on one segment: what the router gets by `r0` leaves by `r0` again.
    pub(crate) fn one_armed() -> World {
        let (client, router, segment) = (Net::new(), Net::new(), Net::new());
        let bridge =
            segment.run(|| configure::create_bridge("br0").inspect(|bridge| configure::set_up(bridge).unwrap()));
        let bridge = bridge.unwrap();
        let plug = |host: Plug<'_>, port: &str| {
            wire(host, (&segment, port, &[]));
            let port = segment.interface(port);
            segment.run(|| configure::enslave(&port, &bridge)).unwrap();
        };
        plug((&client, "c0", &client_addresses()), "pc");
        let router_addresses = ["192.0.2.254/24", "10.0.0.1/24", "2001:db8:1::fe/64", "fd00::1/64"];
        plug((&router, "r0", &addresses(&router_addresses)), "pr");
        let server = |number: usize| {
            let server = Net::new();
            let own = [format!("10.0.0.1{number}"), format!("fd00::1{number}")];
            plug((&server, "e0", &[format!("{}/24", own[0]), format!("{}/64", own[1])]), &format!("p{number}"));
            ip(&server, "route add default via 10.0.0.1");
            ip(&server, "-6 route add default via fd00::1");
            (server, own)
        };
        let servers = (1..=NAMES.len()).map(server).collect();
        World::begin(client, router, servers, Some(segment))
    }

    /// Starts the servers, and waits until the client reaches them by the router's kernel.
    fn begin(client: Net, router: Net, servers: Vec<(Net, [String; 2])>, segment: Option<Net>) -> World {
        ip(&client, "route add default via 192.0.2.254");
        ip(&client, "-6 route add default via 2001:db8:1::fe");
        switch(&router, "ipv4/ip_forward", "1");
        switch(&router, "ipv6/conf/all/forwarding", "1");
        let serving = (0..servers.len()).map(|_| None).collect();
        let mut world = World { client, router, servers, serving, _segment: segment, folder: Folder::new() };
        for number in 0..NAMES.len() {
            world.revive(number);
            world.await_way(number);
        }
        world
    }

    /// A fresh link carries packets up to a second after both ends are up.
    fn await_way(&self, number: usize) {
        let deadline = Instant::now() + PATIENCE;
        for host in &self.servers[number].1 {
            let address = SocketAddr::new(host.parse().unwrap(), PORT);
            let connect = || TcpStream::connect_timeout(&address, Duration::from_millis(200));
            while let Err(error) = self.client.run(connect) {
                assert!(Instant::now() < deadline, "{address}: {error}");
            }
        }
    }

    /// The interface where the client's packets arrive, as a target.
    pub(crate) fn target(&self) -> String {
        self.router.target("r0")
    }

    /// A server's address and port, as a backend.
    pub(crate) fn backend(&self, number: usize) -> String {
        format!("{}:{PORT}", self.servers[number].1[0])
    }

    /// Writes a policy; its path.
    pub(crate) fn policy(&self, text: &str) -> String {
        self.folder.file("cats.xdp", text)
    }

    /// The text of a policy that routes the service to these backends, a line each; `options` stand in the pool too.
    pub(crate) fn cats(via: &str, backends: &[String]) -> String {
        let backends = backends.join("\n  ");
        format!(
            "pool cats via {via} {{\n  {backends}\n}}
             route cats when dst host {SERVICE} and tcp dst port 80
             route cats when dst host {SERVICE6} and tcp dst port 80\n"
        )
    }

    /// All servers as backends by their addresses of a family, with their port.
    pub(crate) fn backends(&self, v6: bool) -> Vec<String> {
        let host = |own: &[String; 2]| if v6 { format!("[{}]:{PORT}", own[1]) } else { format!("{}:{PORT}", own[0]) };
        self.servers.iter().map(|(_, own)| host(own)).collect()
    }

    /// Loads a policy where the client's packets arrive.
    #[track_caller]
    pub(crate) fn load(&self, text: &str) -> Ran {
        done(&["load", &self.policy(text), "--on", &self.target()])
    }

    /// Ends a server, and cuts its connections.
    pub(crate) fn kill(&mut self, number: usize) {
        self.serving[number] = None;
    }

    /// Starts a server.
    pub(crate) fn revive(&mut self, number: usize) {
        self.serving[number] = Some(Server::start(&self.servers[number].0, PORT, NAMES[number]));
    }
}

fn client_addresses() -> Vec<String> {
    vec![format!("{CLIENT}/24"), format!("{CLIENT6}/64")]
}
