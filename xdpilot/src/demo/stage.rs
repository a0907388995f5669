//! Where the story plays: a server, a client, and the wire between them.

use std::io;
use std::net::{IpAddr, Ipv4Addr, TcpListener, UdpSocket};

use xdpilot_core::error::{Error, Result};
use xdpilot_kernel::namespace::Namespace;
use xdpilot_kernel::{configure, netns_directory, veth};

use super::leftovers;
use super::{dns, web};

/// Both hosts name their interface so.
pub(super) const INTERFACE: &str = "eth0";
const SERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));
/// What the DNS server answers: an address kept for documentation (RFC 5737).
const ANSWER: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 7);

/// A stage that is set.
pub(super) struct Stage {
    /// What the client asks.
    pub(super) server: IpAddr,
    /// Where the client is.
    pub(super) client: Namespace,
    /// What names the server's interface on the command line.
    pub(super) target: String,
    /// What serves here, until the stage is dropped; a container serves by itself.
    pub(super) _servers: Option<Servers>,
}

/// The web server and the DNS server.
pub(super) struct Servers {
    web: web::Server,
    _dns: dns::Server,
}

impl Servers {
    /// Serves HTTP on port 80 and DNS on port 53 of this address, in the calling thread's namespace.
    ///
    /// Errors: a port is taken or not permitted.
    pub(super) fn start(address: IpAddr) -> Result<Servers> {
        let failed = |port: u16, error: &io::Error| {
            Error::failed(format!("serve on {address} port {port}")).kernel(error.to_string())
        };
        let web = TcpListener::bind((address, 80))
            .and_then(|listener| web::Server::start(listener, "cat"))
            .map_err(|error| failed(80, &error))?;
        let dns = UdpSocket::bind((address, 53))
            .and_then(|socket| dns::Server::start(socket, ANSWER))
            .map_err(|error| failed(53, &error))?;
        Ok(Servers { web, _dns: dns })
    }

    /// Serves on.
    pub(super) fn wait(self) {
        self.web.wait();
    }
}

/// Makes two hosts in network namespaces of this process's own, and a veth pair between them.
///
/// Errors: the kernel's, mostly for want of root. What was made until then is for `leftovers` to clean.
pub(super) fn in_namespaces(pid: u32) -> Result<Stage> {
    let names = [leftovers::namespace(pid, "web"), leftovers::namespace(pid, "client")];
    let server = netns_directory::create(&names[0])?;
    let client = netns_directory::create(&names[1])?;
    let end = |namespace| veth::End { namespace, name: INTERFACE, mac: None };
    let (server_end, client_end) = veth::create(end(&server), end(&client), veth::Settings::default())?;
    for (namespace, interface, address) in [(&server, &server_end, SERVER), (&client, &client_end, CLIENT)] {
        namespace.run(|| {
            configure::add_address(interface, address, 24)?;
            configure::set_up(interface)
        })?;
    }
    let _servers = Some(server.run(|| Servers::start(SERVER))?);
    let [name, _] = names;
    Ok(Stage { server: SERVER, client, target: format!("netns:{name}/{INTERFACE}"), _servers })
}
