//! Requests and documents that nobody should send or store.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use serde_json::json;
use xdpilot::store::embedded::Embedded;
use xdpilot::store::{Change, Store};

use crate::agent::Agent;
use crate::net::Pair;

/// Numbers that are the same each time.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }
}

/// Sends bytes, and takes what comes back until the agent closes.
fn throw(agent: &Agent, bytes: &[u8]) -> Vec<u8> {
    let mut stream = UnixStream::connect(agent.socket()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    // It may close before it has read all.
    _ = stream.write_all(bytes);
    _ = stream.shutdown(Shutdown::Write);
    let mut answer = Vec::new();
    _ = stream.read_to_end(&mut answer);
    answer
}

const SEEDS: [&str; 8] = [
    "GET /v1/documents/set/bad HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    "PUT /v1/documents/set/bad HTTP/1.1\r\nHost: a\r\nContent-Length: 22\r\nIf-Match: \"77\"\r\n\r\nset bud = { 10.0.0.1 }",
    "POST /v1/commit HTTP/1.1\r\nHost: a\r\nContent-Length: 64\r\n\r\n{\"edits\":[{\"kind\":\"set\",\"name\":\"bud\",\"delete\":true,\"version\":77}]",
    "POST /v1/diff HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nc\r\n{\"edits\":[]}\r\n0\r\n\r\n",
    "DELETE /v1/documents/policy/none HTTP/1.1\r\nHost: a\r\nIf-Match: \"77\"\r\n\r\n",
    "GET /v1/documents?kind=set&version=%ff HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    "GET /metrics HTTP/1.0\r\nAuthorization: Bearer x\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nUpgrade: h2c\r\nConnection: close\r\n\r\n",
];

/// Pieces that parsers stumble over.
const PIECES: [&[u8]; 12] = [
    b"\r\n",
    b"\n\n",
    b"\0",
    b"\xff\xfe",
    b"%2e%2e%2f",
    b"Content-Length: 99999999999999999999\r\n",
    b"Content-Length: -1\r\n",
    b"Transfer-Encoding: chunked, chunked\r\n",
    b"ffffffffffffffff\r\n",
    b"[[[[[[[[[[[[[[[[",
    b"{\"edits\":",
    b" HTTP/9.9",
];

fn mutated(random: &mut Random) -> Vec<u8> {
    let mut bytes = SEEDS[random.below(SEEDS.len())].as_bytes().to_vec();
    for _ in 0..=random.below(6) {
        let at = random.below(bytes.len() + 1);
        match random.below(5) {
            0 if at < bytes.len() => bytes[at] = random.next() as u8,
            1 => bytes.truncate(at),
            2 => drop(bytes.splice(at..at, PIECES[random.below(PIECES.len())].iter().copied())),
            3 => drop(bytes.splice(at..at, SEEDS[random.below(SEEDS.len())].bytes())),
            _ => {
                let end = (at + random.below(16)).min(bytes.len());
                bytes.drain(at..end);
            }
        }
    }
    bytes
}

#[test]
fn root_mutated_requests_neither_end_the_agent_nor_change_anything() {
    let (pair, mut agent) = (Pair::new(), Agent::start());
    agent.put("set/bad", "set bad = { 192.0.2.1 }");
    agent.put("policy/edge", "policy edge { drop when udp; drop when src in bad }");
    agent.put("attachment/edge", &pair.target());
    agent.settle();
    let (program, documents) = (pair.xdp(), agent.get("/v1/documents"));
    let mut random = Random(0x0dd0_1e57_ab1e_5eed);
    for round in 0..4000 {
        let bytes = mutated(&mut random);
        let answer = throw(&agent, &bytes);
        let text = String::from_utf8_lossy(&answer);
        assert!(answer.is_empty() || text.starts_with("HTTP/1."), "{round}: {text}");
        assert!(!text.starts_with("HTTP/1.1 500"), "{round}: {}\n{text}", String::from_utf8_lossy(&bytes));
    }
    for round in 0..500 {
        let bytes: Vec<u8> = (0..random.below(4096)).map(|_| random.next() as u8).collect();
        let answer = throw(&agent, &bytes);
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 400"), "{round}");
    }
    agent.assert_alive();
    assert!(!agent.log().contains("panicked"), "{}", agent.log());
    // No seed would be made as it is, and what these mutations make of them would not either.
    assert_eq!(agent.get("/v1/documents"), documents);
    assert_eq!(pair.xdp(), program);
    pair.assert_dropped();
}

#[test]
fn root_what_is_too_long_is_refused() {
    let mut agent = Agent::start();
    let file = agent.path("long");
    std::fs::write(&file, vec![b' '; (64 << 20) + 1]).unwrap();
    let body = format!("@{}", file.display());
    let error = agent.curl().with(&["-T", file.to_str().unwrap()]).ask("/v1/documents/set/bad").error(413);
    assert!(error.contains("64 MiB"), "{error}");
    agent.curl().header("Transfer-Encoding: chunked").post(&body).ask("/v1/commit").error(413);
    let head = format!("GET /healthz HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(1 << 20));
    assert!(throw(&agent, head.as_bytes()).starts_with(b"HTTP/1.1 431"));
    let head = format!("GET /healthz HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(1000));
    assert!(throw(&agent, head.as_bytes()).starts_with(b"HTTP/1.1 431"));
    let deep = format!("{{\"edits\":{}", "[".repeat(100_000));
    let path = agent.path("deep");
    std::fs::write(&path, deep).unwrap();
    agent.curl().post(&format!("@{}", path.display())).ask("/v1/commit").error(400);
    agent.assert_alive();
}

#[test]
fn root_who_says_nothing_is_sent_away() {
    let mut agent = Agent::start();
    let begin = Instant::now();
    let mut idle: Vec<UnixStream> = (0..140).map(|_| UnixStream::connect(agent.socket()).unwrap()).collect();
    for stream in &mut idle {
        stream.write_all(b"GET /healthz HT").unwrap();
    }
    // Until their time is over nobody else gets in; then somebody does.
    agent.get("/healthz");
    assert!(begin.elapsed() < Duration::from_secs(30));
    agent.assert_alive();
}

#[test]
fn root_garbage_in_the_store_is_named_and_the_rest_goes_on() {
    let pair = Pair::new();
    let state = tempfile::Builder::new().prefix("xpa").tempdir().unwrap();
    let mut deep = b"{\"schema\":1,\"x\":".to_vec();
    deep.extend(vec![b'['; 100_000]);
    let garbage: [(&str, &[u8]); 12] = [
        ("documents/policy/broken", b"policy broken { drop when when }"),
        ("documents/policy/binary", b"\x00\xff\xfe\x01"),
        ("documents/policy/future", b"{\"schema\":99}"),
        ("documents/policy/other", b"policy another { drop when udp }"),
        ("documents/set/deep", &deep),
        (
            "documents/set/pieces",
            b"{\"schema\":1,\"version\":1,\"changed\":0,\"by\":\"\",\"elements\":3,\"pieces\":[\"../../x\"]}",
        ),
        (
            "documents/policy/elements",
            b"{\"schema\":1,\"version\":1,\"changed\":0,\"by\":\"\",\"elements\":3,\"pieces\":[]}",
        ),
        ("documents/attachment/broken", b"on mars"),
        ("documents/rule/a", b"drop"),
        ("documents/policy/../../etc", b"drop"),
        ("documents/", b""),
        ("nodes/elsewhere", b"{"),
    ];
    let changes = garbage.map(|(key, value)| Change::Put { key: key.to_string(), value: value.to_vec() });
    let sound = [
        ("documents/policy/edge", "policy edge { drop when udp }".to_string()),
        ("documents/attachment/edge", pair.target()),
        // Of the faulty ones nothing is attached.
        ("documents/attachment/binary", pair.target()),
    ];
    let sound = sound.map(|(key, value)| Change::Put { key: key.to_string(), value: value.into_bytes() });
    let store = Embedded::open(&state.path().join("store.redb")).unwrap();
    store.commit(&[], &[changes.to_vec(), sound.to_vec()].concat()).unwrap();
    drop(store);

    let mut agent = Agent::start_in(state, &[]);
    let status = agent.await_status(|status| status["node"]["attached"].as_array().is_some_and(|all| !all.is_empty()));
    pair.assert_dropped();
    let refused = status["node"]["refused"].as_array().unwrap();
    let named: Vec<&str> = refused.iter().map(|one| one["document"].as_str().unwrap()).collect();
    for name in [
        "policy broken",
        "policy binary",
        "policy future",
        "policy other",
        "set deep",
        "policy elements",
        "attachment broken",
        "documents/rule/a",
        "documents/policy/../../etc",
        "documents/",
    ] {
        assert!(named.contains(&name), "{name} is not among {named:?}");
    }
    assert!(refused.iter().all(|one| !one["why"].as_str().unwrap().is_empty()));
    for path in ["/v1/documents", "/v1/nodes", "/metrics"] {
        assert_eq!(agent.curl().ask(path).status, 200, "{path}");
    }
    for (key, _) in garbage {
        let path = key.replacen("documents/", "/v1/documents/", 1);
        let status = agent.curl().with(&["--path-as-is"]).ask(&format!("/{}", path.trim_start_matches('/'))).status;
        assert!(status < 600, "{path}");
    }
    // A garbled document is mended like any other.
    agent.put("policy/broken", "policy broken { drop when tcp }");
    agent.await_status(|status| {
        let refused = status["node"]["refused"].as_array().unwrap();
        refused.iter().all(|one| one["document"] != "policy broken")
    });
    assert_eq!(agent.post("/v1/diff", &json!({})).ok()["steps"], json!([]));
    agent.assert_alive();
    assert!(!agent.log().contains("panicked"), "{}", agent.log());
}
