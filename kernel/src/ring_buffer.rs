//! Reading the records that programs put into a ring buffer (`BPF_MAP_TYPE_RINGBUF`).

use std::ffi::{c_int, c_void};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::ptr::{self, NonNull};
use std::slice;
use std::time::Duration;

use nix::libc;
use xdpilot_core::error::{Error, Result};

use crate::bpf;
use crate::map::Map;

/// The reader of a ring buffer. There should be one: what one takes, another does not see.
///
/// Its descriptor is readable where records wait.
#[derive(Debug)]
pub struct RingBuffer {
    ring: NonNull<libbpf_sys::ring_buffer>,
    /// What the callback fills; libbpf has its address.
    records: Box<Records>,
    /// libbpf has its descriptor.
    _map: Map,
}

/// Records in the order in which they came.
type Records = Vec<Vec<u8>>;

impl RingBuffer {
    /// Opens the ring buffer of a map.
    ///
    /// # Errors
    /// The map is of another type, or its memory may not be mapped.
    pub fn new(map: Map) -> Result<Self> {
        let what = || format!("read the ring buffer {} (id {})", map.info().name, map.info().id);
        if map.info().map_type != libbpf_sys::BPF_MAP_TYPE_RINGBUF {
            return Err(Error::usage(what()).cause("it is no ring buffer"));
        }
        let mut records = Box::new(Records::new());
        let context = ptr::from_mut(&mut *records).cast::<c_void>();
        // SAFETY: the descriptor stays open, and the context in its place, as long as the reader lives.
        let ring = unsafe { libbpf_sys::ring_buffer__new(map.as_fd().as_raw_fd(), Some(keep), context, ptr::null()) };
        let errno = || std::io::Error::last_os_error().raw_os_error().unwrap_or(0);
        let ring = NonNull::new(ring).ok_or_else(|| bpf::error(errno(), what()))?;
        Ok(RingBuffer { ring, records, _map: map })
    }

    /// Waits for records, not longer than `timeout`, and takes all that are there. A signal ends the wait.
    pub fn poll(&mut self, timeout: Duration) -> Result<Vec<Vec<u8>>> {
        let milliseconds = c_int::try_from(timeout.as_millis()).unwrap_or(c_int::MAX);
        // SAFETY: the reader is valid; only during this call does libbpf call back.
        let ret = unsafe { libbpf_sys::ring_buffer__poll(self.ring.as_ptr(), milliseconds) };
        self.taken(if ret == -libc::EINTR { 0 } else { ret })
    }

    /// Takes all records that are there.
    pub fn take(&mut self) -> Result<Vec<Vec<u8>>> {
        // SAFETY: as in `poll`.
        let ret = unsafe { libbpf_sys::ring_buffer__consume(self.ring.as_ptr()) };
        self.taken(ret)
    }

    fn taken(&mut self, ret: c_int) -> Result<Vec<Vec<u8>>> {
        let records = std::mem::take(&mut *self.records);
        bpf::check(ret, || "read a ring buffer".to_owned()).map(|_| records)
    }
}

/// libbpf's callback for one record.
unsafe extern "C" fn keep(context: *mut c_void, data: *mut c_void, size: libbpf_sys::size_t) -> c_int {
    // SAFETY: the context is the box of the reader, which is borrowed mutably by the call that calls back and not
    // touched there meanwhile.
    let records = unsafe { &mut *context.cast::<Records>() };
    // SAFETY: libbpf hands over the record's bytes, which stay as they are during the callback.
    records.push(unsafe { slice::from_raw_parts(data.cast::<u8>(), size as usize) }.to_vec());
    0
}

impl AsFd for RingBuffer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the descriptor belongs to the reader, which lives as long as the borrow.
        unsafe { BorrowedFd::borrow_raw(libbpf_sys::ring_buffer__epoll_fd(self.ring.as_ptr())) }
    }
}

impl Drop for RingBuffer {
    fn drop(&mut self) {
        // SAFETY: a valid reader, which nobody uses any more.
        unsafe { libbpf_sys::ring_buffer__free(self.ring.as_ptr()) }
    }
}
