//! What a given backend gets, whatever the ring says.

use super::connection::{self, Kind};
use super::{Fate, Packet, send, whole};
use crate::policy::Pool;
use crate::route::Backend;

/// Makes of a frame to a pool's service what this backend would get of it, which must have a next hop; the interface that
/// sends it. `index` is the pool's. None where it cannot be sent so.
pub fn carry(pool: &Pool, index: u16, backend: &Backend, bytes: &mut Vec<u8>) -> Option<u32> {
    let (ip, total) = whole(bytes)?;
    let Kind::Connection(connection) = connection::of(bytes, &ip, total) else { return None };
    let hash = connection.hash(index);
    let mut packet = Packet { bytes, ip, total, connection, partial: false };
    match send(pool, backend, &mut packet, None, hash) {
        (Fate::Send(interface), true) => Some(interface),
        _ => None,
    }
}
