//! Compiling a C file with clang, and trying again with what it turned out to lack.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::{env, fs};

use xdpilot_core::error::{Error, Result};

use super::causes;
use super::headers::{Headers, is_vmlinux};

/// What came of it.
pub(super) struct Compiled {
    /// The object, or why there is none.
    pub elf: Result<Vec<u8>>,
    /// What clang wrote to its stderr.
    pub messages: Vec<u8>,
}

/// Compiles `path` for BPF. Relative paths are the caller's, in clang's messages too.
pub(super) fn compile(path: &Path, clang: &Path) -> Result<Compiled> {
    let headers = Headers::new()?;
    let mut extra: Vec<OsString> = Vec::new();
    loop {
        let output = command(path, clang, &headers)
            .args(&extra)
            .output()
            .map_err(|error| Error::failed(format!("run {}", clang.display())).kernel(super::words(&error)))?;
        let text = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() {
            match lacking(&text) {
                Some(Lacking::Vmlinux(name)) if !headers.last().join(name).exists() => {
                    headers.add_vmlinux(name).map_err(|error| error.context(format!("compile {}", path.display())))?;
                    continue;
                }
                Some(Lacking::MapDefinition) if extra.is_empty() => {
                    extra = vec!["-include".into(), headers.add_map_definition()?.into()];
                    continue;
                }
                _ => {}
            }
        }
        let elf = match output.status.success() {
            true => fs::read(headers.object()).map_err(|error| {
                Error::failed(format!("read the object of {}", path.display())).kernel(super::words(&error))
            }),
            false => Err(failure(path, clang, output.status, &text)),
        };
        return Ok(Compiled { elf, messages: output.stderr });
    }
}

/// What a source takes for granted and this machine has not, but can have.
enum Lacking<'a> {
    /// The kernel's types, under this name.
    Vmlinux(&'a str),
    /// `struct bpf_map_def`.
    MapDefinition,
}

fn lacking(text: &str) -> Option<Lacking<'_>> {
    match causes::missing_header(text) {
        Some(name) if is_vmlinux(name) => Some(Lacking::Vmlinux(name)),
        Some(_) => None,
        None => text.contains("incomplete type 'struct bpf_map_def'").then_some(Lacking::MapDefinition),
    }
}

/// What clang is told of the machine that the program will run on.
struct Machine {
    /// libbpf's name for it, for `bpf_tracing.h`.
    libbpf: &'static str,
    /// What a compiler for it defines. The C library's headers ask for it to know how wide a word is and which
    /// `gnu/stubs-*.h` is installed.
    defines: &'static [&'static str],
    /// Debian's folder of its headers, `asm/types.h` among them, which clang does not search for BPF.
    headers: &'static str,
}

fn machine() -> Option<Machine> {
    let machine = |libbpf, defines, headers| Some(Machine { libbpf, defines, headers });
    match env::consts::ARCH {
        "x86_64" => machine("x86", &["__x86_64__"], "/usr/include/x86_64-linux-gnu"),
        "aarch64" => machine("arm64", &["__aarch64__"], "/usr/include/aarch64-linux-gnu"),
        "riscv64" => machine("riscv", &["__riscv", "__riscv_xlen=64"], "/usr/include/riscv64-linux-gnu"),
        _ => None,
    }
}

fn command(path: &Path, clang: &Path, headers: &Headers) -> Command {
    let mut command = Command::new(clang);
    command.args(["-target", "bpf", "-O2", "-g", "-c"]).stdin(Stdio::null());
    // The kernel's byte-order headers would use instructions of the machine's instead.
    command.args(["-D__HAVE_BUILTIN_BSWAP16__", "-D__HAVE_BUILTIN_BSWAP32__", "-D__HAVE_BUILTIN_BSWAP64__"]);
    // Sources of older days compiled with warnings; new clang takes these for errors.
    command
        .args(["implicit-function-declaration", "implicit-int", "int-conversion"].map(|w| format!("-Wno-error={w}")));
    if env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()) && std::io::stderr().is_terminal() {
        command.arg("-fcolor-diagnostics");
    }
    command.arg("-isystem").arg(headers.first());
    if let Some(machine) = machine() {
        command.arg(format!("-D__TARGET_ARCH_{}", machine.libbpf));
        command.args(machine.defines.iter().map(|define| format!("-D{define}")));
        command.arg("-idirafter").arg(machine.headers);
    }
    // Old sources say "bpf_helpers.h" for what is installed as <bpf/bpf_helpers.h>.
    for folder in [headers.last(), headers.last().join("bpf")] {
        command.arg("-idirafter").arg(folder);
    }
    // The object is the same each time although the folder is not.
    let mut map = OsString::from("-ffile-prefix-map=");
    map.push(headers.folder());
    map.push("=/xdpilot");
    command.arg(map).arg("-o").arg(headers.object());
    // A name that begins with a dash is no option.
    let dashed = path.as_os_str().as_encoded_bytes().starts_with(b"-");
    command.arg(if dashed { Path::new(".").join(path) } else { path.to_owned() });
    command
}

fn failure(path: &Path, clang: &Path, status: ExitStatus, text: &str) -> Error {
    let error = Error::failed(format!("compile {}", path.display()));
    let name = clang.file_name().unwrap_or_default().to_string_lossy();
    match (status.code(), status.signal()) {
        (Some(code), _) => causes::explain(error.kernel(format!("{name} exits with {code}")), path, text),
        (None, signal) => error.kernel(format!("{name} was ended by signal {}", signal.unwrap_or(0))),
    }
}
