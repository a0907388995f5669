//! Words that are targets, words that are not, and the way back.

use proptest::prelude::*;
use xdpilot_core::error::Kind;

use super::*;

fn interface(name: &str) -> IfName {
    name.parse().unwrap()
}

#[test]
fn each_form_is_parsed() {
    let container = |engine, interface| Target::Container { engine, name: "web-1".into(), interface };
    for (words, target) in [
        ("eth0", Target::Interface(interface("eth0"))),
        ("docker", Target::Interface(interface("docker"))),
        ("docker:web-1", container(Engine::Docker, None)),
        ("podman:web-1/eth1", container(Engine::Podman, Some(interface("eth1")))),
        ("netns:blue moon/veth0", Target::Netns { name: "blue moon".into(), interface: interface("veth0") }),
        ("pid:1", Target::Pid { pid: 1, interface: None }),
        ("pid:4194304/all", Target::Pid { pid: PID_MAX, interface: Some(interface("all")) }),
        ("all", Target::All),
    ] {
        assert_eq!(words.parse::<Target>().unwrap(), target);
        assert_eq!(target.to_string(), words);
    }
}

#[test]
fn errors_say_what_was_expected() {
    for (words, part) in [
        ("", "it is empty"),
        ("eth0 ", "' '"),
        ("docker:", "docker:NAME[/IFACE] was expected"),
        ("docker:/eth0", "docker:NAME[/IFACE] was expected"),
        ("podman:a b", "podman:NAME[/IFACE] was expected"),
        ("docker:web/", "it is empty"),
        ("docker:web/eth0/x", "'/'"),
        ("netns:blue", "netns:NAME/IFACE was expected"),
        ("netns:../eth0", "netns:NAME/IFACE was expected"),
        ("netns:/eth0", "netns:NAME/IFACE was expected"),
        ("pid:", "pid:N[/IFACE] was expected"),
        ("pid:0", "N from 1"),
        ("pid:+5", "N from 1"),
        ("pid:-5", "N from 1"),
        ("pid:4194305", "N from 1"),
        ("pid:99999999999999999999", "N from 1"),
        ("blue/eth0", "perhaps netns:blue/eth0 was meant"),
        ("dokcer:web", "perhaps docker:web was meant"),
        ("lxc:web", "IFACE, docker:NAME[/IFACE]"),
    ] {
        let error = words.parse::<Target>().unwrap_err();
        assert_eq!(error.kind(), Kind::Usage);
        assert!(error.to_string().contains(part), "{part} is not in: {error}");
        assert!(error.what().starts_with("target '"), "{error}");
    }
}

fn any_interface() -> impl Strategy<Value = IfName> {
    "[^/:\\s\0]{1,15}".prop_filter_map("kernel's rules", |name| name.parse().ok())
}

fn any_target() -> impl Strategy<Value = Target> {
    let inside = || proptest::option::of(any_interface());
    let engine = prop_oneof![Just(Engine::Docker), Just(Engine::Podman)];
    prop_oneof![
        Just(Target::All),
        any_interface().prop_filter("that word is taken", |name| name.as_str() != "all").prop_map(Target::Interface),
        (engine, "[a-zA-Z0-9][a-zA-Z0-9_.-]{0,40}", inside()).prop_map(|(engine, name, interface)| Target::Container {
            engine,
            name,
            interface
        }),
        ("[^/\0.][^/\0]{0,20}", any_interface()).prop_map(|(name, interface)| Target::Netns { name, interface }),
        (1..=PID_MAX, inside()).prop_map(|(pid, interface)| Target::Pid { pid, interface }),
    ]
}

proptest! {
    #[test]
    fn what_is_printed_parses_to_the_same(target in any_target()) {
        prop_assert_eq!(target.to_string().parse::<Target>().unwrap(), target);
    }

    #[test]
    fn any_words_end_in_a_target_or_an_error(words in "(docker:|podman:|netns:|pid:|)\\PC{0,30}") {
        if let Ok(target) = words.parse::<Target>() {
            prop_assert_eq!(target.to_string().parse::<Target>().unwrap(), target);
        }
    }
}
