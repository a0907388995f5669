//! `xdpilot import` as a user runs it; `xdpilot explain` and the kernel say what the policies do.
// The helpers of tests are tests too.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support {
    pub(crate) mod folder;
}

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use support::folder::Folder;

const TABLES: &str = "*filter
:INPUT DROP [0:0]
:TCP - [0:0]
-A INPUT -i lo -j ACCEPT
-A INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT
-A INPUT -m set --match-set bad src -j DROP
-A INPUT -p tcp -j TCP
-A TCP -p tcp -m tcp --dport 22 -j ACCEPT
COMMIT
";
const SETS: &str = "create bad hash:net family inet\nadd bad 10.0.0.0/8\n";

fn run(words: &[&str], input: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xdpilot"));
    command.args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// What is printed where all goes well.
#[track_caller]
fn said(words: &[&str], input: &str) -> String {
    let output = run(words, input);
    assert!(output.status.success(), "{words:?}: {}", text(&output.stderr));
    text(&output.stdout).to_owned()
}

#[test]
fn a_rule_file_becomes_a_policy_that_decides() {
    let folder = Folder::new();
    let rules = "@0.0.0.0/0 10.0.0.1/32 0 : 65535 80 : 80 0x06/0xFF 0x0000/0x0200\n\
                 @192.0.2.9/24 0.0.0.0/0 0 : 65535 0 : 65535 0x11/0xFF 0x0000/0x0000\n";
    let (file, policy) = (folder.file("acl", rules), folder.path("acl.xdp"));
    assert_eq!(said(&["import", &file, "-o", policy.to_str().unwrap()], ""), "");
    let written = fs::read_to_string(&policy).unwrap();
    assert_eq!(
        written,
        "drop when ip dst host 10.0.0.1 and tcp dst port 80\ndrop when ip src net 192.0.2.0/24 and ip proto 17\n"
    );
    let explained = |packet: &str| {
        let words = ["explain", policy.to_str().unwrap(), "--packet", packet, "--json"];
        serde_json::from_str::<Value>(&said(&words, "")).unwrap()
    };
    assert_eq!(explained("tcp 1.2.3.4:5 > 10.0.0.1:80")["rule"], 1);
    assert_eq!(explained("udp 192.0.2.77:5 > 10.0.0.1:80")["rule"], 2);
    assert_eq!(explained("udp 192.0.3.77:5 > 10.0.0.1:80")["verdict"], "pass");
}

#[test]
fn nothing_is_written_where_a_rule_is_left_out_unless_it_is_asked_for() {
    let folder = Folder::new();
    let (file, policy) = (folder.file("rules.v4", [SETS, TABLES].concat()), folder.path("edge.xdp"));
    let output = run(&["import", &file, "-o", policy.to_str().unwrap()], "");
    let errors = text(&output.stderr);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(1), ""), "{errors}");
    assert!(errors.contains(&format!("{file}:7: left out: -A INPUT -m conntrack")), "{errors}");
    assert!(errors.contains("connections are not known") && errors.contains("--partial"), "{errors}");
    assert!(!policy.exists());
    said(&["import", &file, "--partial", "-o", policy.to_str().unwrap()], "");
    assert_eq!(
        fs::read_to_string(&policy).unwrap(),
        "set bad = { 10.0.0.0/8 }\n\ndrop when ip src in bad\npass when ip and tcp dst port 22\ndrop when ip\n"
    );
    assert_eq!(said(&["fmt", "--check", policy.to_str().unwrap()], ""), "");
}

#[test]
fn the_document_tells_all_of_it() {
    let input = [SETS, TABLES].concat();
    let output = run(&["import", "-", "--json"], &input);
    assert_eq!(output.status.code(), Some(1));
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&document["version"], &document["format"], &document["policy"]),
        (&1.into(), &"iptables".into(), &Value::Null)
    );
    assert_eq!(document["left_out"].as_array().unwrap().len(), 1, "{document}");
    assert_eq!(document["left_out"][0]["line"], 7);
    let document: Value = serde_json::from_str(&said(&["import", "-", "--json", "--partial"], &input)).unwrap();
    assert_eq!((&document["rules"], &document["sets"]), (&3.into(), &1.into()));
    assert!(document["policy"].as_str().unwrap().starts_with("set bad = "), "{document}");
    assert!(document["notes"][0].as_str().unwrap().contains("lo"), "{document}");
}

