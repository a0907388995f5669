//! The same words to ip(8) and to `xdpilot ip`: the same success, the same mode on the interface. Needs root, clang.
// The helpers of tests are tests too.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support {
    pub(crate) mod net;
}

use support::net::{Net, mode, output, run};

const SOURCE: &str = r#"
struct xdp_md;
#define SEC(name) __attribute__((section(name), used))
SEC("prog") int first(struct xdp_md *ctx) { return 2; }
SEC("xdp") int second(struct xdp_md *ctx) { return 2; }
SEC("xdp") int third(struct xdp_md *ctx) { return 2; }
char _license[] SEC("license") = "GPL";
"#;

/// Each story begins on a fresh interface; words behind `!` go to ip(8) for both.
const STORIES: &[&[&str]] = &[
    &[
        "link set dev v0 xdp obj DIR/o.o",
        "link set dev v0 xdp obj DIR/o.o",
        "-force link set dev v0 xdp obj DIR/o.o",
        "link set dev v0 xdp off",
        "link set dev v0 xdp off",
    ],
    &[
        "link set dev v0 xdpgeneric obj DIR/o.o sec xdp",
        "link set dev v0 xdpdrv obj DIR/o.o",
        "link set dev v0 xdp off",
        "-force link set dev v0 xdp obj DIR/o.o",
        "link set dev v0 xdpgeneric off",
    ],
    &[
        "link set dev v0 xdpdrv obj DIR/o.o program third verbose",
        "link set dev v0 xdpgeneric off",
        "link set dev v0 xdpdrv none",
    ],
    &["link set dev v0 xdpoffload obj DIR/o.o", "link set dev v0 xdpoffload off"],
    &[
        "link set dev v0 xdp obj DIR/o.o sec none",
        "link set dev v0 xdp obj DIR/o.o program none",
        "link set dev v0 xdp obj DIR/missing.o",
        "link set dev v0 xdp obj",
        "link set dev v0 xdp",
        "link set dev v0 xdp up",
        "link set dev none xdp obj DIR/o.o",
        "link set xdp obj DIR/o.o",
        "link set dev v0 xdp off up",
        "link set dev v0 xdp obj DIR/o.o program third sec xdp",
        "link set dev v0 xdp obj DIR/o.o verbose sec xdp",
    ],
    &[
        "link set dev v0 xdpdrv pinned DIR/bpf/pin",
        "link set dev v0 xdpdrv pinned DIR/bpf/pin",
        "-force link set dev v0 xdpdrv pinned DIR/bpf/pin",
        "link set v0 xdp off",
        "link set v0 xdp pinned DIR/bpf/none",
    ],
    &[
        "l s v0 xdp o DIR/o.o se xdp v",
        "-fo li se dev v0 xdp object DIR/o.o",
        "lin change v0 xdp off",
        "link set xdpgeneric obj DIR/o.o dev v0",
    ],
    &["! link set dev v1 mtu 9000", "link set dev v0 xdp obj DIR/o.o", "link set dev v0 xdpgeneric obj DIR/o.o"],
    &[
        "! link add br0 type bridge",
        "link set dev br0 xdp obj DIR/o.o",
        "link set dev br0 xdpdrv obj DIR/o.o",
        "link set dev br0 xdp off",
        "link set dev br0 xdpdrv obj DIR/o.o",
    ],
];

#[test]
fn root_the_same_words_have_the_same_effect_as_with_ip() {
    for story in STORIES {
        let nets = [Net::new(), Net::new()];
        for net in &nets {
            net.compile("o", SOURCE);
            run(&net.fill("mkdir DIR/bpf"));
            run(&net.fill("mount -t bpf bpf DIR/bpf"));
            run(&net.fill("bpftool prog load DIR/o.o DIR/bpf/pin type xdp"));
        }
        for words in *story {
            let [theirs, ours] = [(&nets[0], "ip"), (&nets[1], "xdpilot ip")].map(|(net, tool)| {
                let (tool, words) = words.strip_prefix("! ").map_or((tool, *words), |words| ("ip", words));
                let output = output(&net.fill(&format!("{tool} -n NS {words}")));

                let mode = mode(net, if words.contains("br0") { "br0" } else { "v0" });
                ((output.status.success(), mode), String::from_utf8_lossy(&output.stderr).into_owned())
            });
            assert_eq!(theirs.0, ours.0, "{words}\n{}\n{}", theirs.1, ours.1);
        }
        for net in &nets {
            run(&net.fill("umount DIR/bpf"));
        }
    }
}

#[test]
fn root_objects_that_ip_refuses_are_attached() {
    let net = Net::new();
    net.compile(
        "old",
        r#"#include <linux/bpf.h>
        #include <bpf/bpf_helpers.h>
        struct bpf_map_def { unsigned type, key_size, value_size, max_entries, flags; };
        struct bpf_map_def SEC("maps") table = { BPF_MAP_TYPE_ARRAY, 4, 8, 4, 0 };
        SEC("prog") int old(void *ctx) { int key = 0; return bpf_map_lookup_elem(&table, &key) ? 2 : 1; }"#,
    );
    let words = net.fill("ip -n NS link set dev v0 xdp obj DIR/old.o");
    assert!(!output(&words).status.success());
    run(&format!("xdpilot {words}"));
    assert_eq!(mode(&net, "v0"), 1);
}

#[test]
fn root_verbose_prints_the_verifiers_log() {
    let net = Net::new();
    net.compile("o", SOURCE);
    let told = output(&net.fill("xdpilot ip -n NS link set dev v0 xdp obj DIR/o.o verbose"));
    assert!(String::from_utf8_lossy(&told.stderr).contains("processed "), "{told:?}");
}
