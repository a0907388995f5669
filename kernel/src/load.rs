//! Loading an object into the kernel, by libbpf.

use std::ffi::{CString, c_void};
use std::fs;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::ptr;

use libbpf_rs::{AsRawLibbpf, MapCore, MapType, Object, OpenObject, ProgramType};
use libbpf_sys::bpf_object_open_opts;
use xdpilot_core::error::{Error, Result};

pub use crate::load_error::LoadError;
use crate::map::Map;
use crate::program::ProgramInfo;
use crate::{bpf, libbpf_log, pins};

/// A program that may use a device's metadata kfuncs, without being offloaded (`linux/bpf.h`, Linux 6.3).
const BPF_F_XDP_DEV_BOUND_ONLY: u32 = 1 << 6;

/// Whether and how programs are tied to one interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Device {
    /// To none.
    #[default]
    None,
    /// They run on the CPU and may ask this interface for receive metadata. By index in this thread's namespace.
    Bound(u32),
    /// They and their maps run on this interface's hardware.
    Offload(u32),
}

/// What kind of program the entry is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProgramKind {
    /// An XDP program: it sees packets that arrive.
    #[default]
    Xdp,
    /// A classifier (`sched_cls`), for [`crate::link::Link::attach_egress`] and [`crate::link::Link::attach_ingress`].
    Classifier,
}

/// What to load.
#[derive(Clone, Copy, Debug, Default)]
pub struct Request<'a> {
    /// The ELF object, in the form that libbpf takes.
    pub elf: &'a [u8],
    /// The object's name, for messages and as the prefix of its global data's maps.
    pub name: &'a str,
    /// The name of the entry program.
    pub entry: &'a str,
    /// What kind of program that is.
    pub kind: ProgramKind,
    /// Names of further programs to load: members of prog arrays. Those of no known section are loaded as XDP.
    pub also: &'a [&'a str],
    /// The interface that the programs are tied to.
    pub device: Device,
    /// Maps to share by pins: name and path. The map that is pinned there is used where it fits, else the new one
    /// is pinned. Missing folders are made.
    pub pinned_maps: &'a [(&'a str, &'a Path)],
    /// Maps that are there already, to be used in the place of those of these names, whose shapes they must have.
    pub shared_maps: &'a [(&'a str, &'a Map)],
    /// Log what libbpf does and how the verifier went, also where all goes well.
    pub verbose: bool,
}

/// An object in the kernel. The kernel keeps its programs and maps as long as this lives, or something else
/// holds them: a link, an interface, a pin.
#[derive(Debug)]
pub struct Loaded {
    object: Object,
    entry: OwnedFd,
    info: ProgramInfo,
    log: String,
}

impl Loaded {
    /// The entry program.
    pub fn entry(&self) -> BorrowedFd<'_> {
        self.entry.as_fd()
    }

    /// The entry program's facts at load time: id, tag, name, maps.
    pub fn info(&self) -> &ProgramInfo {
        &self.info
    }

    /// A loaded program by name.
    pub fn program(&self, name: &str) -> Option<BorrowedFd<'_>> {
        let program = self.object.progs().find(|program| program.name() == name && program.autoload())?;
        // SAFETY: the descriptor belongs to `object`, which closes it only when `self` is dropped.
        Some(unsafe { BorrowedFd::borrow_raw(std::os::fd::AsRawFd::as_raw_fd(&program.as_fd())) })
    }

    /// A map by its name in the object, on a descriptor of its own.
    pub fn map(&self, name: &str) -> Result<Map> {
        let map = self.object.maps().find(|map| map.name() == name);
        let map = map.ok_or_else(|| Error::usage(format!("map {name}")).cause("the object has no such map"))?;
        let fd = map.as_fd().try_clone_to_owned();
        Map::of_map_fd(fd.map_err(|error| Error::failed(format!("open map {name}")).kernel(error.to_string()))?)
    }

    /// The names of its maps.
    pub fn map_names(&self) -> Vec<String> {
        self.object.maps().map(|map| map.name().to_string_lossy().into_owned()).collect()
    }

    /// What libbpf said: warnings, and with `verbose` everything, the verifier's log too.
    pub fn log(&self) -> &str {
        &self.log
    }
}

