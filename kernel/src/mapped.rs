//! An array map in this process's memory.

use std::num::NonZeroUsize;
use std::os::fd::AsFd;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;

use nix::libc::c_void;
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use xdpilot_core::error::{Error, Result};

use crate::map::Map;

/// The words of an array map that was created with `BPF_F_MMAPABLE`. What is stored there programs see, and the other
/// way round.
#[derive(Debug)]
pub struct Mapped {
    start: NonNull<c_void>,
    bytes: NonZeroUsize,
    words: usize,
}

impl Mapped {
    /// Maps all of it. Its values must be a multiple of eight bytes long.
    ///
    /// # Errors
    /// The kernel does not map it: it is no array, or was not made for that.
    pub fn new(map: &Map) -> Result<Self> {
        let info = map.info();
        let doing = || format!("map the memory of map {} (id {})", info.name, info.id);
        let bytes = info.value_size as usize * info.max_entries as usize;
        if info.map_type != libbpf_sys::BPF_MAP_TYPE_ARRAY || !info.value_size.is_multiple_of(8) {
            return Err(Error::usage(doing()).cause("it is no array of 64-bit words"));
        }
        let bytes = NonZeroUsize::new(bytes).ok_or_else(|| Error::usage(doing()).cause("it is empty"))?;
        let (protection, flags) = (ProtFlags::PROT_READ | ProtFlags::PROT_WRITE, MapFlags::MAP_SHARED);
        // SAFETY: a new mapping, at an address of the kernel's choice; it is not longer than the array, whose values
        // stand one behind the other (`array_map_mmap`).
        let start = unsafe { mmap(None, bytes, protection, flags, map.as_fd(), 0) };
        let start = start.map_err(|errno| Error::failed(doing()).kernel(errno.desc()).errno(errno as i32))?;
        Ok(Mapped { start, bytes, words: bytes.get() / 8 })
    }

    /// Its words.
    pub fn words(&self) -> &[AtomicU64] {
        // SAFETY: the mapping has so many words, begins at a page and lives as long as `self`. Others change it only
        // a word at a time, as atomics may be changed.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr().cast::<AtomicU64>(), self.words) }
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // SAFETY: the mapping is this one's alone, and its words cannot be borrowed any more.
        let _ = unsafe { munmap(self.start, self.bytes.get()) };
    }
}

// SAFETY: the memory belongs to no thread, and its words are atomics.
unsafe impl Send for Mapped {}
// SAFETY: as above.
unsafe impl Sync for Mapped {}
