//! Values that are gone when their process is: below a lease that each call keeps alive.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use etcd_client::PutOptions;
use tokio::sync::Mutex;

use super::fault::Why;
use super::{Answer, Shared};

/// Keys to their leases.
#[derive(Default)]
pub(super) struct Leases(Mutex<HashMap<String, Lease>>);

#[derive(Clone)]
struct Lease {
    id: i64,
    seconds: i64,
    /// When it was kept alive last.
    kept: Instant,
    /// What was put below it last.
    value: Vec<u8>,
}

impl Shared {
    /// Puts the value, or keeps it. A new value costs one request, unless the lease has to be kept alive.
    pub(super) async fn announce(&self, key: &str, value: Vec<u8>, ttl: Duration) -> Answer<()> {
        let mut leases = self.leases.0.lock().await;
        // etcd counts whole seconds.
        let seconds = i64::try_from(ttl.as_millis().div_ceil(1000)).unwrap_or(i64::MAX).max(1);
        let before = leases.get(key).cloned();
        if let Some(mut lease) = before.clone().filter(|lease| lease.seconds == seconds) {
            let begin = Instant::now();
            let is_young = lease.kept.elapsed() < ttl / 4;
            if is_young || self.keep_alive(lease.id).await? {
                let put = match lease.value == value {
                    true => self.put_where_other(key, &value, lease.id).await,
                    false => self.put_below(key, &value, lease.id).await,
                };
                match put {
                    Err(fault) if fault.why == Why::Expired => {}
                    Err(fault) => return Err(fault),
                    Ok(()) => {
                        lease.kept = if is_young { lease.kept } else { begin };
                        lease.value = value;
                        leases.insert(key.to_string(), lease);
                        return Ok(());
                    }
                }
            }
        }
        let kept = Instant::now();
        let id = self.grant(seconds).await?;
        leases.insert(key.to_string(), Lease { id, seconds, kept, value: value.clone() });
        self.put_below(key, &value, id).await?;
        if let Some(lease) = before {
            // It has nothing below it any more, and ends by itself.
            _ = self.revoke(lease.id).await;
        }
        Ok(())
    }

    async fn grant(&self, seconds: i64) -> Answer<i64> {
        let granted = self
            .members
            .ask(|connection| async move { Ok(connection.client.lease_client().grant(seconds, None).await?.id()) });
        granted.await
    }

    /// Whether the lease is still there, and now for its full time.
    async fn keep_alive(&self, id: i64) -> Answer<bool> {
        let kept = self
            .members
            .ask(|connection| async move { Ok(connection.client.lease_client().keep_alive(id).await.map(drop)?) });
        match kept.await {
            Err(fault) if fault.why == Why::Expired => Ok(false),
            kept => kept.map(|()| true),
        }
    }

    async fn revoke(&self, id: i64) -> Answer<()> {
        let revoked = self
            .members
            .ask(|connection| async move { Ok(connection.client.lease_client().revoke(id).await.map(drop)?) });
        revoked.await
    }

    /// Puts the value below the lease where it is not there already: reading does not cost the cluster a write to its
    /// disks, and most calls change nothing.
    async fn put_where_other(&self, key: &str, value: &[u8], lease: i64) -> Answer<()> {
        match self.get(key).await? {
            Some(pair) if pair.lease() == lease && pair.value() == value => Ok(()),
            _ => self.put_below(key, value, lease).await,
        }
    }

    async fn put_below(&self, key: &str, value: &[u8], lease: i64) -> Answer<()> {
        let put = self.members.ask(|mut connection| {
            let (key, value) = (self.key(key), value.to_vec());
            let options = PutOptions::new().with_lease(lease);
            async move { Ok(connection.client.put(key, value, Some(options)).await.map(drop)?) }
        });
        put.await
    }
}
