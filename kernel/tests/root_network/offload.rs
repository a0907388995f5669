//! GRO, segmentation and channels, judged by `ethtool`.

use xdpilot_kernel::{interface::Interface, offload, veth::Settings};

use crate::common::pair;

#[test]
fn root_gro_is_what_ethtool_says() {
    let (left, _right) = pair("og", Settings::default());
    let ethtool = || left.output("ethtool -k left").contains("generic-receive-offload: on");
    let end = left.namespace.run(|| Interface::by_name("left")).unwrap();
    for (word, on) in [("on", true), ("off", false), ("on", true)] {
        left.output(&format!("ethtool -K left gro {word}"));
        assert_eq!((ethtool(), left.namespace.run(|| offload::gro(&end)).unwrap()), (on, on));
    }
}

#[test]
fn root_segmentation_is_what_ethtool_says() {
    let (left, _right) = pair("os", Settings::default());
    let ethtool = || left.output("ethtool -k left").contains("tcp-segmentation-offload: on");
    let end = left.namespace.run(|| Interface::by_name("left")).unwrap();
    for (word, on) in [("off", false), ("on", true)] {
        left.output(&format!("ethtool -K left tso {word}"));
        assert_eq!((ethtool(), left.namespace.run(|| offload::segmentation(&end)).unwrap()), (on, on));
    }
}

#[test]
fn root_channels_are_what_ethtool_says() {
    let (left, _right) = pair("oc", Settings { mtu: None, queues: Some(3) });
    left.output("ethtool -L left tx 2");
    let channels = left.namespace.run(|| offload::channels(&Interface::by_name("left")?)).unwrap();
    assert_eq!((channels.max_rx, channels.max_tx, channels.rx, channels.tx), (3, 3, 3, 2));
    let error = left.namespace.run(|| offload::channels(&Interface::by_name("lo")?)).unwrap_err();
    assert_eq!(error.errno_value(), Some(nix::libc::EOPNOTSUPP), "{error}");
}
