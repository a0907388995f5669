//! Users, passwords and roles.

use std::time::{Duration, Instant};

use xdpilot::store::etcd::Cluster;
use xdpilot::store::etcd::access::Access;
use xdpilot::store::{Address, Etcd, News, Store};
use xdpilot_core::error::Kind;

use crate::folder::Folder;
use crate::member::Member;
use crate::place::{LONG, changes_until, done, eventually, next, put};
use crate::tls::openssl;

fn etcd(member: &Member, prefix: &str) -> Etcd {
    match format!("etcd://{}/{prefix}", member.client).parse().unwrap() {
        Address::Etcd(etcd) => etcd,
        Address::Embedded(path) => panic!("{path:?}"),
    }
}

fn user(name: &str, password: &str) -> Access {
    Access { user: Some((name.into(), password.into())), ..Access::default() }
}

fn open(member: &Member, prefix: &str, access: &Access) -> Cluster {
    Cluster::open(&etcd(member, prefix), access).unwrap()
}

/// A member with the users `root`, `edge` (all below `fleet/`) and `reader` (reads it).
fn with_users(words: &[&str]) -> Member {
    let member = Member::start(words);
    let store = open(&member, "fleet", &Access::default());
    eventually(|| store.list(""));
    for words in [
        &["user", "add", "root:secret0"][..],
        &["user", "grant-role", "root", "root"],
        &["role", "add", "edge"],
        &["role", "grant-permission", "edge", "--prefix=true", "readwrite", "fleet/"],
        &["role", "add", "reader"],
        &["role", "grant-permission", "reader", "--prefix=true", "read", "fleet/"],
        &["user", "add", "edge:secret1"],
        &["user", "grant-role", "edge", "edge"],
        &["user", "add", "reader:secret2"],
        &["user", "grant-role", "reader", "reader"],
        &["auth", "enable"],
    ] {
        // etcd 3.4 knows no role of this name before.
        if words == ["user", "grant-role", "root", "root"] {
            member.ctl(&["role", "add", "root"]);
        }
        member.ctl(words);
    }
    member
}

#[test]
fn roles_are_limited_to_a_prefix() {
    let member = with_users(&[]);
    let edge = open(&member, "fleet", &user("edge", "secret1"));
    let begin = edge.list("").unwrap().revision;
    let mut watch = edge.watch("", begin).unwrap();
    let last = done(&edge, &[put("a", "1")]);
    assert_eq!(changes_until(&mut *watch, last), [put("a", "1")]);
    edge.announce("node", b"", Duration::from_secs(5)).unwrap();
    edge.announce("node", b"", Duration::from_secs(5)).unwrap();

    let reader = open(&member, "fleet", &user("reader", "secret2"));
    assert_eq!(reader.get("a").unwrap().unwrap().value, b"1");
    drop(reader.watch("", last).unwrap());
    let other = open(&member, "other", &user("edge", "secret1"));
    let nobody = open(&member, "fleet", &Access::default());
    let wrong = open(&member, "fleet", &user("edge", "secret2"));
    for (error, words, mend) in [
        (reader.commit(&[], &[put("a", "2")]).map(drop), "permission denied", "grant-permission ROLE --prefix=true"),
        (other.list("").map(drop), "permission denied", "readwrite other/"),
        (other.get("a").map(drop), "permission denied", "readwrite other/"),
        (other.commit(&[], &[put("a", "2")]).map(drop), "permission denied", "readwrite other/"),
        (other.watch("", 0).map(drop), "permission denied", "readwrite other/"),
        (nobody.list("").map(drop), "user name is empty", "XDPILOT_STORE_USER"),
        (wrong.list("").map(drop), "invalid user ID or password", "XDPILOT_STORE_USER"),
    ] {
        let error = error.unwrap_err();
        assert_eq!(error.kind(), Kind::NotPermitted, "{error}");
        let text = error.to_string();
        assert!(text.contains(words) && text.contains(mend) && !text.contains("secret"), "{text}");
    }
    assert_eq!(edge.get("a").unwrap().unwrap().revision, last);
}

/// Tokens of etcd's simple kind are in the member's memory.
#[test]
fn a_member_that_forgot_its_users_is_told_again() {
    let member = with_users(&[]);
    let edge = open(&member, "fleet", &user("edge", "secret1"));
    let begin = edge.list("").unwrap().revision;
    let mut watch = edge.watch("", begin).unwrap();
    member.kill();
    member.run();
    eventually(|| edge.list(""));
    let last = done(&edge, &[put("a", "1")]);
    loop {
        match next(&mut *watch) {
            News::Away(_) | News::Back => {}
            news => break assert_eq!(news, News::Changes { revision: last, changes: vec![put("a", "1")] }),
        }
    }
}

#[test]
fn expired_tokens_are_renewed() {
    let folder = Folder::new();
    let (key, public) = (folder.path("key"), folder.path("public"));
    openssl(&["genrsa", "-out", key.to_str().unwrap(), "2048"]);
    openssl(&["rsa", "-in", key.to_str().unwrap(), "-pubout", "-out", public.to_str().unwrap()]);
    let token = format!("jwt,pub-key={},priv-key={},sign-method=RS256,ttl=2s", public.display(), key.display());
    let member = with_users(&["--auth-token", &token]);
    let edge = open(&member, "fleet", &user("edge", "secret1"));
    let begin = Instant::now();
    let mut number = 0;
    while begin.elapsed() < Duration::from_secs(6) {
        number += 1;
        done(&edge, &[put("a", number.to_string())]);
        edge.list("").unwrap();
        edge.announce("node", number.to_string().as_bytes(), Duration::from_secs(5)).unwrap();
        drop(edge.watch("", 0).unwrap());
    }
    // The first thing that an expired token is used for is a watch.
    std::thread::sleep(Duration::from_millis(2500));
    let mut watch = edge.watch("", 0).unwrap();
    assert!(matches!(watch.next(LONG), Some(News::Changes { .. })));
}

/// Users can be given before etcd asks for them.
#[test]
fn users_are_known_where_etcd_begins_to_ask() {
    let member = Member::start(&[]);
    let edge = open(&member, "fleet", &user("edge", "secret1"));
    eventually(|| edge.list(""));
    done(&edge, &[put("a", "1")]);
    for words in [
        &["user", "add", "root:secret0"][..],
        &["role", "add", "root"],
        &["user", "grant-role", "root", "root"],
        &["user", "add", "edge:secret1"],
        &["user", "grant-role", "edge", "root"],
        &["auth", "enable"],
    ] {
        member.ctl(words);
    }
    assert_eq!(edge.get("a").unwrap().unwrap().value, b"1");
}
