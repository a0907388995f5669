//! Reading what programs put into a perf event array (`BPF_MAP_TYPE_PERF_EVENT_ARRAY`): a buffer for each CPU.

use std::ffi::{c_int, c_void};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::ptr::{self, NonNull};
use std::slice;
use std::time::Duration;

use nix::libc;
use xdpilot_core::error::{Error, Result};

use crate::bpf;
use crate::map::Map;

/// Pages of a CPU's buffer.
const PAGES: u64 = 64;

/// The reader of a perf event array. Each array has one: a second one takes the first one's place.
///
/// Its descriptor is readable where records wait.
#[derive(Debug)]
pub struct PerfBuffer {
    buffer: NonNull<libbpf_sys::perf_buffer>,
    /// What the callbacks fill; libbpf has its address.
    taken: Box<Taken>,
    /// libbpf has its descriptor.
    _map: Map,
}

// SAFETY: libbpf's reader belongs to no thread; it and what its callbacks fill move together.
unsafe impl Send for PerfBuffer {}

/// What was taken out of the buffers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Records, in the order in which they came on their CPU. The kernel pads them with up to 7 bytes.
    pub records: Vec<Vec<u8>>,
    /// So many came while a buffer was full.
    pub lost: u64,
}

impl PerfBuffer {
    /// Makes the buffers and puts them into the map.
    ///
    /// # Errors
    /// The map is of another type, or the kernel refuses perf events.
    pub fn new(map: Map) -> Result<Self> {
        let what = || format!("read the perf event array {} (id {})", map.info().name, map.info().id);
        if map.info().map_type != libbpf_sys::BPF_MAP_TYPE_PERF_EVENT_ARRAY {
            return Err(Error::usage(what()).cause("it is no perf event array"));
        }
        let mut taken = Box::new(Taken::default());
        let context = ptr::from_mut(&mut *taken).cast::<c_void>();
        let fd = map.as_fd().as_raw_fd();
        // SAFETY: the descriptor stays open, and the context in its place, as long as the reader lives.
        let buffer = unsafe { libbpf_sys::perf_buffer__new(fd, PAGES, Some(keep), Some(miss), context, ptr::null()) };
        let errno = || std::io::Error::last_os_error().raw_os_error().unwrap_or(0);
        let buffer = NonNull::new(buffer).ok_or_else(|| bpf::error(errno(), what()))?;
        Ok(PerfBuffer { buffer, taken, _map: map })
    }

    /// Waits for records, not longer than `timeout`, and takes all that are there. A signal ends the wait.
    pub fn poll(&mut self, timeout: Duration) -> Result<Taken> {
        let milliseconds = c_int::try_from(timeout.as_millis()).unwrap_or(c_int::MAX);
        // SAFETY: the reader is valid; only during this call does libbpf call back.
        let ret = unsafe { libbpf_sys::perf_buffer__poll(self.buffer.as_ptr(), milliseconds) };
        self.result(if ret == -libc::EINTR { 0 } else { ret })
    }

    /// Takes all records that are there.
    pub fn take(&mut self) -> Result<Taken> {
        // SAFETY: as in `poll`.
        let ret = unsafe { libbpf_sys::perf_buffer__consume(self.buffer.as_ptr()) };
        self.result(ret)
    }

    fn result(&mut self, ret: c_int) -> Result<Taken> {
        let taken = std::mem::take(&mut *self.taken);
        bpf::check(ret, || "read a perf event array".to_owned()).map(|_| taken)
    }
}

/// libbpf's callback for one record.
unsafe extern "C" fn keep(context: *mut c_void, _cpu: c_int, data: *mut c_void, size: u32) {
    // SAFETY: the context is the box of the reader, which is borrowed mutably by the call that calls back and not
    // touched there meanwhile.
    let taken = unsafe { &mut *context.cast::<Taken>() };
    // SAFETY: libbpf hands over the record's bytes, which stay as they are during the callback.
    taken.records.push(unsafe { slice::from_raw_parts(data.cast::<u8>(), size as usize) }.to_vec());
}

/// libbpf's callback for lost records.
unsafe extern "C" fn miss(context: *mut c_void, _cpu: c_int, count: u64) {
    // SAFETY: as in `keep`.
    unsafe { &mut *context.cast::<Taken>() }.lost += count;
}

impl AsFd for PerfBuffer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the descriptor belongs to the reader, which lives as long as the borrow.
        unsafe { BorrowedFd::borrow_raw(libbpf_sys::perf_buffer__epoll_fd(self.buffer.as_ptr())) }
    }
}

impl Drop for PerfBuffer {
    fn drop(&mut self) {
        // SAFETY: a valid reader, which nobody uses any more.
        unsafe { libbpf_sys::perf_buffer__free(self.buffer.as_ptr()) }
    }
}
