//! Questions to a fake engine.

use xdpilot_core::error::Kind;

use super::super::fake::Fake;
use super::*;

fn details(id: &str, name: &str, status: &str, pid: i64) -> String {
    format!(r#"{{"Id":"{id}","Name":"{name}","Extra":[1],"State":{{"Status":"{status}","Pid":{pid}}}}}"#)
}

/// Two that run (one without the slash, as Podman may send it), one that ended since the list, one that has exited.
fn engine() -> Fake {
    let all = r#"[{"Id":"a1","Names":["/web","/db/alias"]},{"Id":"b2","Names":["api"]},{"Id":"c3","Names":null},
        {"Id":"d4","Names":["/old"]}]"#;
    Fake::serve(vec![
        ("/containers/json", 200, all.to_owned()),
        ("/containers/json?all=true", 200, all.to_owned()),
        ("/containers/a1/json", 200, details("a1", "/web", "running", 41)),
        ("/containers/web/json", 200, details("a1", "/web", "running", 41)),
        ("/containers/b2/json", 200, details("b2", "api", "paused", 42)),
        ("/containers/d4/json", 200, details("d4", "/old", "exited", 0)),
        ("/containers/old/json", 200, details("d4", "/old", "exited", 0)),
        ("/containers/twice/json", 400, r#"{"message":"multiple IDs found with provided prefix: twice"}"#.to_owned()),
        ("/containers/broken/json", 200, r#"{"Id":7}"#.to_owned()),
        ("/containers/words/json", 500, "no JSON".to_owned()),
    ])
}

fn find(name: &str) -> Result<Container> {
    let fake = engine();
    Client::at(Engine::Docker, fake.socket()).find(name)
}

#[test]
fn running_containers_are_listed_by_name_with_their_pids() {
    let fake = engine();
    let list = Client::at(Engine::Podman, fake.socket()).list().unwrap();
    let found: Vec<_> = list.iter().map(|c| (c.name.as_str(), c.id.as_str(), c.pid, c.engine)).collect();
    assert_eq!(found, [("api", "b2", 42, Engine::Podman), ("web", "a1", 41, Engine::Podman)]);
}

#[test]
fn a_container_is_found_by_name_and_by_id() {
    assert_eq!(find("web").unwrap(), find("a1").unwrap());
    assert_eq!(find("web").unwrap().pid, 41);
}

#[test]
fn a_wrong_name_lists_near_names() {
    let error = find("wbe").unwrap_err();
    assert_eq!(error.kind(), Kind::Usage);
    assert_eq!(error.cause_text(), Some("near names are: web"));
    assert_eq!(error.mend_text(), Some("docker ps --all"));
    assert_eq!(find("zzz").unwrap_err().cause_text(), None);
}

#[test]
fn names_that_would_change_the_request_are_not_sent() {
    for name in ["", "a/../b", "a?b", "a b", "a\r\nX: y", "%61", "-a", "é"] {
        let error = find(name).unwrap_err();
        assert_eq!(error.kind(), Kind::Usage);
        assert!(error.cause_text().unwrap().contains("only letters"), "{error}");
    }
}

#[test]
fn a_container_that_does_not_run_is_said_to_be_so() {
    let error = find("old").unwrap_err();
    assert_eq!(error.cause_text(), Some("it exists but is not running (it is exited)"));
    assert_eq!(error.mend_text(), Some("docker start old"));
}

#[test]
fn the_engines_own_words_are_passed_on() {
    for (name, words) in [("twice", "400: multiple IDs found"), ("words", "500: no JSON"), ("broken", "Engine API")] {
        let error = find(name).unwrap_err();
        assert_eq!(error.kind(), Kind::Failed);
        assert!(error.cause_text().unwrap().contains(words), "{error}");
    }
}

#[test]
fn an_engine_that_is_gone_is_answered_with_its_start() {
    let socket = engine().socket();
    let error = Client::at(Engine::Docker, socket).list().unwrap_err();
    assert_eq!(error.mend_text(), Some("systemctl start docker"));
}
