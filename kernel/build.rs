//! Embeds the headers that BPF programs include: libbpf's own as `<bpf/...>`, and the `<linux/bpf.h>` that
//! libbpf brings along, both of the vendored version.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// What the newest BPF programs need of the kernel's headers.
const UAPI: [&str; 2] = ["bpf.h", "bpf_common.h"];

/// Writes `libbpf.rs` and `uapi.rs`: lists `(file name, contents)`.
///
/// `libbpf-sys` names the folder that it installed libbpf's headers in by cargo's `links` metadata
/// (`DEP_BPF_INCLUDE`).
fn main() -> io::Result<()> {
    println!("cargo:rerun-if-changed=build.rs");
    let installed = PathBuf::from(variable("DEP_BPF_INCLUDE")?);
    let mut files: Vec<PathBuf> =
        fs::read_dir(installed.join("bpf"))?.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<_>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "h"));
    files.sort();
    embed("libbpf.rs", &files)?;
    let uapi = source_folder(&installed)?.join("libbpf/include/uapi/linux");
    embed("uapi.rs", &UAPI.map(|name| uapi.join(name)))
}

fn variable(name: &str) -> io::Result<std::ffi::OsString> {
    env::var_os(name).ok_or_else(|| io::Error::other(format!("{name} is not set")))
}

/// Where the source of `libbpf-sys` lies. Its build script tells cargo which files of it to watch, and cargo
/// keeps what it said beside the folder that it built in; nothing else names the place.
fn source_folder(installed: &Path) -> io::Result<PathBuf> {
    let output = installed.ancestors().nth(2).map(|folder| folder.join("output")).unwrap_or_default();
    let said = fs::read_to_string(&output)
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", output.display())))?;
    said.lines()
        .filter_map(|line| line.strip_prefix("cargo:rerun-if-changed="))
        .find_map(|path| path.split_once("/libbpf/src").map(|(folder, _)| PathBuf::from(folder)))
        .ok_or_else(|| io::Error::other(format!("{} does not name libbpf's source", output.display())))
}

fn embed(list: &str, files: &[PathBuf]) -> io::Result<()> {
    let mut text = String::from("&[\n");
    for file in files {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        writeln!(text, "    ({name:?}, include_str!({:?})),", file.display().to_string()).map_err(io::Error::other)?;
    }
    text.push_str("]\n");
    fs::write(PathBuf::from(variable("OUT_DIR")?).join(list), text)
}
