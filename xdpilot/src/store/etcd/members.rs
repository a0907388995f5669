//! The members of a cluster: which one is asked, and what happens where it does not answer.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use etcd_client::{Client, ConnectOptions};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout};
use xdpilot_core::error::{Error, Result};

use super::access::Access;
use super::fault::{Fault, Why};
use crate::random;
use crate::store::address::Etcd;

/// How long one member has for one answer.
pub(super) const ANSWER: Duration = Duration::from_secs(3);
/// How long it has for a commit, which is not tried at another member.
pub(super) const COMMIT: Duration = Duration::from_secs(5);
/// How long all of them have, while they choose a leader.
const ELECTION: Duration = Duration::from_secs(8);
/// A member that answered within this time is taken for alive.
const FRESH: Duration = Duration::from_secs(1);
/// A TCP connection takes no longer.
const CONNECT: Duration = Duration::from_secs(2);
/// Pings of HTTP/2 where a request is open. etcd ends connections with more than one in five seconds.
const PING: (Duration, Duration) = (Duration::from_secs(6), Duration::from_secs(3));

/// The members of a cluster.
pub(super) struct Members {
    members: Vec<Member>,
    user: Option<(String, String)>,
    /// A key that this user may read.
    probe: String,
    /// The one that is asked, until it does not answer.
    current: AtomicUsize,
}

struct Member {
    /// As in the store's name.
    name: String,
    url: String,
    options: ConnectOptions,
    connection: Mutex<Option<Connection>>,
    connections: AtomicU64,
}

/// A connection to a member, which knows the user.
#[derive(Clone)]
pub(super) struct Connection {
    pub(super) client: Client,
    member: usize,
    number: u64,
    heard: std::sync::Arc<std::sync::Mutex<Option<Instant>>>,
}

impl Members {
    /// Asks nobody anything yet.
    pub(super) fn new(address: &Etcd, access: &Access, store: &str) -> Result<Self> {
        let tls = if address.tls {
            Some(access.tls(store)?)
        } else {
            access.no_tls(store)?;
            None
        };
        let members = address.members.iter().map(|name| {
            let mut options = ConnectOptions::new()
                .with_connect_timeout(CONNECT)
                .with_require_leader(true)
                .with_keep_alive(PING.0, PING.1)
                // etcd takes pings on connections without a request for an attack.
                .with_keep_alive_while_idle(false);
            if let Some(tls) = &tls {
                let host = name.rsplit_once(':').map_or(name.as_str(), |(host, _)| host);
                options = options.with_tls(tls.clone().domain_name(host.trim_matches(['[', ']'])));
            }
            let url = format!("http{}://{name}", if address.tls { "s" } else { "" });
            Member { name: name.clone(), url, options, connection: Mutex::new(None), connections: AtomicU64::new(0) }
        });
        let members: Vec<Member> = members.collect();
        // Nodes of a fleet spread over the members.
        let current = AtomicUsize::new(usize::try_from(random::number()).unwrap_or(0) % members.len().max(1));
        Ok(Members { members, user: access.user.clone(), probe: format!("{}/", address.prefix), current })
    }

    /// Tries TLS without a connection: whether keys and certificates belong together.
    pub(super) async fn check(&self, store: &str) -> Result<()> {
        for member in &self.members {
            Client::connect([&member.url], Some(member.options.clone())).await.map_err(|error| {
                Error::usage(format!("open the store {store}"))
                    .kernel(Fault::from(error).words)
                    .cause("the certificates or the key are not what TLS takes, or do not belong together")
                    .mend("set XDPILOT_STORE_CERT and XDPILOT_STORE_KEY to a certificate and its own key")
            })?;
        }
        Ok(())
    }

    /// Asks the members, one after the other until one answers. What is asked must do no harm if it is done twice.
    pub(super) async fn ask<T, F>(&self, run: impl Fn(Connection) -> F) -> std::result::Result<T, Fault>
    where
        F: Future<Output = std::result::Result<T, Fault>>,
    {
        let end = Instant::now() + ELECTION;
        loop {
            let mut faults: Vec<(String, Fault)> = Vec::new();
            for _ in &self.members {
                let member = self.current.load(Ordering::Relaxed);
                match self.attempt(member, ANSWER, &run).await {
                    Err(fault) if fault.why.elsewhere() => faults.push((self.members[member].name.clone(), fault)),
                    result => return result,
                }
            }
            let leaderless = faults.iter().any(|(_, fault)| fault.why == Why::Leaderless);
            if !leaderless || Instant::now() > end {
                return Err(together(faults));
            }
            sleep(Duration::from_millis(200)).await;
        }
    }

