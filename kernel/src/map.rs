//! Maps of the running kernel: facts and elements.

use std::ffi::{CString, c_void};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::libc;
use xdpilot_core::error::{Error, Result};
use xdpilot_core::object::Shape;

use crate::object::{ObjectKind, ObjectRef};
use crate::{bpf, machine};

/// The kernel's facts of one map (`struct bpf_map_info`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapInfo {
    /// The id.
    pub id: u32,
    /// The name, at most 15 characters.
    pub name: String,
    /// `enum bpf_map_type`.
    pub map_type: u32,
    /// The size of a key in bytes.
    pub key_size: u32,
    /// The size of a value in bytes; in a per-CPU map, of one CPU's value.
    pub value_size: u32,
    /// The capacity, in elements (ring buffers: bytes).
    pub max_entries: u32,
    /// `BPF_F_*` of its creation.
    pub flags: u32,
    /// The id of the BTF that describes it; 0 where it has none.
    pub btf_id: u32,
}

impl MapInfo {
    /// The facts of the map behind a descriptor.
    pub fn of_fd(fd: BorrowedFd<'_>) -> Result<Self> {
        let info: libbpf_sys::bpf_map_info = bpf::info(fd, || "read a map's facts".to_owned())?;
        Ok(MapInfo {
            id: info.id,
            name: bpf::name(&info.name),
            map_type: info.type_,
            key_size: info.key_size,
            value_size: info.value_size,
            max_entries: info.max_entries,
            flags: info.map_flags,
            btf_id: info.btf_id,
        })
    }

    /// The type's name as bpftool prints it: `percpu_array`.
    pub fn type_name(&self) -> String {
        // SAFETY: libbpf returns null or a string of its constant table.
        unsafe { bpf::type_name(libbpf_sys::libbpf_bpf_map_type_str(self.map_type), self.map_type) }
    }

    /// Whether each CPU has a value of its own.
    pub fn is_per_cpu(&self) -> bool {
        use libbpf_sys as sys;
        [
            sys::BPF_MAP_TYPE_PERCPU_HASH,
            sys::BPF_MAP_TYPE_PERCPU_ARRAY,
            sys::BPF_MAP_TYPE_LRU_PERCPU_HASH,
            sys::BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE,
        ]
        .contains(&self.map_type)
    }
}

/// An open map. The kernel keeps it as long as this lives.
#[derive(Debug)]
pub struct Map {
    fd: OwnedFd,
    info: MapInfo,
}

impl Map {
    /// Takes over the descriptor of a map; an error where it is none.
    pub fn new(fd: OwnedFd) -> Result<Self> {
        ObjectRef::of_fd(fd.as_fd())?.expect_kind(ObjectKind::Map, Path::new("descriptor"))?;
        Self::of_map_fd(fd)
    }

    /// Like [`Map::new`], where it is known that the descriptor is a map's.
    pub(crate) fn of_map_fd(fd: OwnedFd) -> Result<Self> {
        let info = MapInfo::of_fd(fd.as_fd())?;
        Ok(Map { fd, info })
    }

    /// Creates a map; it is there as long as a descriptor or another map holds it. Of the shape's fields those that every
    /// map has are used.
    ///
    /// # Errors
    /// The kernel does not take the shape, or has no memory for it.
    pub fn create(name: &str, shape: &Shape) -> Result<Self> {
        let doing = || format!("create map {name} of {} elements", shape.max_entries);
        let name = CString::new(name).map_err(|_| Error::usage(doing()).cause("its name holds a zero byte"))?;
        let options = libbpf_sys::bpf_map_create_opts {
            sz: size_of::<libbpf_sys::bpf_map_create_opts>() as u64,
            map_flags: shape.flags,
            ..libbpf_sys::bpf_map_create_opts::default()
        };
        // SAFETY: the name is a C string and the options are a structure of the size that they tell.
        let ret = unsafe {
            libbpf_sys::bpf_map_create(
                shape.kind,
                name.as_ptr(),
                shape.key_size,
                shape.value_size,
                shape.max_entries,
                &options,
            )
        };
        Self::of_map_fd(bpf::owned_fd(ret, doing)?)
    }

    /// The map that stands at an index of an array of maps; none where there is none.
    pub fn inner(&self, index: u32) -> Result<Option<Self>> {
        let Some(value) = self.lookup(&index.to_ne_bytes())? else { return Ok(None) };
        let id = value.first_chunk().copied().map(u32::from_ne_bytes);
        id.map_or(Ok(None), Self::open)
    }

