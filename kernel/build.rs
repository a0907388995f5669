//! Embeds the headers that BPF programs include as `<bpf/...>`: libbpf's own, of the vendored version.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::{env, fs, io};

/// Writes `headers.rs`: the list `(file name, contents)` of all headers that libbpf installs.
///
/// `libbpf-sys` names its include folder by cargo's `links` metadata (`DEP_BPF_INCLUDE`).
fn main() -> io::Result<()> {
    println!("cargo:rerun-if-changed=build.rs");
    let variable = |name: &str| env::var_os(name).ok_or_else(|| io::Error::other(format!("{name} is not set")));
    let folder = PathBuf::from(variable("DEP_BPF_INCLUDE")?).join("bpf");
    let mut files: Vec<PathBuf> =
        fs::read_dir(&folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<_>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "h"));
    files.sort();
    let mut text = String::from("&[\n");
    for file in &files {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        writeln!(text, "    ({name:?}, include_str!({:?})),", file.display().to_string()).map_err(io::Error::other)?;
    }
    text.push_str("]\n");
    fs::write(PathBuf::from(variable("OUT_DIR")?).join("headers.rs"), text)
}
