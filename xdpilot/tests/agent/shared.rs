//! Checks that nodes share.

use std::collections::BTreeSet;
use std::fs;

use crate::world::{Fleet, Host, run, until};

/// The nodes that have checked a backend since this was asked last.
fn checkers(folder: &str, backend: &str) -> BTreeSet<String> {
    let log = fs::read_to_string(format!("{folder}/log")).unwrap_or_default();
    let one = |line: &str| line.strip_prefix(backend).map(|node| node.trim().to_string());
    log.lines().filter_map(one).collect()
}

#[test]
fn root_three_nodes_check_a_backend_and_all_go_by_what_they_say() {
    let fleet = Fleet::new(1);
    let (hosts, store) = ([(); 5].map(|()| fleet.host()), fleet.store());
    let _agents = hosts.each_ref().map(|host| host.agent(&store, &[]));
    for host in &hosts {
        run(&format!("ip netns exec {} sysctl -q -w net.ipv4.conf.e0.forwarding=1", host.name));
    }
    let folder = hosts[0].folder.path().display().to_string();
    let script = hosts[0].file(
        "check",
        &format!(
            "echo $XDPILOT_ADDRESS $(ip netns identify $$) >> {folder}/log\n! test -e {folder}/$XDPILOT_ADDRESS\n"
        ),
    );
    let pool = format!(
        "pool cats via nat {{\n  10.9.0.1:80\n  10.9.0.7:80\n  check exec \"sh {script}\" every 50ms shared\n}}\n"
    );
    let file = hosts[0].file("web.xdp", &format!("{pool}policy web on e0 {{ route cats when tcp dst port 80 }}\n"));
    hosts[0].xdpilot(&store, &["apply", "-f", &file, "--wait"]);
    let names: BTreeSet<String> = hosts.iter().map(|host| host.name.clone()).collect();
    for backend in ["10.9.0.1", "10.9.0.7"] {
        until("three nodes", || {
            fs::write(format!("{folder}/log"), "").unwrap();
            until("some checks", || (fs::metadata(format!("{folder}/log")).unwrap().len() > 2_000).then_some(()));
            let now = checkers(&folder, backend);
            (now.len() == 3 && now.is_subset(&names)).then_some(())
        });
    }
    let shows = |host: &Host, word: &str| host.xdpilot(&store, &["pool", "show", "--on", "e0"]).contains(word);
    assert!(hosts.iter().all(|host| !shows(host, "down")));
    fs::write(format!("{folder}/10.9.0.7"), "").unwrap();
    for host in &hosts {
        until("it is out everywhere", || shows(host, "down").then_some(()));
    }
    fs::remove_file(format!("{folder}/10.9.0.7")).unwrap();
    for host in &hosts {
        until("it is well everywhere", || (!shows(host, "down")).then_some(()));
    }
}