    /// Asks one member, once: for what must not be done twice. It is one that has just answered, so that the answer is
    /// most likely not lost.
    pub(super) async fn ask_once<T, F>(&self, run: impl Fn(Connection) -> F) -> std::result::Result<T, Fault>
    where
        F: Future<Output = std::result::Result<T, Fault>>,
    {
        if !self.fresh().await {
            self.ask(|mut connection| {
                let key = self.probe.clone();
                async move { connection.client.get(key, None).await.map(drop).map_err(Fault::from) }
            })
            .await?;
        }
        let member = self.current.load(Ordering::Relaxed);
        let result = self.attempt(member, COMMIT, &run).await;
        result.map_err(|fault| {
            let open = if fault.why.elsewhere() { "\nit is not known whether the change is stored" } else { "" };
            Fault::new(fault.why, format!("{}: {}{open}", self.members[member].name, fault.words))
        })
    }

    /// Whether the current member answered a moment ago.
    async fn fresh(&self) -> bool {
        let member = &self.members[self.current.load(Ordering::Relaxed)];
        let connection = member.connection.lock().await;
        let heard = connection.as_ref().and_then(Connection::heard);
        heard.is_some_and(|heard| heard.elapsed() < FRESH)
    }

    /// Asks a member; twice where it has forgotten who asks.
    async fn attempt<T, F>(
        &self,
        member: usize,
        limit: Duration,
        run: &impl Fn(Connection) -> F,
    ) -> std::result::Result<T, Fault>
    where
        F: Future<Output = std::result::Result<T, Fault>>,
    {
        let mut again = self.user.is_some();
        loop {
            let mut used = None;
            let asked = async {
                let connection = self.connection(member).await?;
                used = Some(connection.clone());
                run(connection).await
            };
            let result = timeout(limit, asked).await;
            let result = result
                .unwrap_or_else(|_| Err(Fault::new(Why::Silent, format!("no answer in {} seconds", limit.as_secs()))));
            match &result {
                Err(fault) if fault.why == Why::Stale && again => {
                    again = false;
                    self.forget(member, used.as_ref()).await;
                    continue;
                }
                Err(fault) if fault.why.elsewhere() => self.leave(member, used.as_ref()).await,
                // A refusal is an answer too.
                _ => {
                    if let Some(connection) = used {
                        connection.hear();
                    }
                }
            }
            return result;
        }
    }

    /// The connection to a member, made where there is none.
    async fn connection(&self, index: usize) -> std::result::Result<Connection, Fault> {
        let member = &self.members[index];
        let mut held = member.connection.lock().await;
        if let Some(connection) = &*held {
            return Ok(connection.clone());
        }
        let mut client = Client::connect([&member.url], Some(member.options.clone())).await?;
        if let Some(user) = &self.user {
            match client.update_user(Some(user.clone())).await.map_err(Fault::from) {
                // It may ask for users later; then it says that a name is missing.
                Err(fault) if fault.why != Why::Open => return Err(fault),
                _ => {}
            }
        }
        let number = member.connections.fetch_add(1, Ordering::Relaxed);
        let connection = Connection { client, member: index, number, heard: std::sync::Arc::default() };
        *held = Some(connection.clone());
        Ok(connection)
    }

    /// The connection is of no use any more, nor is, for now, its member.
    pub(super) async fn abandon(&self, connection: &Connection) {
        self.leave(connection.member, Some(connection)).await;
    }

    async fn leave(&self, member: usize, connection: Option<&Connection>) {
        self.forget(member, connection).await;
        let next = (member + 1) % self.members.len();
        _ = self.current.compare_exchange(member, next, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// The next request makes a new connection. (Another thread may have done so already: that one stays.)
    async fn forget(&self, member: usize, connection: Option<&Connection>) {
        let mut held = self.members[member].connection.lock().await;
        if connection.is_some() && held.as_ref().map(|held| held.number) == connection.map(|used| used.number) {
            *held = None;
        }
    }
}

impl Connection {
    fn heard(&self) -> Option<Instant> {
        *self.heard.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The member has answered.
    pub(super) fn hear(&self) {
        *self.heard.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(Instant::now());
    }
}

/// What all members said, as one fault: the first one's, with the words of each.
fn together(faults: Vec<(String, Fault)>) -> Fault {
    let why = faults.first().map_or(Why::Unreachable, |(_, fault)| fault.why);
    let words: Vec<String> = faults.into_iter().map(|(name, fault)| format!("{name}: {}", fault.words)).collect();
    Fault::new(why, words.join("\n"))
}