    /// Puts a map at an index of an array of maps, whose programs see it from then on. When this returns no program
    /// uses the one that stood there.
    pub fn set_inner(&self, index: u32, inner: &Map) -> Result<()> {
        self.update(&index.to_ne_bytes(), &inner.fd.as_raw_fd().to_ne_bytes())
    }

    /// Opens the map of this id; `None` where there is none (any more). Needs `CAP_SYS_ADMIN`.
    pub fn open(id: u32) -> Result<Option<Self>> {
        // SAFETY: takes an integer, returns a descriptor.
        let ret = unsafe { libbpf_sys::bpf_map_get_fd_by_id(id) };
        bpf::fd_of_id(ret, || format!("open map {id}"))?.map(Self::of_map_fd).transpose()
    }

    /// Opens the map pinned at `path`.
    pub fn open_pinned(path: &Path) -> Result<Self> {
        Self::new(bpf::open_pinned(path)?).map_err(|error| error.context(path.display()))
    }

    /// Pins it at `path` on a BPF file system: it outlives this process.
    pub fn pin(&self, path: &Path) -> Result<()> {
        bpf::pin(self.as_fd(), path)
    }

    /// Its facts.
    pub fn info(&self) -> &MapInfo {
        &self.info
    }

    /// Bytes that the kernel reads or writes for one element's value.
    fn value_bytes(&self) -> Result<usize> {
        let size = self.info.value_size as usize;
        Ok(if self.info.is_per_cpu() { size.next_multiple_of(8) * machine::possible_cpus()? } else { size })
    }

    /// The value of `key`; `None` where there is none. Per-CPU maps: all CPUs' values, each padded to 8 bytes.
    pub fn lookup(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.check_size("key", key, self.info.key_size as usize)?;
        let mut value = vec![0u8; self.value_bytes()?];
        // SAFETY: key and value have the sizes that the kernel takes for this map.
        let ret = unsafe {
            libbpf_sys::bpf_map_lookup_elem(self.fd.as_raw_fd(), pointer(key), value.as_mut_ptr().cast::<c_void>())
        };
        match ret {
            ret if ret == -libc::ENOENT => Ok(None),
            ret => bpf::check(ret, || self.doing("look up an element of")).map(|_| Some(value)),
        }
    }

    /// Sets the value of `key`, whether it was there or not. Sizes as in [`Map::lookup`]; for prog arrays and
    /// maps of maps the value is a descriptor's number.
    pub fn update(&self, key: &[u8], value: &[u8]) -> Result<()> {
        let ret = self.set(key, value, libbpf_sys::BPF_ANY)?;
        bpf::check(ret, || self.doing("set an element of")).map(drop)
    }

    /// Sets the value of `key` where it is not there yet; false where it is.
    pub fn insert(&self, key: &[u8], value: &[u8]) -> Result<bool> {
        match self.set(key, value, libbpf_sys::BPF_NOEXIST)? {
            ret if ret == -libc::EEXIST => Ok(false),
            ret => bpf::check(ret, || self.doing("add an element to")).map(|_| true),
        }
    }

    fn set(&self, key: &[u8], value: &[u8], flags: u32) -> Result<i32> {
        self.check_size("key", key, self.info.key_size as usize)?;
        self.check_size("value", value, self.value_bytes()?)?;
        // SAFETY: key and value have the sizes that the kernel takes for this map.
        Ok(unsafe {
            libbpf_sys::bpf_map_update_elem(self.fd.as_raw_fd(), pointer(key), pointer(value), u64::from(flags))
        })
    }

    /// Removes `key`; false where it was not there. Array maps refuse it (EINVAL).
    pub fn delete(&self, key: &[u8]) -> Result<bool> {
        self.check_size("key", key, self.info.key_size as usize)?;
        // SAFETY: the key has the size that the kernel takes for this map.
        match unsafe { libbpf_sys::bpf_map_delete_elem(self.fd.as_raw_fd(), pointer(key)) } {
            ret if ret == -libc::ENOENT => Ok(false),
            ret => bpf::check(ret, || self.doing("remove an element of")).map(|_| true),
        }
    }

    /// The value of element 0 of an array map, such as `.rodata`.
    pub fn first(&self) -> Result<Vec<u8>> {
        self.lookup(&0u32.to_ne_bytes())?.ok_or_else(|| Error::failed(self.doing("read element 0 of")))
    }

