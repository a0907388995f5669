//! Who may do what.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::agent::{Agent, command};
use crate::command::{XDPILOT, tool};
use crate::curl::Curl;
use crate::net::Pair;

const READ: &str = "read-0123456789abcdef";
const WRITE: &str = "write-0123456789abcdef";

/// An agent that listens for others, too.
struct Listening {
    agent: Agent,
    port: u16,
}

/// A folder with certificates and tokens.
fn folder() -> TempDir {
    let folder = tempfile::Builder::new().prefix("xpa").tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_string();
    let names = "-subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1";
    tool(&format!(
        "openssl req -x509 -newkey rsa:2048 -nodes -keyout {} -out {} -days 2 {names}",
        at("key"),
        at("cert")
    ));
    let hash =
        Command::new("sh").args(["-c", &format!("printf %s {WRITE} | sha256sum | cut -c -64")]).output().unwrap();
    let hash = String::from_utf8(hash.stdout).unwrap();
    fs::write(at("tokens"), format!("# of the test\nread reader {READ}\nwrite writer sha256:{hash}")).unwrap();
    for secret in ["key", "tokens"] {
        fs::set_permissions(at(secret), fs::Permissions::from_mode(0o600)).unwrap();
    }
    folder
}

fn words(folder: &Path, port: u16) -> Vec<String> {
    let at = |name: &str| folder.join(name).to_str().unwrap().to_string();
    let listen = format!("127.0.0.1:{port}");
    ["--listen", &listen, "--tls-cert", &at("cert"), "--tls-key", &at("key"), "--tokens", &at("tokens")]
        .map(ToString::to_string)
        .to_vec()
}

/// A port that nobody has now.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Listening {
    fn start() -> Listening {
        let (folder, port) = (folder(), free_port());
        let words = words(folder.path(), port);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        Listening { agent: Agent::start_in(folder, &words), port }
    }

    fn curl(&self) -> Curl {
        Curl::tls(self.port, &self.cert())
    }

    fn cert(&self) -> PathBuf {
        self.agent.path("cert")
    }
}

/// All requests that the description knows, with bodies that would change something, and whether they are writes.
fn requests(agent: &Agent) -> Vec<(String, String, bool)> {
    let description = agent.get("/v1/openapi.json");
    let mut requests = Vec::new();
    for (path, methods) in description["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap().iter().filter(|(key, _)| *key != "parameters") {
            let path = path.replace("{kind}", "policy").replace("{name}", "edge");
            requests.push((method.to_uppercase(), path, operation["responses"].get("403").is_some()));
        }
    }
    requests
}

fn request(curl: Curl, method: &str, path: &str) -> Curl {
    let edits = json!({"edits": [{"kind": "policy", "name": "edge", "delete": true}]}).to_string();
    match (method, path) {
        ("POST", _) => curl.post(&edits),
        ("PUT", _) => curl.put("policy edge { pass }"),
        // A stream has no end: its head is enough.
        ("GET", "/v1/events") => curl.with(&["-I", "-X", "HEAD"]),
        (method, _) => curl.method(method),
    }
}