#[test]
fn each_format_is_recognised() {
    let folder = Folder::new();
    let nft = r#"{"nftables": [{"chain": {"family": "ip", "table": "t", "name": "c", "hook": "input"}},
        {"rule": {"family": "ip", "table": "t", "chain": "c", "handle": 1, "expr": [{"drop": null}]}}]}"#;
    for (input, expected) in [
        ("@1.2.3.4/32 0.0.0.0/0 0 : 65535 0 : 65535 0x00/0x00\n", "pass when ip src host 1.2.3.4\n"),
        ("*filter\n:INPUT ACCEPT\n-A INPUT -j DROP\n", "drop when ip\n"),
        (nft, "drop when ip\n"),
        ("create web bitmap:port range 0-9\nadd web 8\n", "set web = { 8 }\n\npass when dst port in web\n"),
        ("# mine\n10.0.0.0/8\n", "set list = { 10.0.0.0/8 }\n\npass when src in list\n"),
    ] {
        assert_eq!(said(&["import", "-", "--verdict", "pass"], input), expected);
    }
    let list = folder.file("office.txt", "");
    assert_eq!(said(&["import", &list, "--format", "cidr"], ""), "set office = {}\n\ndrop when src in office\n");
    assert!(
        said(&["import", "-", "--on", "eth7"], "*filter\n-A INPUT -i eth7 -j DROP\n:INPUT ACCEPT\n")
            .contains("drop when ip")
    );
}

#[test]
fn what_cannot_be_read_is_told() {
    for (words, input, said) in [
        (&["import", "/no/such"][..], "", "there is no folder /no"),
        (&["import", "tests/imports.rs"], "", "did you mean import.rs"),
        (&["import", "-"], "what is this\n", "the standard input: recognise the format"),
        (&["import", "-", "--chain", "X"], "*filter\n:INPUT ACCEPT\n", "there are: filter/INPUT"),
        (&["import", "-", "--chain", "X"], "*filter\n:INPUT ACCEPT\n", "--chain TABLE/CHAIN FILE"),
        (&["import", "-"], "{\"nftables\": [{\"metainfo\": {\"json_schema_version\": 1}}]}", "there are none"),
        (&["import", "-"], "table inet x {\n", "nft -j list ruleset"),
    ] {
        let output = run(words, input);
        let errors = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{errors}");
        assert!(errors.contains(said), "{errors}");
    }
}

/// Random chains, in iptables and as a policy, on the same packets.
#[test]
fn root_the_kernel_agrees_with_policies_imported_from_iptables() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/imported-iptables");
    let output = Command::new(script).args([env!("CARGO_BIN_EXE_xdpilot"), "8"]).output().unwrap();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    assert_eq!(text(&output.stdout).lines().count(), 8);
}

/// Ten thousand rules are not waited for.
#[test]
fn large_rule_files_are_read() {
    let line = |number: u32| {
        let address = std::net::Ipv4Addr::from_bits(0x0a00_0000 + number * 7);
        format!("@{address}/32\t{address}/24\t0 : 65535\t{0} : {0}\t0x06/0xFF\t0x0000/0x0200\t\r\n", number % 65536)
    };
    let rules: String = (0..10_000).map(line).collect();
    let begun = std::time::Instant::now();
    let policy = said(&["import", "-"], &rules);
    assert_eq!(policy.lines().count(), 10_000);
    // A tenth of it on an idle machine with an optimised build.
    assert!(begun.elapsed().as_secs_f64() < 1.0, "{:?}", begun.elapsed());
}
