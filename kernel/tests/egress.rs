//! Programs that see the packets that leave an interface.
// Helpers are test code too.
#![allow(clippy::expect_used)]

#[allow(dead_code, reason = "shared with other tests")]
mod common;

use common::{HEAD, compile, own_namespaces, run, unique, veth};
use xdpilot_kernel::link::{Link, LinkKind};
use xdpilot_kernel::load::{Loaded, ProgramKind, Request, load};
use xdpilot_kernel::test_run::{TestRun, run as test_run};
use xdpilot_kernel::{pins, tcx};

/// A classifier that returns this.
fn classifier(verdict: i32) -> Loaded {
    let elf = compile(&format!("{HEAD} SEC(\"tc\") int out(struct __sk_buff *skb) {{ return {verdict}; }}"));
    load(&Request { elf: &elf, name: "out", entry: "out", kind: ProgramKind::Classifier, ..Request::default() })
        .expect("load")
}

#[test]
fn root_a_link_to_leaving_packets_is_listed_pinned_replaced_and_detached() {
    own_namespaces();
    let (_, index) = veth();
    let (through, none) = (classifier(-1), classifier(2));
    assert_eq!(tcx::egress(index).expect("query"), []);
    let link = Link::attach_egress(through.entry(), index).expect("attach");
    let info = link.info().expect("info");
    assert_eq!((info.kind, info.program_id), (LinkKind::Tcx { ifindex: index, egress: true }, through.info().id));
    assert_eq!((info.egress_ifindex(), info.xdp_ifindex()), (Some(index), None));
    let path = std::path::PathBuf::from(format!("{}/{}", pins::BPFFS, unique("egress")));
    link.pin(&path).expect("pin");
    drop(link);
    let standing = tcx::egress(index).expect("query");
    assert_eq!(standing, [tcx::Classifier { program: through.info().id, link: Some(info.id) }]);
    assert!(run(&format!("bpftool prog show id {}", through.info().id)).contains("sched_cls"));
    let link = Link::open_pinned(&path).expect("open");
    link.update(none.entry(), Some(through.entry())).expect("replace");
    assert_eq!(tcx::egress(index).expect("query")[0].program, none.info().id);
    link.detach().expect("detach");
    assert_eq!(tcx::egress(index).expect("query"), []);
    assert_eq!(link.info().expect("info").egress_ifindex(), None);
}

#[test]
fn root_a_classifier_is_tried_on_a_packet() {
    let run = |verdict| {
        let test = TestRun { packet: &[0; 64], ingress_ifindex: 0, rx_queue: 0, repeat: 1 };
        test_run(classifier(verdict).entry(), &test).expect("run")
    };
    assert_eq!(run(2).verdict, 2);
    assert_eq!((run(-1).verdict, run(-1).packet.len()), (u32::MAX, 64));
}