/// Loads the entry program, those in `also`, and the object's maps. Where it fails nothing stays behind.
pub fn load(request: &Request<'_>) -> std::result::Result<Loaded, LoadError> {
    let folders = make_folders(request.pinned_maps)?;
    let (loaded, talk) = libbpf_log::capture(request.verbose, || open_and_load(request));
    let what = || format!("load program {} of {}", request.entry, request.name);
    let loaded = match loaded {
        Ok(object) => finish(object, request, talk.text).map_err(|error| LoadError::from(error.context(what()))),
        Err(Failure::Libbpf(errno)) => Err(LoadError::new(what(), errno, talk)),
        Err(Failure::Request(error)) => Err(LoadError { error, log: talk.text }),
    };
    if loaded.is_err() {
        // Those that something stands in meanwhile stay.
        folders.iter().rev().for_each(|folder| drop(fs::remove_dir(folder)));
    }
    loaded
}

/// Why it did not load.
enum Failure {
    /// libbpf's errno.
    Libbpf(i32),
    /// The request asks for what the object has not.
    Request(Error),
}

fn open_and_load(request: &Request<'_>) -> std::result::Result<Object, Failure> {
    let mut object = open(request)?;
    choose_programs(&mut object, request).map_err(Failure::Request)?;
    prepare_maps(&mut object, request)?;
    // SAFETY: the object is open and not loaded yet.
    match unsafe { libbpf_sys::bpf_object__load(object.as_libbpf_object().as_ptr()) } {
        // SAFETY: the pointer is that of an object that has just been loaded, and ownership passes on.
        0 => Ok(unsafe { Object::from_ptr(object.take_ptr()) }),
        errno => Err(Failure::Libbpf(errno)),
    }
}

fn open(request: &Request<'_>) -> std::result::Result<OpenObject, Failure> {
    let name = CString::new(request.name)
        .map_err(|_| Failure::Request(Error::usage("the object's name").cause("it holds a zero byte")))?;
    let options = bpf_object_open_opts {
        sz: size_of::<bpf_object_open_opts>() as u64,
        object_name: name.as_ptr(),
        // An empty path: libbpf does not look for a BPF token, which is for user namespaces.
        bpf_token_path: c"".as_ptr(),
        ..bpf_object_open_opts::default()
    };
    // SAFETY: bytes and options are valid for the call, which copies what it keeps.
    let object = unsafe {
        libbpf_sys::bpf_object__open_mem(request.elf.as_ptr().cast::<c_void>(), request.elf.len() as u64, &options)
    };
    match ptr::NonNull::new(object) {
        // SAFETY: a valid object, open and not loaded, owned by nobody else.
        Some(object) => Ok(unsafe { OpenObject::from_ptr(object) }),
        None => Err(Failure::Libbpf(std::io::Error::last_os_error().raw_os_error().unwrap_or(0))),
    }
}

