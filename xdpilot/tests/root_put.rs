//! Programs put one after the other without a sweep: what is left at their own place goes, the rest stays until one.
//! Needs root and ip.
// The helpers of tests are tests too.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::process::Command;

use xdpilot::attach::Wish;
use xdpilot::direction::Direction;
use xdpilot::place::{self, Traffic};
use xdpilot::policy::{self, Text};
use xdpilot::put::{self, Order};
use xdpilot::source::Input;
use xdpilot_core::modernize::Choice;
use xdpilot_kernel::link::Link;
use xdpilot_kernel::pins;

/// A named namespace that goes with this value.
struct Net(String);

impl Net {
    #[track_caller]
    fn ip(&self, line: &str) {
        let status = Command::new("ip").args(["-n", &self.0]).args(line.split(' ')).status().unwrap();
        assert!(status.success(), "{line}");
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        _ = Command::new("ip").args(["netns", "delete", &self.0]).status();
    }
}

fn put(net: &Net, interface: &str) -> std::path::PathBuf {
    let policy = policy::read(&Text::of_words("drop when udp"), None, Direction::Ingress).unwrap();
    let input = Input::Policy(Box::new(policy.compile(false).unwrap()));
    let wish = Wish { mode: None, replace: false, netlink: false, direction: Direction::Ingress };
    let choice = Choice { program: None, section: None, first: false };
    let order = Order { choice, wish, bare: false, verbose: false, carry: false };
    let target = format!("netns:{}/{interface}", net.0).parse().unwrap();
    let places = place::resolve(&target, Traffic::To).unwrap();
    put::load_unswept(&input, &places, &order).unwrap().pop().unwrap().link.unwrap()
}

fn is_alive(link: &std::path::Path) -> bool {
    Link::open_pinned(link).unwrap().info().unwrap().is_alive()
}

#[test]
fn root_without_a_sweep_only_what_is_left_at_the_own_place_goes() {
    let net = Net(format!("xp{}u", std::process::id()));
    assert!(Command::new("ip").args(["netns", "add", &net.0]).status().unwrap().success());
    let add = || net.ip("link add v0 index 1001 type veth peer name v1 index 1002");
    add();
    let (first, second) = (put(&net, "v0"), put(&net, "v1"));
    // The sweeps of other commands wait until the dead pins were seen.
    let lock = pins::lock(|| {}).unwrap();
    net.ip("link delete v0");
    assert!(!is_alive(&first) && !is_alive(&second));
    add();
    drop(lock);
    assert_eq!(put(&net, "v0"), first);
    assert!(is_alive(&first));
    xdpilot::sweep::sweep();
    assert!(is_alive(&first) && !second.exists());
    net.ip("link delete v0");
    xdpilot::sweep::sweep();
    assert!(!first.exists());
}
