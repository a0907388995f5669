//! Attaching by netlink: what the kernel then shows, does, and says when it refuses.

use std::{
    os::fd::{AsFd, BorrowedFd},
    time::Duration,
};

use xdpilot_core::error::{Error, Result};
use xdpilot_kernel::{
    configure,
    interface::Interface,
    mode::{Attached, Mode},
    veth::Settings,
    xdp_netlink::{Attachment, Expected},
};

use crate::{
    common::{Net, pair, program},
    configure::{arrives, connect},
};

const DROP: i32 = 1;
const PASS: i32 = 2;

fn apply(net: &Net, mode: Option<Mode>, program: Option<BorrowedFd<'_>>, expected: Expected<'_>) -> Result<()> {
    net.namespace.run(|| {
        let interface = Interface::by_name("right")?;
        Attachment { index: interface.index, name: &interface.name, mode, program, expected }.apply()
    })
}

fn attached(net: &Net) -> Attached {
    net.namespace.run(|| Interface::by_name("right")).unwrap().xdp
}

fn words(error: &Error) -> (&str, i32) {
    (error.kernel_words().unwrap(), error.errno_value().unwrap())
}

#[test]
fn root_attached_program_drops_and_detached_does_not() {
    let (left, right) = pair("xa", Settings::default());
    connect(&left, &right);
    let drop = program(DROP);
    for mode in [Mode::Native, Mode::Generic] {
        apply(&right, Some(mode), Some(drop.as_fd()), Expected::Nothing).unwrap();
        let id = attached(&right).program(mode).unwrap();
        let word = if mode == Mode::Native { "driver id" } else { "generic id" };
        let seen = right.output("bpftool net");
        assert!(seen.contains(&format!("{word} {id}")), "{seen}");
        assert!(!arrives(&left, &right, "10.0.0.2", Duration::from_millis(300)), "{mode}");
        apply(&right, Some(mode), None, Expected::Program(drop.as_fd())).unwrap();
        assert!(attached(&right).is_empty());
        assert!(!right.output("bpftool net").contains("right"));
        assert!(arrives(&left, &right, "10.0.0.2", Duration::from_secs(10)), "{mode}");
    }
}

#[test]
fn root_expectations_are_kept() {
    let (_left, right) = pair("xe", Settings::default());
    let (first, second) = (program(PASS), program(PASS));
    apply(&right, None, Some(first.as_fd()), Expected::Nothing).unwrap();
    let stands = attached(&right);
    assert!(stands.native.is_some(), "left to itself the kernel takes the driver: {stands:?}");

    let error = apply(&right, None, Some(second.as_fd()), Expected::Nothing).unwrap_err();
    assert_eq!(words(&error), ("XDP program already attached", nix::libc::EBUSY));
    let error = apply(&right, None, Some(second.as_fd()), Expected::Program(second.as_fd())).unwrap_err();
    assert_eq!(words(&error), ("Active program does not match expected", nix::libc::EEXIST));
    assert_eq!(attached(&right), stands);

    apply(&right, None, Some(second.as_fd()), Expected::Program(first.as_fd())).unwrap();
    assert_ne!(attached(&right), stands);
    apply(&right, None, Some(first.as_fd()), Expected::Anything).unwrap();
    assert_eq!(attached(&right), stands);
    apply(&right, None, None, Expected::Anything).unwrap();
    assert!(attached(&right).is_empty());
}

#[test]
fn root_mode_conflict_is_told_in_the_kernels_words() {
    let (_left, right) = pair("xm", Settings::default());
    let pass = program(PASS);
    apply(&right, Some(Mode::Native), Some(pass.as_fd()), Expected::Nothing).unwrap();
    let error = apply(&right, Some(Mode::Generic), Some(pass.as_fd()), Expected::Nothing).unwrap_err();
    assert_eq!(words(&error), ("Native and generic XDP can't be active at the same time", nix::libc::EEXIST));
    assert_eq!(error.what(), "attach an XDP program to right (generic)");
}

#[test]
fn root_large_peer_mtu_is_told_in_the_kernels_words() {
    let (_left, right) = pair("xj", Settings { mtu: Some(9000), queues: None });
    let pass = program(PASS);
    let error = apply(&right, Some(Mode::Native), Some(pass.as_fd()), Expected::Nothing).unwrap_err();
    assert_eq!(words(&error), ("veth: Peer MTU is too large to set XDP", nix::libc::ERANGE));
    assert!(attached(&right).is_empty());
}

#[test]
fn root_driver_without_native_mode_is_told_in_the_kernels_words() {
    let net = Net::new("xb");
    let pass = program(PASS);
    net.namespace.run(|| configure::create_bridge("right")).unwrap();
    let error = apply(&net, Some(Mode::Native), Some(pass.as_fd()), Expected::Nothing).unwrap_err();
    let told = ("Underlying driver does not support XDP in native mode", nix::libc::EOPNOTSUPP);
    assert_eq!(words(&error), told);
    apply(&net, None, Some(pass.as_fd()), Expected::Nothing).unwrap();
    assert!(attached(&net).generic.is_some(), "left to itself the kernel takes the generic mode");
}

#[test]
fn root_refusal_without_extack_has_the_errnos_words() {
    let (_left, right) = pair("xo", Settings::default());
    let pass = program(PASS);
    let error = apply(&right, Some(Mode::Offload), Some(pass.as_fd()), Expected::Nothing).unwrap_err();
    assert_eq!(words(&error), ("Invalid argument", nix::libc::EINVAL));
}