    /// The element `index` of a per-CPU array of `u64` counters, summed over the CPUs (wrapping).
    pub fn sum_per_cpu(&self, index: u32) -> Result<Vec<u64>> {
        let size = self.info.value_size as usize;
        if self.info.map_type != libbpf_sys::BPF_MAP_TYPE_PERCPU_ARRAY || size == 0 || !size.is_multiple_of(8) {
            return Err(Error::usage(self.doing("read counters of")).cause("it is no per-CPU array of 64-bit counters"));
        }
        let Some(value) = self.lookup(&index.to_ne_bytes())? else {
            return Err(Error::usage(self.doing(&format!("read element {index} of"))).cause("there is no such element"));
        };
        let mut sums = vec![0u64; size / 8];
        for cpu in value.chunks_exact(size) {
            for (sum, bytes) in sums.iter_mut().zip(cpu.chunks_exact(8)) {
                let count = bytes.try_into().map(u64::from_ne_bytes).unwrap_or_default();
                *sum = sum.wrapping_add(count);
            }
        }
        Ok(sums)
    }

    /// All counters of a per-CPU array of `u64` counters, one element after the other, summed over the CPUs (wrapping).
    pub fn sums_per_cpu(&self) -> Result<Vec<u64>> {
        let mut all = Vec::new();
        for index in 0..self.info.max_entries {
            all.append(&mut self.sum_per_cpu(index)?);
        }
        Ok(all)
    }

    /// Sets the element `index` of a per-CPU array of `u64` counters so that its sums are these.
    pub fn set_per_cpu(&self, index: u32, sums: &[u64]) -> Result<()> {
        let mut value = vec![0u8; self.value_bytes()?];
        for (bytes, sum) in value.chunks_exact_mut(8).zip(sums) {
            bytes.copy_from_slice(&sum.to_ne_bytes());
        }
        self.update(&index.to_ne_bytes(), &value)
    }

    /// The key behind `key`, in the kernel's order; the first one where `key` is none or not there (any more).
    /// None at the end.
    pub fn next_key(&self, key: Option<&[u8]>) -> Result<Option<Vec<u8>>> {
        if let Some(key) = key {
            self.check_size("key", key, self.info.key_size as usize)?;
        }
        let mut next = vec![0u8; self.info.key_size as usize];
        // SAFETY: both keys have the size that the kernel takes for this map; null asks for the first.
        let ret = unsafe {
            libbpf_sys::bpf_map_get_next_key(
                self.fd.as_raw_fd(),
                key.map_or(std::ptr::null(), pointer),
                next.as_mut_ptr().cast::<c_void>(),
            )
        };
        match ret {
            ret if ret == -libc::ENOENT => Ok(None),
            ret => bpf::check(ret, || self.doing("list the keys of")).map(|_| Some(next)),
        }
    }

    /// All keys, in the kernel's order. Those that are added meanwhile may be left out.
    pub fn keys(&self) -> Result<Vec<Vec<u8>>> {
        if let Some(keys) = self.keys_in_batches()? {
            return Ok(keys);
        }
        let mut keys: Vec<Vec<u8>> = Vec::new();
        // A hash that changes meanwhile may begin anew: more keys than it holds are some of them twice.
        while keys.len() <= self.info.max_entries as usize
            && let Some(key) = self.next_key(keys.last().map(Vec::as_slice))?
        {
            keys.push(key);
        }
        Ok(keys)
    }

    /// All keys, thousands of them by a system call (`BPF_MAP_LOOKUP_BATCH`); none where the kernel has that not for this
    /// type of map.
    fn keys_in_batches(&self) -> Result<Option<Vec<Vec<u8>>>> {
        let (key_size, value_size) = (self.info.key_size as usize, self.value_bytes()?);
        // Where the next batch begins: a bucket's number, or a key.
        let (mut from, mut next) = (vec![0u8; key_size.max(8)], vec![0u8; key_size.max(8)]);
        let (mut room, mut all) = (BATCH, Vec::new());
        let (mut keys, mut values) = (Vec::new(), Vec::new());
        loop {
            keys.resize(room * key_size, 0u8);
            values.resize(room * value_size, 0u8);
            let mut count = room as u32;
            let begin = if all.is_empty() { std::ptr::null_mut() } else { from.as_mut_ptr().cast::<c_void>() };
            let options = batch_options();
            // SAFETY: `count` keys and values of the sizes that the kernel writes for this map; what tells batches apart
            // has at most 8 bytes, or a key's (`generic_map_lookup_batch`, `__htab_map_lookup_and_delete_batch`).
            let ret = unsafe {
                libbpf_sys::bpf_map_lookup_batch(
                    self.fd.as_raw_fd(),
                    begin,
                    next.as_mut_ptr().cast::<c_void>(),
                    keys.as_mut_ptr().cast::<c_void>(),
                    values.as_mut_ptr().cast::<c_void>(),
                    &mut count,
                    &options,
                )
            };
            match -ret {
                // A bucket has more than there is room for.
                libc::ENOSPC => room *= 2,
                0 | libc::ENOENT => {
                    all.extend(keys.chunks_exact(key_size.max(1)).take(count as usize).map(<[u8]>::to_vec));
                    std::mem::swap(&mut from, &mut next);
                    // A map that changes meanwhile may begin anew: more keys than it holds are some of them twice.
                    if ret != 0 || count == 0 || all.len() > self.info.max_entries as usize {
                        return Ok(Some(all));
                    }
                }
                _ => return Ok(None),
            }
        }
    }

