//! Who a user of etcd is, and whom it trusts: name and password, certificates.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::{env, fmt, fs};

use etcd_client::{Certificate, Identity, TlsOptions};
use xdpilot_core::error::{Error, Kind, Result};

const USER: &str = "XDPILOT_STORE_USER";
const CA: &str = "XDPILOT_STORE_CA";
const CERTIFICATE: &str = "XDPILOT_STORE_CERT";
const KEY: &str = "XDPILOT_STORE_KEY";

/// The CAs that a machine trusts, where its distribution puts them (Debian, Fedora, Alpine).
const TRUSTED: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// What a cluster asks for, and how it is known that it is the right one.
#[derive(Clone, Default)]
pub struct Access {
    /// Name and password.
    pub user: Option<(String, String)>,
    /// The CAs that sign the certificates of members, in PEM; the machine's where there is none.
    pub ca: Option<PathBuf>,
    /// The client's certificate, in PEM.
    pub certificate: Option<PathBuf>,
    /// The key of the certificate, in PEM.
    pub key: Option<PathBuf>,
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The password is not for logs.
        let user = self.user.as_ref().map(|(name, _)| name);
        let Access { ca, certificate, key, .. } = self;
        f.debug_struct("Access")
            .field("user", &user)
            .field("ca", ca)
            .field("certificate", certificate)
            .field("key", key)
            .finish()
    }
}

impl Access {
    /// What the environment says: `XDPILOT_STORE_USER`, `…_CA`, `…_CERT` and `…_KEY`.
    ///
    /// # Errors
    /// The user is not `NAME:PASSWORD`.
    pub fn from_environment() -> Result<Self> {
        Self::read(|name| env::var_os(name))
    }

    fn read(variable: impl Fn(&str) -> Option<OsString>) -> Result<Self> {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        // The value itself is in no message: it is a password.
        let user = set(USER).map(|value| {
            let (name, password) = value.to_str().and_then(|value| value.split_once(':'))?;
            (!name.is_empty()).then(|| (name.to_string(), password.to_string()))
        });
        let wrong = || Error::usage(format!("the variable {USER}")).cause("it is not NAME:PASSWORD");
        Ok(Access {
            user: user.map(|user| user.ok_or_else(wrong)).transpose()?,
            ca: set(CA).map(PathBuf::from),
            certificate: set(CERTIFICATE).map(PathBuf::from),
            key: set(KEY).map(PathBuf::from),
        })
    }

    /// What TLS needs, for a cluster that speaks it.
    pub(super) fn tls(&self, store: &str) -> Result<TlsOptions> {
        let mut options = TlsOptions::new();
        let authorities = match &self.ca {
            Some(path) => pem(CA, path, "CERTIFICATE")?,
            None => {
                let path = TRUSTED.iter().map(Path::new).find(|path| path.exists());
                let none = || {
                    Error::usage(format!("open the store {store}"))
                        .cause("this machine has no list of CAs that it trusts")
                        .mend(format!("set {CA} to the file of the CA that signs the certificates of etcd's members"))
                };
                pem(CA, path.ok_or_else(none)?, "CERTIFICATE")?
            }
        };
        options = options.ca_certificate(Certificate::from_pem(authorities));
        match (&self.certificate, &self.key) {
            (Some(certificate), Some(key)) => {
                let certificate = pem(CERTIFICATE, certificate, "CERTIFICATE")?;
                Ok(options.identity(Identity::from_pem(certificate, pem(KEY, key, "PRIVATE KEY")?)))
            }
            (None, None) => Ok(options),
            _ => Err(Error::usage(format!("open the store {store}"))
                .cause(format!("only one of {CERTIFICATE} and {KEY} is set"))
                .mend("set both, or none")),
        }
    }

    /// Refuses what only TLS makes use of, for a cluster that does not speak it: who sets it wants no clear text.
    pub(super) fn no_tls(&self, store: &str) -> Result<()> {
        let set = [(CA, &self.ca), (CERTIFICATE, &self.certificate), (KEY, &self.key)];
        match set.iter().find(|(_, path)| path.is_some()) {
            None => Ok(()),
            Some((name, _)) => Err(Error::usage(format!("open the store {store}"))
                .cause(format!("{name} is set, but etcd:// speaks no TLS"))
                .mend("name the store by etcds://")),
        }
    }
}

/// A PEM file that has something of this kind in it.
fn pem(variable: &str, path: &Path, kind: &str) -> Result<String> {
    let what = format!("read {} ({variable})", path.display());
    let text = fs::read_to_string(path).map_err(|error| {
        let told = Error::usage(&what).kernel(error.to_string());
        if error.kind() == std::io::ErrorKind::PermissionDenied { told.of_kind(Kind::NotPermitted) } else { told }
    })?;
    let begins = text.lines().any(|line| line.starts_with("-----BEGIN ") && line.contains(kind));
    if begins { Ok(text) } else { Err(Error::usage(what).cause(format!("it has no {kind} in PEM"))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(user: &str) -> Result<Access> {
        Access::read(|name| (name == USER).then(|| user.into()))
    }

    #[test]
    fn users_are_names_with_passwords() {
        let user = |name: &str, password: &str| Some((name.to_string(), password.to_string()));
        assert_eq!(access("edge:a:b").unwrap().user, user("edge", "a:b"));
        assert_eq!(access("").unwrap().user, None);
        for wrong in ["edge", ":secret"] {
            let error = access(wrong).unwrap_err().to_string();
            assert!(error.contains("NAME:PASSWORD") && !error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn passwords_are_not_printed() {
        let printed = format!("{:?}", access("edge:secret").unwrap());
        assert!(printed.contains("edge") && !printed.contains("secret"), "{printed}");
    }

    #[test]
    fn what_is_wrong_with_files_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let (text, good) = (folder.path().join("text"), folder.path().join("good"));
        fs::write(&text, "hello").unwrap();
        fs::write(&good, "-----BEGIN CERTIFICATE-----\n").unwrap();
        let missing = folder.path().join("missing");
        let told = |access: Access| access.tls("etcds://a").unwrap_err().to_string();
        for (file, words) in [(&text, "no CERTIFICATE in PEM"), (&missing, "No such file")] {
            let error = told(Access { ca: Some(file.clone()), ..Access::default() });
            assert!(error.contains(words) && error.contains(CA), "{error}");
        }
        let half = Access { ca: Some(good.clone()), certificate: Some(good.clone()), ..Access::default() };
        assert!(told(half.clone()).contains("only one of"));
        let error = told(Access { key: Some(good.clone()), ..half });
        assert!(error.contains("no PRIVATE KEY in PEM") && error.contains(KEY), "{error}");
        let clear = Access { ca: Some(good), ..Access::default() }.no_tls("etcd://a").unwrap_err().to_string();
        assert!(clear.contains("etcds://"), "{clear}");
    }
}