/// Loads the entry and those in `also`, as XDP where their section says nothing else; none of the others.
fn choose_programs(object: &mut OpenObject, request: &Request<'_>) -> Result<()> {
    let mut missing: Vec<&str> = [&[request.entry], request.also].concat();
    for mut program in object.progs_mut() {
        let name = program.name().to_string_lossy().into_owned();
        let wanted = request.entry == name || request.also.contains(&name.as_str());
        program.set_autoload(wanted);
        if !wanted {
            continue;
        }
        missing.retain(|other| *other != name);
        if request.entry == name || program.prog_type() == ProgramType::Unspec {
            program.set_prog_type(match request.kind {
                ProgramKind::Xdp => ProgramType::Xdp,
                ProgramKind::Classifier => ProgramType::SchedCls,
            });
        }
        if request.verbose {
            program.set_log_level(1);
        }
        match request.device {
            Device::None => {}
            Device::Offload(ifindex) => program.set_ifindex(ifindex),
            Device::Bound(ifindex) => {
                program.set_ifindex(ifindex);
                // SAFETY: the program belongs to the open object.
                let flags = unsafe { libbpf_sys::bpf_program__flags(program.as_libbpf_object().as_ptr()) };
                program.set_flags(flags | BPF_F_XDP_DEV_BOUND_ONLY);
            }
        }
    }
    match missing.first() {
        None => Ok(()),
        Some(name) => Err(Error::usage(format!("load {}", request.name))
            .cause(format!("the object has no program {name}; it has: {}", names(object)))),
    }
}

fn names(object: &OpenObject) -> String {
    let names: Vec<String> = object.progs().map(|program| program.name().to_string_lossy().into_owned()).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

fn prepare_maps(object: &mut OpenObject, request: &Request<'_>) -> std::result::Result<(), Failure> {
    let mut missing: Vec<&str> = request.pinned_maps.iter().map(|(name, _)| *name).collect();
    for mut map in object.maps_mut() {
        let name = map.name().to_string_lossy().into_owned();
        missing.retain(|other| *other != name);
        if let Some((_, path)) = request.pinned_maps.iter().find(|(pinned, _)| *pinned == name) {
            let path = bpf::c_path(path).map_err(Failure::Request)?;
            // SAFETY: the map belongs to the open object; the path is copied.
            let ret = unsafe { libbpf_sys::bpf_map__set_pin_path(map.as_libbpf_object().as_ptr(), path.as_ptr()) };
            if ret != 0 {
                return Err(Failure::Libbpf(ret));
            }
        }
        if let Some((_, shared)) = request.shared_maps.iter().find(|(shared, _)| *shared == name) {
            map.reuse_fd(shared.as_fd()).map_err(|error| Failure::Request(Error::failed(error.to_string())))?;
        }
        // Perf event arrays live on the host also for offloaded programs.
        match request.device {
            Device::Offload(ifindex) if map.map_type() != MapType::PerfEventArray => map.set_map_ifindex(ifindex),
            _ => {}
        }
    }
    match missing.first() {
        None => Ok(()),
        Some(name) => {
            let cause = format!("the object has no map {name} to pin");
            Err(Failure::Request(Error::usage(format!("load {}", request.name)).cause(cause)))
        }
    }
}

fn finish(object: Object, request: &Request<'_>, log: String) -> Result<Loaded> {
    let program = object.progs().find(|program| program.name() == request.entry);
    let program = program.ok_or_else(|| Error::failed(format!("find program {}", request.entry)))?;
    let entry = program.as_fd().try_clone_to_owned();
    let entry = entry.map_err(|error| Error::failed("duplicate its descriptor").kernel(error.to_string()))?;
    let info = ProgramInfo::of_fd(entry.as_fd())?;
    Ok(Loaded { object, entry, info, log })
}

/// Makes the folders that the pins need; gives those that were not there, outermost first.
fn make_folders(pins: &[(&str, &Path)]) -> Result<Vec<PathBuf>> {
    let mut made = Vec::new();
    for (_, path) in pins {
        let missing: Vec<&Path> = path.ancestors().skip(1).take_while(|folder| !folder.exists()).collect();
        for folder in missing.into_iter().rev() {
            fs::create_dir(folder).map_err(|error| {
                let error = Error::failed(format!("make folder {}", folder.display())).kernel(error.to_string());
                match folder.parent() {
                    Some(parent) if !pins::is_bpffs(parent) => error
                        .cause(format!("no BPF file system is mounted at {}", parent.display()))
                        .mend(format!("mount -t bpf bpf {}", pins::BPFFS)),
                    _ => error,
                }
            })?;
            made.push(folder.to_owned());
        }
    }
    Ok(made)
}