#[test]
fn root_without_a_token_nothing_is_told_and_with_a_read_token_nothing_changed() {
    let (pair, listening) = (Pair::new(), Listening::start());
    let agent = &listening.agent;
    agent.put("policy/edge", "policy edge { drop when udp }");
    agent.put("attachment/edge", &pair.target());
    agent.settle();
    let (program, documents) = (pair.xdp().unwrap(), agent.get("/v1/documents"));
    let requests = requests(agent);
    assert!(requests.len() >= 16 && requests.iter().filter(|(_, _, writes)| *writes).count() == 5, "{requests:?}");
    let nobody = [
        listening.curl(),
        listening.curl().token("read-0123456789abcdeX"),
        listening.curl().token(""),
        listening.curl().header("Authorization: Basic cmVhZGVyOg=="),
        listening.curl().header(&format!("Authorization: {READ}")),
        listening.curl().header("xdpilot-user: root"),
    ];
    for (method, path, writes) in &requests {
        for curl in &nobody {
            let answer = request(curl.clone(), method, path).ask(path);
            assert_eq!((answer.status, answer.body.as_str()), (401, ""), "{method} {path}");
            assert!(!answer.head.contains("allow:"), "{}", answer.head);
        }
        let answer = request(listening.curl().token(READ), method, path).ask(path);
        if *writes {
            assert!(answer.error(403).contains("reader"), "{method} {path}");
        } else {
            assert_eq!(answer.status, 200, "{method} {path}: {answer:?}");
        }
    }
    for path in ["/", "/v1/nothing", "/v1/documents/policy/edge/x"] {
        assert_eq!(listening.curl().ask(path).status, 401);
    }
    assert_eq!(agent.get("/v1/documents"), documents);
    pair.assert_dropped();
    assert_eq!(pair.xdp(), Some(program));

    listening.curl().token(WRITE).method("DELETE").ask("/v1/documents/attachment/edge").ok();
    agent.settle();
    assert_eq!(pair.xdp(), None);
    listening
        .curl()
        .token(WRITE)
        .header("xdpilot-user: root")
        .put("policy edge { pass }")
        .ask("/v1/documents/policy/edge")
        .ok();
    assert_eq!(agent.get("/v1/documents/policy/edge")["by"], "writer");
}

#[test]
fn root_without_tls_nothing_is_told() {
    let listening = Listening::start();
    let mut stream = TcpStream::connect(("127.0.0.1", listening.port)).unwrap();
    let request = format!("GET /v1/status HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {WRITE}\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    // The connection may be reset.
    _ = stream.read_to_end(&mut answer);
    assert!(!String::from_utf8_lossy(&answer).contains("HTTP"), "{answer:?}");
    listening.curl().token(READ).ask("/healthz").ok();
}

#[test]
fn root_the_socket_is_roots() {
    let agent = Agent::start();
    let socket = agent.socket();
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    let nobody = |path: &str| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "curl", "-sS", "--unix-socket"]);
        let output = command.arg(&socket).arg(format!("http://agent{path}")).output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    assert_eq!(nobody("/healthz"), (false, String::new()));
    // Whatever became of the modes, others are not answered.
    fs::set_permissions(agent.state.path(), fs::Permissions::from_mode(0o777)).unwrap();
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o777)).unwrap();
    assert_eq!(nobody("/healthz"), (false, String::new()));
    agent.get("/healthz");
}

#[test]
fn root_wrong_files_are_refused_at_the_begin() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    let refused = |words: &[String]| {
        let output = command(folder.path()).args(words).stderr(std::process::Stdio::piped()).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    let words = words(folder.path(), free_port());
    assert!(refused(&words[..2]).contains("--tls-cert"));
    assert!(refused(&words[..6]).contains("--tokens"));
    for secret in ["tokens", "key"] {
        fs::set_permissions(at(secret), fs::Permissions::from_mode(0o644)).unwrap();
        let told = refused(&words);
        assert!(told.contains("others than its owner may read it") && told.contains(secret), "{told}");
        fs::set_permissions(at(secret), fs::Permissions::from_mode(0o600)).unwrap();
    }
    let other = self::folder();
    fs::copy(other.path().join("key"), at("key")).unwrap();
    assert!(refused(&words).contains("cert"), "a key of other certificates");
    fs::write(at("cert"), "nothing").unwrap();
    assert!(refused(&words).contains("there is no certificate in it"));
    fs::write(at("tokens"), "write me short").unwrap();
    assert!(refused(&words).contains("line 1"));
    assert!(!folder.path().join("agent.sock").exists());
    let help = Command::new(XDPILOT).args(["agent", "--help"]).output().unwrap();
    assert!(String::from_utf8_lossy(&help.stdout).contains("--listen 0.0.0.0:9443"));
}

/// An answer of the API that a token gives is the one that root gets.
#[test]
fn root_tokens_see_what_root_sees() {
    let listening = Listening::start();
    let status: Value = listening.curl().token(READ).ask("/v1/status").ok();
    assert_eq!(status, listening.agent.get("/v1/status"));
}
