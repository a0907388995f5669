//! Where the API is asked.

use std::fs::{self, Permissions};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use clap::Args as ClapArgs;
use tokio_rustls::TlsAcceptor;
use xdpilot_core::error::{Error, Result};
use xdpilot_kernel::inherited;

use super::tls;
use super::tokens::Tokens;

/// Where besides its socket the API is asked.
#[derive(Clone, Debug, ClapArgs)]
#[command(next_help_heading = "API")]
pub(in crate::agent) struct Listen {
    /// Serve the API at this address too, with TLS, to those who have a token
    #[arg(long, value_name = "ADDR:PORT", requires_all = ["tls_cert", "tls_key", "tokens"])]
    listen: Option<SocketAddr>,
    /// The certificates of that address, PEM
    #[arg(long, value_name = "FILE", requires = "listen")]
    tls_cert: Option<PathBuf>,
    /// Their key, PEM
    #[arg(long, value_name = "FILE", requires = "listen")]
    tls_key: Option<PathBuf>,
    /// Lines of read|write NAME TOKEN; the place of TOKEN may be taken by sha256:HEX
    #[arg(long, value_name = "FILE", requires = "listen")]
    tokens: Option<PathBuf>,
}

/// The Unix socket; its file goes with it.
#[derive(Debug)]
pub(super) struct Local {
    pub(super) listener: UnixListener,
    /// None where the service manager has it.
    path: Option<PathBuf>,
}

/// An address for others.
pub(super) struct Remote {
    pub(super) listener: TcpListener,
    pub(super) acceptor: TlsAcceptor,
    pub(super) tokens: Tokens,
}

impl Listen {
    /// Listens for others, where that is asked for.
    ///
    /// # Errors
    /// A file is not what it should be, or somebody else has the address.
    pub(super) fn open(&self) -> Result<Option<Remote>> {
        let (Some(address), Some(cert), Some(key), Some(tokens)) =
            (self.listen, &self.tls_cert, &self.tls_key, &self.tokens)
        else {
            return Ok(None);
        };
        let tokens = Tokens::of_file(tokens)?;
        let acceptor = tls::acceptor(cert, key)?;
        let listener = TcpListener::bind(address).and_then(|listener| {
            listener.set_nonblocking(true)?;
            Ok(listener)
        });
        let listener =
            listener.map_err(|error| Error::failed(format!("listen on {address}")).kernel(error.to_string()))?;
        Ok(Some(Remote { listener, acceptor, tokens }))
    }
}

impl Local {
    /// Listens on a socket that is root's; takes the one that the service manager has opened, if it has.
    ///
    /// # Errors
    /// The system refuses.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let failed =
            |error: &io::Error| Error::failed(format!("listen on {}", path.display())).kernel(error.to_string());
        let (listener, path) = match inherited::listener()? {
            Some(listener) => (listener, None),
            None => (bind(path).map_err(|error| failed(&error))?, Some(path.to_owned())),
        };
        listener.set_nonblocking(true).map_err(|error| Error::failed("listen").kernel(error.to_string()))?;
        Ok(Local { listener, path })
    }
}

/// A socket in the place of the one that an agent left there which was killed: no other agent has this folder.
fn bind(path: &Path) -> io::Result<UnixListener> {
    // It has its name when nobody else can ask it any more.
    let new = path.with_extension("new");
    for stale in [new.as_path(), path] {
        match fs::remove_file(stale) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    let listener = UnixListener::bind(&new)?;
    fs::set_permissions(&new, Permissions::from_mode(0o600))?;
    fs::rename(&new, path)?;
    Ok(listener)
}

impl Drop for Local {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            _ = fs::remove_file(path);
        }
    }
}
