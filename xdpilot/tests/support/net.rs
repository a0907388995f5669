//! A network namespace with a veth pair, the built binary, and objects, all of one test.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

use tempfile::TempDir;

/// A named namespace with the veth pair v0 and v1, up, and a folder; all gone with this value.
pub(crate) struct Net {
    pub(crate) name: String,
    pub(crate) folder: TempDir,
}

impl Net {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("xp{}n{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        run(&format!("ip netns add {name}"));
        let net = Net { name, folder: tempfile::tempdir().unwrap() };
        run(&net.fill("ip -n NS link add v0 numrxqueues 1 type veth peer name v1 numtxqueues 2"));
        run(&net.fill("ip -n NS link set v0 up"));
        run(&net.fill("ip -n NS link set v1 up"));
        net
    }

    /// The line with NS and DIR filled in.
    pub(crate) fn fill(&self, line: &str) -> String {
        line.replace("NS", &self.name).replace("DIR", self.folder.path().to_str().unwrap())
    }

    /// Compiles C to DIR/NAME.o.
    pub(crate) fn compile(&self, name: &str, source: &str) -> PathBuf {
        let file = self.folder.path().join(format!("{name}.c"));
        fs::write(&file, source).unwrap();
        self.compile_file(&file)
    }

    /// Compiles a C file to DIR/NAME.o.
    pub(crate) fn compile_file(&self, file: &Path) -> PathBuf {
        let object = self.folder.path().join(file.file_name().unwrap()).with_extension("o");
        let include = format!("/usr/include/{}-linux-gnu", std::env::consts::ARCH);
        let clang = Command::new("clang-19")
            .args(["-O2", "-g", "-target", "bpf", "-I", &include, "-c"])
            .args([file, Path::new("-o"), &object])
            .output()
            .unwrap();
        assert!(clang.status.success(), "{}", String::from_utf8_lossy(&clang.stderr));
        object
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        // Failures would hide why the test ends; few tests pin something by this name.
        let _ = fs::remove_file(Path::new("/sys/fs/bpf").join(&self.name));
        let _ = Command::new("ip").args(["netns", "delete", &self.name]).output();
    }
}

/// Runs a line of words; `xdpilot` is the built binary.
pub(crate) fn output(line: &str) -> Output {
    let words: Vec<&str> = line.split_whitespace().collect();
    let words = words.iter().map(|word| if *word == "xdpilot" { env!("CARGO_BIN_EXE_xdpilot") } else { word });
    let words: Vec<&str> = words.collect();
    Command::new(words[0]).args(&words[1..]).output().unwrap()
}

/// Runs a line that must succeed.
#[track_caller]
pub(crate) fn run(line: &str) -> String {
    let output = output(line);
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The program of an interface of the namespace and its mode, as ip(8) shows it: null where none is.
pub(crate) fn mode(net: &Net, interface: &str) -> serde_json::Value {
    let text = run(&format!("ip -n {} -j -d link show {interface}", net.name));
    let link: serde_json::Value = serde_json::from_str(&text).unwrap();
    link[0]["xdp"]["mode"].clone()
}
