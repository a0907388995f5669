//! Wires between namespaces.

use xdpilot_kernel::configure;
use xdpilot_kernel::veth::{self, End, Settings};

use crate::command::tool;
use crate::net::Net;

/// Runs ip(8) in a namespace.
#[track_caller]
pub(crate) fn ip(net: &Net, words: &str) -> String {
    tool(&format!("ip -n {} {words}", net.name))
}

/// Sets a switch of a namespace's kernel.
pub(crate) fn switch(net: &Net, path: &str, value: &str) {
    net.run(|| std::fs::write(format!("/proc/sys/net/{path}"), value).unwrap());
}

/// One end of a wire: where, its name and its addresses with their prefixes.
pub(crate) type Plug<'a> = (&'a Net, &'a str, &'a [String]);

/// A veth pair between two namespaces, up.
pub(crate) fn wire<'a>(one: Plug<'a>, other: Plug<'a>) {
    let end = |(net, name, _): Plug<'a>| End { namespace: &net.namespace, name, mac: None };
    veth::create(end(one), end(other), Settings::default()).unwrap();
    for (net, name, addresses) in [one, other] {
        switch(net, &format!("ipv6/conf/{name}/disable_ipv6"), "0");
        let interface = net.interface(name);
        net.run(|| configure::set_up(&interface)).unwrap();
        for address in addresses {
            let (address, prefix) = address.split_once('/').unwrap();
            let (address, prefix) = (address.parse().unwrap(), prefix.parse().unwrap());
            net.run(|| configure::add_address(&interface, address, prefix)).unwrap();
        }
    }
}
