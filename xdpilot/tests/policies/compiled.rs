//! What `compile` writes is an object that others load too.

use std::path::Path;

use crate::command::{done, tool};
use crate::net::{FAR, Net, PATIENCE, Pair, unique};
use crate::traffic::{FIRST, Files, pair, tcp_within, udp_arrives, udp_is_dropped};

/// UDP is dropped, all else is not.
fn drops_udp(pair: &Pair) {
    assert!(pair.xdp().is_some());
    udp_is_dropped(pair, FIRST, 4000);
    assert!(tcp_within(pair, FAR, 4000, PATIENCE));
}

/// Runs a command in a namespace; its mounts stay those of the test.
fn inside(net: &Net, line: &str) -> String {
    tool(&format!("nsenter --net=/run/netns/{} {line}", net.name))
}

#[test]
fn root_ip_bpftool_and_xdp_loader_load_a_compiled_policy() {
    let (pair, files) = (pair(), Files::new(""));
    let object = files.path("drop.o");
    let object = object.to_str().unwrap();
    done(&["compile", "-e", "drop when udp", "-o", object]);

    tool(&format!("ip -n {} link set dev eth0 xdp obj {object} sec xdp.frags", pair.far.name));
    drops_udp(&pair);
    tool(&format!("ip -n {} link set dev eth0 xdp off", pair.far.name));
    udp_arrives(&pair, FIRST, 4000);

    let pin = format!("/sys/fs/bpf/{}", unique());
    tool(&format!("bpftool prog load {object} {pin}"));
    inside(&pair.far, &format!("bpftool net attach xdp pinned {pin} dev eth0"));
    drops_udp(&pair);
    tool(&format!("ip -n {} link set dev eth0 xdp off", pair.far.name));
    std::fs::remove_file(&pin).unwrap();

    inside(&pair.far, &format!("xdp-loader load eth0 {object}"));
    drops_udp(&pair);
    inside(&pair.far, "xdp-loader unload eth0 --all");
    udp_arrives(&pair, FIRST, 4000);
}

#[test]
fn instructions_stand_beside_the_rules() {
    let files = Files::new("pass when arp\ndrop when udp\n");
    let said = done(&["compile", &files.policy(), "--emit", "asm"]).out;
    for text in ["policy (section xdp.frags):", "; drop when udp @ ", ":2\n", "exit"] {
        assert!(said.contains(text), "{text}: {said}");
    }
    let egress = done(&["compile", &files.policy(), "--emit", "asm", "--direction", "egress"]).out;
    assert!(egress.contains("policy (section tc):"), "{egress}");
}

#[test]
fn an_old_object_becomes_one_that_any_loader_takes() {
    let files = Files::new("");
    let old = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/dropper.o");
    let new = files.path("new.o");
    done(&["compile", old.to_str().unwrap(), "-o", new.to_str().unwrap()]);
    let said = tool(&format!("readelf -S -W {}", new.display()));
    assert!(said.contains(" xdp ") && said.contains(".BTF"), "{said}");
}
