//! TLS for those who ask over TCP.

use std::path::Path;
use std::sync::Arc;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use xdpilot_core::error::{Error, Result};

use super::tokens::private;

/// What takes connections, with the certificates and the key of two files of PEM.
///
/// # Errors
/// They are none, or do not belong together; others may read the key.
pub(super) fn acceptor(cert: &Path, key: &Path) -> Result<TlsAcceptor> {
    private(key)?;
    let failed = |path: &Path, error: &dyn ToString| {
        Error::usage(format!("read {}", path.display()))
            .cause(error.to_string())
            .mend("openssl req -x509 -newkey rsa:2048 -nodes -keyout KEY -out CERT -days 365 -subj /CN=HOST")
    };
    let certs = CertificateDer::pem_file_iter(cert).map_err(|error| failed(cert, &error))?;
    let certs: Vec<CertificateDer<'static>> =
        certs.collect::<std::result::Result<_, _>>().map_err(|error| failed(cert, &error))?;
    if certs.is_empty() {
        return Err(failed(cert, &"there is no certificate in it"));
    }
    let der = PrivateKeyDer::from_pem_file(key).map_err(|error| failed(key, &error))?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| failed(cert, &error))?
        .with_no_client_auth()
        .with_single_cert(certs, der)
        .map_err(|error| failed(cert, &error))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}
