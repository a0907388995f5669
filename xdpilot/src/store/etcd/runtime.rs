//! The threads on which all clusters of this process speak.

use std::io;
use std::sync::{OnceLock, mpsc};

use tokio::runtime::{Builder, Runtime};
use xdpilot_core::error::{Error, Result};

const THREADS: usize = 2;

static RUNTIME: OnceLock<io::Result<Runtime>> = OnceLock::new();

/// The runtime of this process.
pub(super) fn runtime() -> Result<&'static Runtime> {
    let start = || Builder::new_multi_thread().worker_threads(THREADS).thread_name("etcd").enable_all().build();
    RUNTIME
        .get_or_init(start)
        .as_ref()
        .map_err(|error| Error::failed("start the threads that speak to etcd").kernel(error.to_string()))
}

/// Runs requests and waits for their end. (Not by `block_on`: this may be called on a thread of another runtime.)
pub(super) fn wait<T: Send + 'static>(requests: impl Future<Output = T> + Send + 'static) -> Result<T> {
    let (tell, told) = mpsc::sync_channel(1);
    runtime()?.spawn(async move { tell.send(requests.await) });
    told.recv().map_err(|_| Error::failed("ask etcd").cause("the thread that asked died"))
}
