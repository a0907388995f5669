//! A file becomes a BPF object: an ELF file is read as it is, a C file is compiled by the installed clang.

mod causes;
mod clang;
mod compile;
mod headers;
mod packages;

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use xdpilot_core::error::{Error, Result};
use xdpilot_core::near;

use crate::direction::Direction;
use crate::policy::{self, Compiled, Text};

/// What the user gave to be loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The file's name without folder and extension.
    pub name: String,
    /// The BPF object, an ELF file; whether it is a sound one is the ELF reader's to say.
    pub elf: Vec<u8>,
    /// Where the file is, absolute.
    pub path: PathBuf,
}

/// What is to be loaded.
#[derive(Clone, Debug)]
pub enum Input {
    /// A BPF object.
    Object(Source),
    /// A policy, compiled.
    Policy(Box<Compiled>),
}

impl Input {
    /// Reads an object, compiles a C file, or compiles the only policy of a file for these packets.
    ///
    /// # Errors
    /// As [`read`], and all that may be wrong with a policy.
    pub fn read(path: &Path, direction: Direction) -> Result<Self> {
        if !is_policy(path) {
            return read(path).map(Input::Object);
        }
        let policy = policy::read(&Text::of_file(path)?, None, direction)?;
        Ok(Input::Policy(Box::new(policy.compile(true)?)))
    }

    /// Its name, without folder and extension.
    pub fn name(&self) -> &str {
        match self {
            Input::Object(source) => &source.name,
            Input::Policy(policy) => &policy.rules.name,
        }
    }

    /// What it was made of, as the user named it: an absolute path, or the words of `-e`.
    pub fn origin(&self) -> String {
        match self {
            Input::Object(source) => source.path.display().to_string(),
            Input::Policy(policy) => policy.origin.clone(),
        }
    }
}

/// The largest file that is taken for a program or a policy, in bytes. Real objects stay below 10 MiB.
const PROGRAM: u64 = 64 << 20;
/// The largest file that is taken for other text: a line for each of millions of elements.
const TEXT: u64 = 1 << 30;

/// The first bytes of an ELF file.
const ELF: &[u8] = b"\x7fELF";
/// The first bytes of LLVM's intermediate code, which `clang -emit-llvm` writes.
const BITCODE: &[u8] = b"BC\xc0\xde";

/// Whether a file's name says that it holds policies.
pub fn is_policy(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "xdp")
}

/// Reads an ELF object, whatever the file's extension, or compiles a C file (`.c`).
///
/// What clang says goes to stderr as it is.
///
/// # Errors
/// The file is missing, unreadable, empty, too large or of another kind; there is no clang; clang fails.
pub fn read(path: &Path) -> Result<Source> {
    let bytes = contents(path, Sought::Program)?;
    let elf = if bytes.starts_with(ELF) {
        bytes
    } else if path.extension().is_some_and(|extension| extension == "c") {
        let compiled = compile::compile(path, &clang::find(&std::env::var_os("PATH").unwrap_or_default())?)?;
        io::Write::write_all(&mut io::stderr(), &compiled.messages).ok();
        compiled.elf?
    } else {
        return Err(stranger(path, &bytes));
    };
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    Ok(Source { name, elf, path })
}

/// What a file is to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sought {
    /// A program or a policy.
    Program,
    /// The elements of a set, or another tool's rules. It may be empty.
    Text,
}

/// The bytes of a file that the user named.
///
/// # Errors
/// It is missing (names like it are listed), unreadable or too large, or a program of no bytes.
pub fn contents(path: &Path, sought: Sought) -> Result<Vec<u8>> {
    let what = || format!("read {}", path.display());
    let metadata = fs::metadata(path).map_err(|error| unreadable(path, &error, sought))?;
    if metadata.is_dir() {
        let error = Error::usage(what()).cause("it is a folder");
        return Err(match sought {
            Sought::Program => error.mend("name a file in it: F.o or F.c"),
            Sought::Text => error,
        });
    }
    let file = File::open(path).map_err(|error| unreadable(path, &error, sought))?;
    let limit = if sought == Sought::Program { PROGRAM } else { TEXT };
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).map_err(|error| unreadable(path, &error, sought))?;
    match bytes.len() as u64 {
        0 if sought == Sought::Program => Err(Error::usage(what()).cause("the file is empty").mend("compile it again")),
        length if length > limit => {
            let than = format!("it is larger than {} MiB", limit >> 20);
            Err(Error::usage(what()).cause(if sought == Sought::Program { than + ": no BPF program is" } else { than }))
        }
        _ => Ok(bytes),
    }
}

/// Bytes as text; `name` is what messages call them.
///
/// # Errors
/// They are none: the first byte that is not UTF-8 is told.
pub fn text(name: &str, bytes: Vec<u8>) -> Result<String> {
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Error::usage(format!("read {name}")).cause(format!("it is no text: byte {at} is not UTF-8"))
    })
}

fn unreadable(path: &Path, error: &io::Error, sought: Sought) -> Error {
    let what = Error::usage(format!("read {}", path.display())).kernel(words(error));
    let what = what.errno(error.raw_os_error().unwrap_or(0));
    if error.kind() != io::ErrorKind::NotFound {
        return what;
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let Ok(entries) = fs::read_dir(folder) else {
        return what.cause(format!("there is no folder {}", folder.display()));
    };
    let mut names: Vec<String> =
        entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    let wrong = path.file_name().unwrap_or_default().to_string_lossy();
    // Of a folder full of strangers only what can be loaded is worth listing.
    if near::near(&wrong, &names).is_empty() {
        if sought == Sought::Text {
            return what.cause(format!("there is no such file in {}", folder.display()));
        }
        names.retain(|name| [".o", ".c", ".xdp"].iter().any(|extension| name.ends_with(extension)));
        names.sort();
        names.truncate(10);
    }
    what.cause(near::suggestion(&wrong, "programs", &names))
}

/// The system's words, without Rust's " (os error 2)".
fn words(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

/// A file that is neither an object nor C.
fn stranger(path: &Path, bytes: &[u8]) -> Error {
    let error = Error::usage(format!("read {}", path.display()));
    if bytes.starts_with(BITCODE) {
        return error.cause("it is LLVM's intermediate code (clang -emit-llvm), not an object").mend(format!(
            "llc -march=bpf -filetype=obj {} -o {}",
            path.display(),
            path.with_extension("o").display()
        ));
    }
    error.cause("it is neither an ELF object nor a C file (F.c) nor a policy (F.xdp)")
}
