//! Named and unnamed namespaces, entering, and finding them all.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use xdpilot_core::error::Kind;
use xdpilot_kernel::{interface::Interface, namespace::Namespace, netns_directory};

use crate::common::{Net, output};

/// A process inside a namespace that ends when its input is closed.
pub(crate) struct Inhabitant(Child);

impl Inhabitant {
    /// Starts it behind a prefix such as `unshare --net`, and waits until it runs.
    pub(crate) fn start(prefix: &str) -> Inhabitant {
        let mut words = prefix.split_whitespace();
        let mut child = Command::new(words.next().unwrap())
            .args(words)
            .args(["sh", "-c", "echo ready; read line"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        Inhabitant(child)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Inhabitant {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        self.0.wait().unwrap();
    }
}

fn ip_lists(name: &str) -> bool {
    output("ip netns list").lines().any(|line| line.split_whitespace().next() == Some(name))
}

#[test]
fn root_created_namespace_is_ips_and_ips_is_ours() {
    let net = Net::new("nc");
    assert!(ip_lists(&net.name));
    assert!(net.output("ip -o link").contains("lo:"));
    let again = netns_directory::create(&net.name).unwrap_err();
    assert_eq!(again.errno_value(), Some(nix::libc::EEXIST));
    assert!(ip_lists(&net.name), "a refused creation must leave the namespace");
    output(&format!("ip netns delete {}", net.name));
    assert!(!Path::new("/run/netns").join(&net.name).exists());

    output(&format!("ip netns add {}", net.name));
    let theirs = Namespace::named(&net.name).unwrap();
    assert_ne!(theirs, Namespace::current().unwrap());
    netns_directory::delete(&net.name).unwrap();
    assert!(!ip_lists(&net.name));
    assert_eq!(netns_directory::delete(&net.name).unwrap_err().kind(), Kind::Usage);
}

#[test]
fn root_wrong_name_is_answered_with_near_ones() {
    let net = Net::new("near");
    let error = Namespace::named(&format!("{}x", net.name)).unwrap_err();
    assert_eq!(error.kind(), Kind::Usage);
    assert!(error.cause_text().unwrap().contains(&net.name), "{error}");
    for strange in ["", ".", "..", "a/b", "../../proc/self/ns/net"] {
        assert_eq!(Namespace::named(strange).unwrap_err().kind(), Kind::Usage);
        assert_eq!(netns_directory::create(strange).unwrap_err().kind(), Kind::Usage);
        assert_eq!(netns_directory::delete(strange).unwrap_err().kind(), Kind::Usage);
    }
}

#[test]
fn root_run_enters_only_the_network_namespace() {
    let net = Net::new("run");
    let outside = Namespace::current().unwrap();
    let mount = || std::fs::read_link("/proc/thread-self/ns/mnt").unwrap();
    let here = mount();
    let (inside, there) = net.namespace.run(|| Ok((Namespace::current()?, mount()))).unwrap();
    assert_eq!(inside, net.namespace);
    assert_eq!(there, here, "the mount namespace stays the caller's");
    assert_eq!(Namespace::current().unwrap(), outside, "the calling thread stays where it is");
    let names = net.namespace.run(Interface::names).unwrap();
    assert!(names.contains(&"lo".to_string()) && !names.contains(&"eth0".to_string()), "{names:?}");
}

#[test]
fn root_run_hands_a_panic_on() {
    let net = Net::new("pan");
    let caught =
        std::panic::catch_unwind(|| net.namespace.run(|| -> xdpilot_core::error::Result<()> { panic!("mine") }));
    assert_eq!(caught.unwrap_err().downcast_ref(), Some(&"mine"));
}

#[test]
fn root_all_finds_names_and_processes() {
    let net = Net::new("all");
    let named = Inhabitant::start(&format!("ip netns exec {}", net.name));
    let unnamed = Inhabitant::start("unshare --net");
    assert_eq!(Namespace::of_pid(named.pid()).unwrap(), net.namespace);

    let all = Namespace::all();
    let of = |inode: u64| all.iter().filter(|found| found.namespace.inode() == inode).collect::<Vec<_>>();
    let [found] = of(net.namespace.inode())[..] else { panic!("not once") };
    assert_eq!((&found.names[..], found.pid), (&[net.name.clone()][..], Some(named.pid())));
    let [found] = of(Namespace::of_pid(unnamed.pid()).unwrap().inode())[..] else { panic!("not once") };
    assert_eq!((found.names.len(), found.pid), (0, Some(unnamed.pid())));
    assert_eq!(of(Namespace::current().unwrap().inode()).len(), 1);
}

#[test]
fn root_ended_process_is_a_usage_error() {
    let inhabitant = Inhabitant::start("env");
    let pid = inhabitant.pid();
    drop(inhabitant);
    assert_eq!(Namespace::of_pid(pid).unwrap_err().kind(), Kind::Usage);
}

#[test]
fn root_plain_file_is_no_namespace() {
    // What a reboot or a failed creation leaves under a name.
    let name = format!("xp{}file", std::process::id());
    let net = Net::new("dir");
    std::fs::write(format!("/run/netns/{name}"), "").unwrap();
    let error = Namespace::named(&name).unwrap_err();
    let all = Namespace::all();
    netns_directory::delete(&name).unwrap();
    assert!(error.cause_text().unwrap().contains("plain file"), "{error}");
    assert!(all.iter().any(|found| found.names.contains(&net.name)));
    assert!(all.iter().all(|found| !found.names.contains(&name)));
}
