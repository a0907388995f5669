//! What the root tests share: programs compiled on the spot, and a private network and mount namespace per thread.

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use xdpilot_kernel::load::{Loaded, Request, load};
use xdpilot_kernel::{headers, pins};

/// Gives this thread a network namespace and a mount namespace of its own; both end with it. Interfaces made by
/// commands that this thread starts, and pins, exist only there. (BPF ids are seen by the whole machine.)
pub(crate) fn own_namespaces() {
    unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS).expect("root");
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)
        .expect("private mounts");
    // A BPF file system of our own, also where the machine has one.
    mount(Some("bpf"), pins::BPFFS, Some("bpf"), MsFlags::empty(), None::<&str>).expect("mount bpffs");
}

/// A name that no other test uses.
pub(crate) fn unique(prefix: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("{prefix}{}_{}", std::process::id() % 100_000, COUNT.fetch_add(1, Ordering::Relaxed))
}

/// Runs a command to its success; its output.
pub(crate) fn run(command: &str) -> String {
    let words: Vec<&str> = command.split_whitespace().collect();
    let output = Command::new(words[0]).args(&words[1..]).output().expect(command);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{command}: {text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// A veth pair in this thread's namespace: the names and the index of the first.
pub(crate) fn veth() -> (String, u32) {
    let name = unique("xp");
    run(&format!("ip link add {name}a type veth peer name {name}b"));
    run(&format!("ip link set {name}a up"));
    run(&format!("ip link set {name}b up"));
    let index = nix::net::if_::if_nametoindex(format!("{name}a").as_str()).expect("index");
    (format!("{name}a"), index)
}

/// Compiles C with only the headers that the crate provides.
pub(crate) fn compile(source: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("folder");
    headers::write_libbpf_headers(folder.path()).expect("headers");
    std::fs::write(folder.path().join("vmlinux.h"), vmlinux_header()).expect("vmlinux.h");
    let (input, output) = (folder.path().join("test.c"), folder.path().join("test.o"));
    std::fs::write(&input, source).expect("source");
    let compiler = ["/usr/bin/clang", "/usr/bin/clang-19"].into_iter().find(|path| Path::new(path).exists());
    let done = Command::new(compiler.expect("clang"))
        .args(["-O2", "-g", "-target", "bpf", "-nostdinc", "-Wall", "-Werror", "-I"])
        .arg(folder.path())
        .arg("-c")
        .arg(&input)
        .arg("-o")
        .arg(&output)
        .output()
        .expect("clang");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    std::fs::read(&output).expect("object")
}

/// `vmlinux.h` of this kernel, made once.
pub(crate) fn vmlinux_header() -> &'static [u8] {
    static TEXT: OnceLock<Vec<u8>> = OnceLock::new();
    TEXT.get_or_init(|| {
        let mut text = Vec::new();
        headers::write_vmlinux_header(&mut text).expect("vmlinux.h");
        text
    })
}

/// Compiles and loads; the entry program's name is `entry`.
pub(crate) fn load_source(source: &str, entry: &str) -> Loaded {
    load(&Request { elf: &compile(source), name: "test", entry, ..Request::default() }).expect("load")
}

/// The head of every source.
pub(crate) const HEAD: &str = "#include \"vmlinux.h\"\n#include <bpf/bpf_helpers.h>\n#include <bpf/bpf_endian.h>\n\
    char LICENSE[] SEC(\"license\") = \"Dual MIT/GPL\";\n";
