//! Headers that are at hand whatever the system has installed, in a folder that lives as long as the compilation.
//!
//! The folder holds `first/` (searched before the system's), `last/` (searched after all else) and the object.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Component, Path, PathBuf};

use tempfile::TempDir;
use xdpilot_core::error::{Error, Result};
use xdpilot_kernel::headers;

/// The folder, removed when dropped.
pub(super) struct Headers(TempDir);

impl Headers {
    /// Writes `<linux/bpf.h>` and libbpf's `<bpf/...>`.
    pub(super) fn new() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("xdpilot-").tempdir();
        let folder = folder.map_err(|error| failed("make a temporary folder", &error))?;
        let headers = Headers(folder);
        headers::write_uapi_headers(&headers.first())?;
        headers::write_libbpf_headers(&headers.last())?;
        // Kernel samples say `<uapi/linux/bpf.h>` for what is installed as `<linux/bpf.h>`.
        symlink("/usr/include", headers.last().join("uapi")).map_err(|error| failed("link uapi", &error))?;
        Ok(headers)
    }

    /// Writes the running kernel's types as the header `name`: `vmlinux.h`, `vmlinux/vmlinux.h`.
    pub(super) fn add_vmlinux(&self, name: &str) -> Result<()> {
        let file = self.last().join(name);
        let made = file.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| File::create(&file));
        headers::write_vmlinux_header(&mut made.map_err(|error| failed("write vmlinux.h", &error))?)
    }

    /// Writes the definition of `struct bpf_map_def`, which libbpf's headers lost in 1.0; gives its place.
    pub(super) fn add_map_definition(&self) -> Result<PathBuf> {
        let file = self.0.path().join("bpf_map_def.h");
        fs::write(&file, MAP_DEFINITION).map_err(|error| failed("write bpf_map_def.h", &error))?;
        Ok(file)
    }

    /// The whole folder.
    pub(super) fn folder(&self) -> &Path {
        self.0.path()
    }

    /// Searched before the system's folders.
    pub(super) fn first(&self) -> PathBuf {
        self.0.path().join("first")
    }

    /// Searched after all other folders.
    pub(super) fn last(&self) -> PathBuf {
        self.0.path().join("last")
    }

    /// Where the object goes.
    pub(super) fn object(&self) -> PathBuf {
        self.0.path().join("object.o")
    }
}

/// Whether a header of this name can be made in the folder: `vmlinux.h`, in whatever folder below.
pub(super) fn is_vmlinux(name: &str) -> bool {
    let path = Path::new(name);
    path.file_name().is_some_and(|name| name == "vmlinux.h")
        && path.components().all(|part| matches!(part, Component::Normal(_)))
}

/// The fields in the order of the kernel samples' `bpf_helpers.h` (`samples/bpf`, Linux 4.19).
const MAP_DEFINITION: &str = "struct bpf_map_def {
	unsigned int type;
	unsigned int key_size;
	unsigned int value_size;
	unsigned int max_entries;
	unsigned int map_flags;
	unsigned int inner_map_idx;
	unsigned int numa_node;
};
";

fn failed(what: &str, error: &std::io::Error) -> Error {
    Error::failed(what).kernel(super::words(error))
}