    /// Sets elements, each a key and its value: with one system call for all where the kernel can
    /// (`BPF_MAP_UPDATE_BATCH`), else one by one.
    ///
    /// # Errors
    /// The map is full, or refuses an element; those before it are set.
    pub fn update_all<'a>(&self, elements: impl IntoIterator<Item = (&'a [u8], &'a [u8])>) -> Result<()> {
        let (mut keys, mut values, mut count) = (Vec::new(), Vec::new(), 0);
        for (key, value) in elements {
            self.check_size("key", key, self.info.key_size as usize)?;
            self.check_size("value", value, self.value_bytes()?)?;
            keys.extend_from_slice(key);
            values.extend_from_slice(value);
            count += 1;
        }
        let mut done: u32 = count;
        if count > 1 {
            let options = batch_options();
            // SAFETY: `count` keys and values of the sizes that the kernel takes for this map.
            let ret = unsafe {
                libbpf_sys::bpf_map_update_batch(
                    self.fd.as_raw_fd(),
                    pointer(&keys),
                    pointer(&values),
                    &mut done,
                    &options,
                )
            };
            if ret >= 0 || !without_batches(ret) {
                return bpf::check(ret, || self.doing("set elements of")).map(drop);
            }
        }
        let values = values.chunks_exact(self.value_bytes()?.max(1));
        keys.chunks_exact(self.info.key_size.max(1) as usize)
            .zip(values)
            .try_for_each(|(key, value)| self.update(key, value))
    }

    /// Removes keys; how many of them were there.
    pub fn delete_all<'a>(&self, keys: impl IntoIterator<Item = &'a [u8]>) -> Result<usize> {
        // The kernel's batch ends at the first key that is not there, so they are removed one by one: each takes
        // less than a microsecond.
        let mut removed = 0;
        for key in keys {
            removed += usize::from(self.delete(key)?);
        }
        Ok(removed)
    }

    fn doing(&self, action: &str) -> String {
        format!("{action} map {} (id {})", self.info.name, self.info.id)
    }

    fn check_size(&self, what: &str, bytes: &[u8], size: usize) -> Result<()> {
        if bytes.len() == size {
            return Ok(());
        }
        let cause = format!("the {what} has {} bytes, the map wants {size}", bytes.len());
        Err(Error::usage(self.doing("use")).cause(cause))
    }
}

impl AsFd for Map {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// The ids of all maps, ascending. Needs `CAP_SYS_ADMIN`.
pub fn ids() -> Result<Vec<u32>> {
    bpf::ids(libbpf_sys::bpf_map_get_next_id, "maps")
}

/// Keys that a batch has room for at first.
const BATCH: usize = 4096;

fn batch_options() -> libbpf_sys::bpf_map_batch_opts {
    libbpf_sys::bpf_map_batch_opts {
        sz: size_of::<libbpf_sys::bpf_map_batch_opts>() as u64,
        ..libbpf_sys::bpf_map_batch_opts::default()
    }
}

/// Whether an error of a batch says that this kernel, or this type of map, has none (`generic_map_update_batch`,
/// `kernel/bpf/syscall.c`).
fn without_batches(ret: i32) -> bool {
    matches!(-ret, libc::EINVAL | bpf::ENOTSUPP | libc::EOPNOTSUPP)
}

fn pointer(bytes: &[u8]) -> *const c_void {
    bytes.as_ptr().cast::<c_void>()
}
