//! What a request to etcd ended with where it did not succeed, and what that means to a person.

use std::error::Error as _;

use xdpilot_core::error::{Error, Kind};

/// A request that did not succeed.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    /// What it is about.
    pub(super) why: Why,
    /// etcd's own words, or those of the connection.
    pub(super) words: String,
}

/// What a fault is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// There is no connection, or it broke.
    Unreachable,
    /// The member ended the connection without a word.
    Ended,
    /// No answer in time.
    Silent,
    /// The cluster has no leader, or has just changed it.
    Leaderless,
    /// The member's certificate is not one that is trusted here.
    Untrusted,
    /// The member wants a certificate, or a better one.
    Certificate,
    /// The member does not speak TLS.
    Plain,
    /// The token that the member gave is not valid any more, or there is none yet.
    Stale,
    /// Name or password are wrong.
    Password,
    /// The user may not do it.
    Denied,
    /// The database has reached its quota.
    Full,
    /// The request is too large.
    Large,
    /// The revision is not kept any more.
    Compacted,
    /// The lease has expired.
    Expired,
    /// The answer is larger than what is taken here.
    Long,
    /// Users are given, but etcd does not ask for them.
    Open,
    /// Something else that etcd does not do.
    Other,
}

/// etcd's texts (`api/v3rpc/rpctypes`), and those of the connection, to what they are about.
const TEXTS: [(&str, Why); 27] = [
    ("no leader", Why::Leaderless),
    ("leader changed", Why::Leaderless),
    ("not leader", Why::Leaderless),
    ("request timed out", Why::Silent),
    ("invalid auth token", Why::Stale),
    ("user name is empty", Why::Stale),
    ("revision of auth store is old", Why::Stale),
    ("authentication failed", Why::Password),
    ("permission denied", Why::Denied),
    ("database space exceeded", Why::Full),
    ("request is too large", Why::Large),
    ("received message larger than max", Why::Large),
    ("too many operations", Why::Large),
    ("has been compacted", Why::Compacted),
    ("requested lease not found", Why::Expired),
    ("decoded message length too large", Why::Long),
    ("authentication is not enabled", Why::Open),
    ("invalid peer certificate", Why::Untrusted),
    ("CertificateRequired", Why::Certificate),
    ("BadCertificate", Why::Certificate),
    ("UnknownCA", Why::Certificate),
    ("InvalidContentType", Why::Plain),
    ("tls handshake eof", Why::Plain),
    ("connection closed", Why::Ended),
    ("Connection reset by peer", Why::Ended),
    ("broken pipe", Why::Ended),
    ("frame with invalid size", Why::Ended),
];

/// gRPC's codes for a connection that is gone, or a request that was not answered in time.
const UNREACHABLE: [i32; 3] = [2, 13, 14];
const SILENT: [i32; 2] = [1, 4];

impl Why {
    fn of(words: &str) -> Option<Self> {
        let words = words.to_lowercase();
        TEXTS.iter().find(|(text, _)| words.contains(&text.to_lowercase())).map(|(_, why)| *why)
    }

    /// Whether another member may well do what this one did not.
    pub(super) fn elsewhere(self) -> bool {
        matches!(
            self,
            Why::Unreachable
                | Why::Ended
                | Why::Silent
                | Why::Leaderless
                | Why::Untrusted
                | Why::Certificate
                | Why::Plain
        )
    }
}

impl Fault {
    pub(super) fn new(why: Why, words: impl Into<String>) -> Self {
        Fault { why, words: words.into() }
    }

    /// From the reason that etcd gives for the end of a watch.
    pub(super) fn told(words: &str) -> Self {
        Fault::new(Why::of(words).unwrap_or(Why::Other), words)
    }

