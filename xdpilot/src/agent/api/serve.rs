//! The server: connections, each with a bound on what it may take.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use axum::Router;
use axum::http::{Request, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};
use xdpilot_core::error::{Error, Result};

use super::answer::Refusal;
use super::caller::Peer;
use super::listen::{Listen, Local, Remote};
use super::router::router;
use super::shared::Shared;
use super::tokens::Tokens;
use super::{events, process};
use crate::store::Store;
use crate::stored::config::Config;

/// Connections at a time, for each way in.
const CONNECTIONS: usize = 128;
/// Requests with a body that are read at a time, for each way in: each may have 64 MiB.
const BODIES: usize = 4;
/// Streams of events at a time, for each way in.
const STREAMS: usize = 32;
/// Requests at a time that wait for the store.
const WORKERS: usize = 8;
/// And for the kernel: metrics and rates are there when the store is not.
const READERS: usize = 2;
/// So long a TLS handshake and a request's head may take.
const HEAD: Duration = Duration::from_secs(10);
/// Bytes of a request's head.
const HEAD_BYTES: usize = 64 << 10;

/// What all requests share.
pub(super) struct Api {
    pub(super) shared: Arc<Shared>,
    /// Of those who ask over TCP.
    pub(super) tokens: Option<Tokens>,
    workers: Arc<Semaphore>,
    readers: Arc<Semaphore>,
}

/// What those who come the same way share.
#[derive(Debug)]
pub(super) struct Gate {
    connections: Arc<Semaphore>,
    /// Of requests with a body.
    pub(super) bodies: Semaphore,
    /// Of streams of events.
    pub(super) streams: Arc<Semaphore>,
}

impl Gate {
    fn new() -> Arc<Self> {
        Arc::new(Gate {
            connections: Arc::new(Semaphore::new(CONNECTIONS)),
            bodies: Semaphore::new(BODIES),
            streams: Arc::new(Semaphore::new(STREAMS)),
        })
    }
}

impl Api {
    /// Runs what waits for the store, on a thread of its own.
    pub(super) async fn with_store<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn Store) -> Result<T> + Send + 'static,
    ) -> std::result::Result<T, Refusal> {
        let reach = self.shared.reach.clone();
        let work = move || reach.store().and_then(|store| work(&*store));
        let result = blocking(&self.workers, work).await;
        result.map_err(|refusal| match refusal.status {
            StatusCode::INTERNAL_SERVER_ERROR if self.shared.is_away() => {
                Refusal::new(StatusCode::SERVICE_UNAVAILABLE, refusal.error)
            }
            _ => refusal,
        })
    }

    /// Runs what waits for the kernel, on a thread of its own.
    pub(super) async fn with_kernel<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> std::result::Result<T, Refusal> {
        blocking(&self.readers, work).await
    }
}

/// Runs what waits, as soon as there is room for it.
async fn blocking<T: Send + 'static>(
    room: &Arc<Semaphore>,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> std::result::Result<T, Refusal> {
    // Nobody closes it. The thread has it, which goes on where nobody waits for the answer any more.
    let permit = room.clone().acquire_owned().await.ok();
    let work = move || {
        let result = work();
        drop(permit);
        result
    };
    match spawn_blocking(work).await {
        Ok(result) => result.map_err(Refusal::from),
        Err(error) => Err(Error::failed("answer the request").cause(error.to_string()).into()),
    }
}

/// The API, as long as this value lives.
pub(in crate::agent) struct Server {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Begins to listen.
    ///
    /// # Errors
    /// A socket or an address cannot be had, or a file of the arguments is not what it should be.
    pub(in crate::agent) fn start(config: &Config, listen: &Listen, shared: Arc<Shared>) -> Result<Self> {
        // Who finds the socket finds all of it.
        let remote = listen.open()?;
        let local = Local::open(&config.socket())?;
        let failed = |error: std::io::Error| Error::failed("serve the API").kernel(error.to_string());
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(WORKERS + READERS)
            .thread_name("api")
            .enable_all()
            .build()
            .map_err(failed)?;
        let (stop, stopped) = oneshot::channel();
        process::begin();
        let thread = thread::Builder::new().name("api".into()).spawn(move || {
            run(&runtime, local, remote, shared, stopped);
            // Streams of events have no end of their own.
            runtime.shutdown_timeout(Duration::from_secs(1));
        });
        Ok(Server { stop: Some(stop), thread: Some(thread.map_err(failed)?) })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        _ = self.thread.take().map(JoinHandle::join);
    }
}

fn run(runtime: &Runtime, local: Local, remote: Option<Remote>, shared: Arc<Shared>, stopped: oneshot::Receiver<()>) {
    let (tokens, remote) = match remote {
        Some(Remote { listener, acceptor, tokens }) => (Some(tokens), Some((listener, acceptor))),
        None => (None, None),
    };
    let (workers, readers) = (Arc::new(Semaphore::new(WORKERS)), Arc::new(Semaphore::new(READERS)));
    let api = Arc::new(Api { shared, tokens, workers, readers });
    let router = router(&api);
    runtime.block_on(async {
        tokio::spawn(events::rates(api.clone()));
        if let Some((listener, acceptor)) = remote {
            tokio::spawn(accept_remote(listener, acceptor, router.clone()));
        }
        let accept = tokio::spawn(accept_local(local.listener.try_clone(), router));
        _ = stopped.await;
        accept.abort();
    });
    drop(local);
}

/// Takes connections on the Unix socket.
async fn accept_local(listener: std::io::Result<std::os::unix::net::UnixListener>, router: Router) {
    let Ok(listener) = listener.and_then(UnixListener::from_std) else { return };
    let gate = Gate::new();
    loop {
        let Some(permit) = permit(&gate).await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            // No descriptor is free, most likely.
            sleep(Duration::from_millis(100)).await;
            continue;
        };
        // The socket's mode says so already; a folder of sockets may be mounted anywhere.
        let uid = stream.peer_cred().ok().map(|peer| peer.uid());
        let Some(user) = uid.filter(|uid| *uid == 0 || process::is_own_user(*uid)).map(process::user) else { continue };
        let peer = Peer { user: Some(user), gate: gate.clone() };
        tokio::spawn(connection(stream, peer, router.clone(), permit));
    }
}

/// Takes connections over TCP.
async fn accept_remote(listener: std::net::TcpListener, acceptor: tokio_rustls::TlsAcceptor, router: Router) {
    let Ok(listener) = TcpListener::from_std(listener) else { return };
    let gate = Gate::new();
    loop {
        let Some(permit) = permit(&gate).await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            sleep(Duration::from_millis(100)).await;
            continue;
        };
        let (acceptor, router, gate) = (acceptor.clone(), router.clone(), gate.clone());
        tokio::spawn(async move {
            _ = stream.set_nodelay(true);
            if let Ok(Ok(stream)) = timeout(HEAD, acceptor.accept(stream)).await {
                connection(stream, Peer { user: None, gate }, router, permit).await;
            }
        });
    }
}

async fn permit(gate: &Gate) -> Option<OwnedSemaphorePermit> {
    gate.connections.clone().acquire_owned().await.ok()
}

/// Answers the requests of one connection.
async fn connection<S>(stream: S, peer: Peer, router: Router, permit: OwnedSemaphorePermit)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer.clone());
        TowerToHyperService::new(router.clone()).call(request)
    });
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(HEAD_BYTES);
    // How a client ends is its own business.
    _ = server.serve_connection(TokioIo::new(stream), service).await;
    drop(permit);
}
