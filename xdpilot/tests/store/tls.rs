//! TLS, with a CA of the tests' own.

use std::path::PathBuf;
use std::process::Command;

use xdpilot::store::etcd::Cluster;
use xdpilot::store::etcd::access::Access;
use xdpilot::store::{Address, Etcd, Store};

use crate::folder::Folder;
use crate::member::{Member, address};
use crate::place::{changes_until, done, eventually, put};

pub(crate) fn openssl(words: &[&str]) {
    let output = Command::new("openssl").args(words).output().unwrap();
    assert!(output.status.success(), "openssl {words:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A CA, and what it signs.
struct Authority(Folder);

impl Authority {
    fn new() -> Self {
        let authority = Authority(Folder::new());
        let (key, ca) = (authority.path("ca.key"), authority.path("ca.pem"));
        openssl(&["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", &key]);
        openssl(&["req", "-x509", "-new", "-key", &key, "-subj", "/CN=tests", "-days", "2", "-out", &ca]);
        authority
    }

    fn path(&self, name: &str) -> String {
        self.0.path(name).display().to_string()
    }

    /// `NAME.pem` and `NAME.key`, for a host or for a client.
    fn sign(&self, name: &str, san: &str) -> [String; 2] {
        let [certificate, key, request] = ["pem", "key", "csr"].map(|end| self.path(&format!("{name}.{end}")));
        let words = format!("subjectAltName={san}\nextendedKeyUsage=serverAuth,clientAuth\n");
        let extensions = self.0.file(&format!("{name}.ext"), words);
        openssl(&["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", &key]);
        openssl(&["req", "-new", "-key", &key, "-subj", &format!("/CN={name}"), "-out", &request]);
        let (ca, ca_key) = (self.path("ca.pem"), self.path("ca.key"));
        let ca = ["-CA", &ca, "-CAkey", &ca_key, "-CAcreateserial", "-days", "2"];
        let words = ["x509", "-req", "-in", &request, "-extfile", &extensions, "-out", &certificate];
        openssl(&[&words[..], &ca].concat());
        [certificate, key]
    }
}

fn etcd(words: &str) -> Etcd {
    match words.parse().unwrap() {
        Address::Etcd(etcd) => etcd,
        Address::Embedded(path) => panic!("{path:?}"),
    }
}

fn access(ca: &str, certificate: Option<&[String; 2]>) -> Access {
    let [certificate, key] = match certificate {
        Some(files) => files.clone().map(|file| Some(PathBuf::from(file))),
        None => [None, None],
    };
    Access { user: None, ca: Some(ca.into()), certificate, key }
}

#[test]
fn members_and_clients_know_each_other_by_certificates() {
    let ours = Authority::new();
    let others = Authority::new();
    let host = address();
    let [certificate, key] = ours.sign("member", &format!("IP:{host}"));
    let ca = ours.path("ca.pem");
    let client = ours.sign("client", "DNS:client");
    let stranger = others.sign("client", "DNS:client");
    let words = ["--cert-file", &certificate, "--key-file", &key, "--client-cert-auth", "--trusted-ca-file", &ca];
    let member = Member::start_with_tls(&host, &words);
    let name = format!("etcds://{}/fleet", member.client);

    let store = Cluster::open(&etcd(&name), &access(&ca, Some(&client))).unwrap();
    let begin = eventually(|| store.list("")).revision;
    let mut watch = store.watch("", begin).unwrap();
    let last = done(&store, &[put("a", "1")]);
    assert_eq!(changes_until(&mut *watch, last), [put("a", "1")]);

    let told = |name: &str, access: Access| {
        let error = match Cluster::open(&etcd(name), &access) {
            Ok(store) => store.list("").unwrap_err(),
            Err(error) => error,
        };
        error.to_string()
    };
    for (error, words, mend) in [
        (told(&name, access(&others.path("ca.pem"), Some(&client))), "invalid peer certificate", "XDPILOT_STORE_CA"),
        (told(&name, access(&ca, None)), "ertificate", "XDPILOT_STORE_CERT"),
        (told(&name, access(&ca, Some(&stranger))), "ertificate", "XDPILOT_STORE_CERT"),
        (told(&name, Access { ca: None, ..access(&ca, Some(&client)) }), "UnknownIssuer", "XDPILOT_STORE_CA"),
        (told(&name, access(&ca, Some(&[client[0].clone(), stranger[1].clone()]))), "", "belong together"),
        (told(&format!("etcd://{}", member.client), Access::default()), "", "etcds://"),
    ] {
        assert!(error.contains(words) && error.contains(mend), "{error}");
    }
}

#[test]
fn certificates_are_for_a_host() {
    let ours = Authority::new();
    let host = address();
    let [certificate, key] = ours.sign("member", "IP:127.0.0.99,DNS:elsewhere");
    let member = Member::start_with_tls(&host, &["--cert-file", &certificate, "--key-file", &key]);
    let access = access(&ours.path("ca.pem"), None);
    let store = Cluster::open(&etcd(&format!("etcds://{}", member.client)), &access).unwrap();
    // Until it listens it refuses connections.
    let end = std::time::Instant::now() + crate::place::LONG;
    let error = loop {
        let error = store.list("").unwrap_err().to_string();
        if !error.contains("Connection refused") {
            break error;
        }
        assert!(std::time::Instant::now() < end, "{error}");
    };
    assert!(error.contains("not valid for name") && error.contains("not for this host"), "{error}");
}

#[test]
fn a_member_without_tls_is_told() {
    let member = Member::start(&[]);
    let plain = Cluster::open(&etcd(&format!("etcd://{}", member.client)), &Access::default()).unwrap();
    eventually(|| plain.list(""));
    let ours = Authority::new();
    let access = access(&ours.path("ca.pem"), None);
    let store = Cluster::open(&etcd(&format!("etcds://{}", member.client)), &access).unwrap();
    let error = store.list("").unwrap_err().to_string();
    assert!(error.contains("the member does not speak TLS") && error.contains("etcd://"), "{error}");
}