    /// As an error: `what` was to be done on the store of this name; keys of it begin with `prefix`.
    pub(super) fn error(self, what: &str, store: &str, prefix: &str) -> Error {
        let error = Error::failed(format!("{what} the store {store}")).kernel(self.words);
        match self.why {
            Why::Unreachable => error
                .cause("no member of the cluster takes connections: etcd does not run there, or a firewall refuses")
                .mend(format!("etcdctl --endpoints={} endpoint health", endpoints(store))),
            // TLS lets a client without a certificate in before it says so, and etcd then only hangs up.
            Why::Ended if store.starts_with("etcds:") => error
                .cause("the members end, or want a certificate of their clients, signed by a CA that they trust")
                .mend("where they want one, set XDPILOT_STORE_CERT and XDPILOT_STORE_KEY to its files"),
            Why::Ended => error
                .cause("the members end, or speak TLS, or it is not etcd that listens there")
                .mend("name the store by etcds:// where its members speak TLS"),
            Why::Silent => error
                .cause("the members are cut off, stopped or overloaded, or most of the cluster's members are away")
                .mend(format!("etcdctl --endpoints={} endpoint health", endpoints(store))),
            Why::Leaderless => error
                .cause("most of the cluster's members are away, or they are just choosing another leader")
                .mend(format!("etcdctl --endpoints={} endpoint status", endpoints(store))),
            Why::Untrusted => error
                .cause("the member's certificate is not of this CA, not for this host, or out of date")
                .mend("set XDPILOT_STORE_CA to the file of the CA that signed it; name the host as the certificate does"),
            Why::Certificate => error
                .cause("the members want a certificate of their clients, signed by a CA that they trust")
                .mend("set XDPILOT_STORE_CERT and XDPILOT_STORE_KEY to its files"),
            Why::Plain => error.cause("most likely the member does not speak TLS").mend("name the store by etcd://"),
            Why::Stale => error
                .of_kind(Kind::NotPermitted)
                .cause("etcd asks for users")
                .mend("set XDPILOT_STORE_USER to NAME:PASSWORD"),
            Why::Password => error
                .of_kind(Kind::NotPermitted)
                .cause("there is no such user, or the password is another one")
                .mend("set XDPILOT_STORE_USER to NAME:PASSWORD"),
            Why::Denied => error
                .of_kind(Kind::NotPermitted)
                .cause(format!("no role of this user lets it do this to keys below {prefix}"))
                .mend(format!("etcdctl role grant-permission ROLE --prefix=true readwrite {prefix}")),
            Why::Full => error
                .cause("the database has reached its quota: it takes nothing more until there is room and the alarm is off")
                .mend("etcdctl compact REVISION, etcdctl defrag, etcdctl alarm disarm; or a larger --quota-backend-bytes"),
            Why::Large => error
                .cause("the cluster's limits are below etcd's own")
                .mend("start its members with --max-request-bytes=1572864 --max-txn-ops=128 or more"),
            Why::Compacted | Why::Expired | Why::Long | Why::Open | Why::Other => error,
        }
    }
}

/// The members, out of a store's name.
fn endpoints(store: &str) -> String {
    let secure = store.starts_with("etcds:");
    let hosts = store.split("//").nth(1).and_then(|rest| rest.split('/').next()).unwrap_or_default();
    if secure {
        hosts.split(',').map(|host| format!("https://{host}")).collect::<Vec<_>>().join(",")
    } else {
        hosts.into()
    }
}

impl From<etcd_client::Error> for Fault {
    fn from(error: etcd_client::Error) -> Self {
        match error {
            etcd_client::Error::GRpcStatus(status) => {
                let words = chain(status.message(), status.source());
                let code = i32::from(status.code());
                let why = match Why::of(&words) {
                    Some(why) => why,
                    None if UNREACHABLE.contains(&code) => Why::Unreachable,
                    None if SILENT.contains(&code) => Why::Silent,
                    None => Why::Other,
                };
                Fault::new(why, words)
            }
            etcd_client::Error::TransportError(error) => {
                let words = chain(&error.to_string(), error.source());
                Fault::new(Why::of(&words).unwrap_or(Why::Unreachable), words)
            }
            etcd_client::Error::IoError(error) => Fault::new(Why::Unreachable, error.to_string()),
            etcd_client::Error::WatchError(words) => Fault::new(Why::Unreachable, words),
            etcd_client::Error::LeaseKeepAliveError(words) => Fault::new(Why::Expired, words),
            error => Fault::new(Why::Other, error.to_string()),
        }
    }
}

/// The words of an error and of those below it, each once.
fn chain(first: &str, mut below: Option<&(dyn std::error::Error + 'static)>) -> String {
    let mut words = first.to_string();
    while let Some(error) = below {
        let more = error.to_string();
        if !words.contains(&more) {
            words = format!("{words}: {more}");
        }
        below = error.source();
    }
    words
}
