//! The stage with a real container: Docker runs this very program as the server, the client is the host.
//!
//! The Engine API is spoken as HTTP/1.0, where an answer ends with its connection. The image is empty;
//! the program, and the libraries of a build that is not static, are mounted into it.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Shutdown};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use xdpilot_core::error::{Error, Result};
use xdpilot_kernel::namespace::Namespace;

use super::leftovers;
use super::stage::Stage;
use super::tool;
use crate::engine::{Client, Engine};

/// How long the engine may think about one request.
const PATIENCE: Duration = Duration::from_secs(30);
/// Where programs find their libraries.
const LIBRARIES: [&str; 3] = ["/lib", "/lib64", "/usr/lib"];
/// What most requests carry.
const JSON: &str = "application/json";
/// A tar archive of nothing: two blocks of zeros.
const NOTHING: [u8; 1024] = [0; 1024];

/// Makes an image and a container of this process's own, and starts it.
///
/// Errors: the engine is not there or refuses. What was made until then is for [`remove`] to clean.
pub(super) fn in_container(pid: u32) -> Result<Stage> {
    let name = leftovers::name(pid);
    let program = std::env::current_exe()
        .map_err(|error| Error::failed("find the program that runs").kernel(error.to_string()))?;
    let libraries = LIBRARIES.iter().filter(|path| Path::new(path).is_dir()).map(|path| format!("{path}:{path}:ro"));
    let mounts: Vec<String> = libraries.chain([format!("{}:/xdpilot:ro", program.display())]).collect();
    let container = json!({
        "Image": name,
        "Cmd": ["/xdpilot", "demo", "serve"],
        "HostConfig": { "Binds": mounts },
    });
    ask("POST", &format!("/images/create?fromSrc=-&repo={name}"), "application/x-tar", &NOTHING)?;
    let body = container.to_string();
    ask("POST", &format!("/containers/create?name={name}"), JSON, body.as_bytes())?;
    ask("POST", &format!("/containers/{name}/start"), JSON, b"")?;
    let about = ask("GET", &format!("/containers/{name}/json"), JSON, b"")?;
    let address = about["NetworkSettings"]["Networks"]["bridge"]["IPAddress"].as_str().unwrap_or_default();
    let server: IpAddr = address.parse().map_err(|_| {
        Error::failed(format!("find the address of container {name}"))
            .cause("it has none on Docker's default bridge")
            .mend(format!("docker logs {name}"))
    })?;
    Ok(Stage { server, client: Namespace::current()?, target: target(&name), _servers: None })
}

/// The container's own end of its wire.
fn target(name: &str) -> String {
    format!("docker:{name}")
}

/// Removes the container and the image of the demo with this process id, where there are such.
///
/// Errors: the engine refuses; the rest was still tried.
pub(super) fn remove(pid: u32) -> Result<()> {
    let name = leftovers::name(pid);
    let container = if containers()?.contains(&name) { remove_container(&name) } else { Ok(()) };
    if images()?.contains(&name) {
        container.and(ask("DELETE", &format!("/images/{name}?force=1"), JSON, b"").map(drop))
    } else {
        container
    }
}

fn remove_container(name: &str) -> Result<()> {
    // A program's pin outlives its interface. Most often nothing is there.
    let _ = tool::run_undisturbed(&["unload", "--on", &target(name)]);
    ask("DELETE", &format!("/containers/{name}?force=1&v=1"), JSON, b"").map(drop)
}

/// Removes what demos left in Docker that are not running any more.
///
/// Errors: as those of [`remove`].
pub(super) fn remove_of_the_dead() -> Result<()> {
    leftovers::dead(containers()?.into_iter().chain(images()?)).into_iter().try_for_each(remove)
}

/// The names of all containers, also of stopped ones.
fn containers() -> Result<Vec<String>> {
    let all = ask("GET", "/containers/json?all=1", JSON, b"")?;
    let names = all.as_array().into_iter().flatten().filter_map(|one| one["Names"][0].as_str());
    Ok(names.map(|name| name.trim_start_matches('/').to_owned()).collect())
}

/// The names of all images that are tagged as imported ones are.
fn images() -> Result<Vec<String>> {
    let all = ask("GET", "/images/json", JSON, b"")?;
    let tags = all.as_array().into_iter().flatten().filter_map(|one| one["RepoTags"][0].as_str());
    Ok(tags.filter_map(|tag| tag.strip_suffix(":latest")).map(str::to_owned).collect())
}

/// Asks the engine, and returns the JSON that it answers (the last line of a stream of progress; null for none).
fn ask(method: &str, path: &str, kind: &str, body: &[u8]) -> Result<Value> {
    let client = Client::connect(Engine::Docker)?;
    let answer = exchange(client.socket(), method, path, kind, body).map_err(|error| {
        Error::failed(format!("ask Docker at {} for {path}", client.socket().display())).kernel(error.to_string())
    })?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let value = body.lines().rev().find_map(|line| serde_json::from_str::<Value>(line).ok()).unwrap_or(Value::Null);
    let status = head.split_whitespace().nth(1).and_then(|code| code.parse::<i32>().ok()).unwrap_or_default();
    let words = value["message"].as_str().or(value["error"].as_str());
    match (status, words) {
        (200..=299, None) => Ok(value),
        _ => Err(Error::failed(format!("ask Docker: {method} {path}"))
            .kernel(format!("{status}: {}", words.unwrap_or_default()))),
    }
}

/// One request on a connection of its own: the whole answer.
fn exchange(socket: &Path, method: &str, path: &str, kind: &str, body: &[u8]) -> io::Result<String> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    write!(
        stream,
        "{method} {path} HTTP/1.0\r\nHost: docker\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    )?;
    stream.write_all(body)?;
    stream.shutdown(Shutdown::Write)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
