//! Without root: what can be read is read, the rest is refused in words. Nothing panics.

use std::{os::fd::AsFd, thread};

use nix::libc;
use xdpilot_core::error::Kind;
use xdpilot_kernel::{
    configure,
    interface::Interface,
    namespace::Namespace,
    netns_directory,
    veth::{self, Settings},
    xdp_netlink::{Attachment, Expected},
};

use crate::{
    common::{Net, pair, program},
    namespaces::Inhabitant,
};

/// Runs the closure as the user nobody. The bare system call changes this thread alone.
fn as_nobody(work: impl FnOnce() + Send) {
    thread::scope(|scope| {
        let thread = scope.spawn(|| {
            // SAFETY: the call takes three numbers and touches no memory of ours.
            let result = unsafe { libc::syscall(libc::SYS_setresuid, 65534, 65534, 65534) };
            assert_eq!(result, 0);
            work();
        });
        thread.join().unwrap();
    });
}

#[test]
fn root_as_nobody_the_rest_still_works() {
    let net = Net::new("nob");
    let container = Inhabitant::start("unshare --net");
    let refused = format!("{}x", net.name);
    as_nobody(|| {
        let current = Namespace::current().unwrap();
        assert!(current.run(Interface::names).unwrap().contains(&"lo".to_string()));
        assert!(Namespace::all().iter().any(|found| found.namespace == current));
        assert_eq!(netns_directory::create(&refused).unwrap_err().kind(), Kind::NotPermitted);
        assert_eq!(net.namespace.run(Interface::names).unwrap_err().kind(), Kind::NotPermitted);
        assert_eq!(Namespace::of_pid(container.pid()).unwrap_err().kind(), Kind::NotPermitted);
        assert_eq!(configure::loopback_up().unwrap_err().kind(), Kind::NotPermitted);
    });
    assert!(!netns_directory::names().contains(&refused));
}

#[test]
fn root_as_nobody_changes_are_not_permitted() {
    let (left, _right) = pair("nb", Settings::default());
    let pass = program(2);
    let check = || {
        let end = Interface::by_name("left")?;
        as_nobody(|| {
            let change = Attachment {
                index: end.index,
                name: &end.name,
                mode: None,
                program: Some(pass.as_fd()),
                expected: Expected::Anything,
            };
            let error = change.apply().unwrap_err();
            assert_eq!((error.kind(), error.errno_value()), (Kind::NotPermitted, Some(libc::EPERM)));
            assert_eq!(veth::peer(&end).unwrap_err().kind(), Kind::NotPermitted);
        });
        Ok(())
    };
    left.namespace.run(check).unwrap();
}
