//! Probes of what else is installed: the compiler, the container engines.

use std::{env, fs};

use xdpilot_core::error::Kind;

use super::finding::Finding;
use crate::engine::{self, Engine};

/// The probes, in the order in which they are shown.
pub(super) const PROBES: &[fn() -> Finding] = &[clang, docker, podman];

fn clang() -> Finding {
    let path = env::var_os("PATH").unwrap_or_default();
    let names = env::split_paths(&path).filter_map(|folder| fs::read_dir(folder).ok()).flatten().flatten();
    let found = names.map(|entry| entry.path()).find(|path| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let version = name.strip_prefix("clang").map(|rest| rest.strip_prefix('-').unwrap_or(rest));
        version.is_some_and(|version| version.bytes().all(|byte| byte.is_ascii_digit()))
    });
    match found {
        Some(path) => Finding::ok(format!("C files are compiled with {}", path.display())),
        None => Finding::warn(
            "clang is not installed: objects load, C files cannot be compiled",
            "apt install clang (Debian, Ubuntu), dnf install clang (Fedora), apk add clang (Alpine)",
        ),
    }
}

fn docker() -> Finding {
    containers(Engine::Docker)
}

fn podman() -> Finding {
    containers(Engine::Podman)
}

fn containers(engine: Engine) -> Finding {
    match engine::list(engine) {
        Ok(running) => Finding::ok(format!("{} answers, {} containers run", engine.title(), running.len())),
        Err(error) if error.kind() == Kind::NotPermitted => Finding::warn(
            format!("{} runs and does not let this user ask it", engine.title()),
            error.mend_text().unwrap_or("run it as root"),
        ),
        // Its absence is no lack: it is only said where the targets end.
        Err(_) => Finding::ok(format!("no {} answers: {engine}:NAME names nothing here", engine.title())),
    }
}
