//! What curl gets.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};

use crate::http::big;
use crate::net::Net;
use crate::support::folder::Folder;
use crate::world::{NAMES, SERVICE, World};

/// Runs curl in a namespace.
pub(crate) fn curl(from: &Net, words: &[&str]) -> Output {
    let mut curl = Command::new("nsenter");
    curl.arg(format!("--net=/run/netns/{}", from.name));
    curl.args(["curl", "-sS", "--noproxy", "*", "--max-time", "20"]).args(words).output().unwrap()
}

/// Asks so often, each time on a connection of its own; every request must be answered. How often each page came.
#[track_caller]
pub(crate) fn pages(from: &Net, host: &str, count: u32) -> BTreeMap<String, u32> {
    let url = format!("http://{host}/?[1-{count}]");
    let output = curl(from, &["--fail", "-H", "Connection: close", &url]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut pages = BTreeMap::new();
    for page in String::from_utf8(output.stdout).unwrap().lines() {
        *pages.entry(page.to_string()).or_default() += 1;
    }
    assert_eq!(pages.values().sum::<u32>(), count, "{pages:?}");
    pages
}

/// So many requests do not all miss one of three backends by chance.
const ENOUGH: u32 = 60;

/// The servers that answer the client's requests for the service now.
#[track_caller]
pub(crate) fn answering(world: &World) -> Vec<&'static str> {
    let pages = pages(&world.client, SERVICE, ENOUGH);
    let answered = |name: &&str| pages.keys().any(|page| page.starts_with(&format!("{name} saw ")));
    NAMES.into_iter().filter(answered).collect()
}

/// All servers answer at this address of the service, and see this client.
#[track_caller]
pub(crate) fn all_answer(world: &World, host: &str, seen: &str) {
    let pages: Vec<String> = pages(&world.client, host, ENOUGH).into_keys().collect();
    let mut expected = NAMES.map(|name| format!("{name} saw {seen}"));
    expected.sort();
    assert_eq!(pages, expected);
}

/// Downloads what is big, which must be what the servers have.
#[track_caller]
pub(crate) fn download(from: &Net, host: &str) {
    let folder = Folder::new();
    let file = folder.path("big");
    let output = curl(from, &["--fail", "-o", file.to_str().unwrap(), &format!("http://{host}/big")]);
    assert!(output.status.success(), "{host}: {}", String::from_utf8_lossy(&output.stderr));
    assert!(std::fs::read(file).unwrap() == big(), "{host}: other bytes");
}

/// Uploads a file; the page that answers it.
#[track_caller]
pub(crate) fn upload(from: &Net, url: &str, file: &Path) -> String {
    let output = curl(from, &["--fail", "--data-binary", &format!("@{}", file.display()), "-H", "Expect:", url]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
