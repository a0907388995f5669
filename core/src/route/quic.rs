//! QUIC: which backend the connection id of a packet names.
//!
//! A server chooses the connection ids that its clients send to (RFC 9000, section 5.1). Their form here is the one of
//! mvfst's servers and of the Katran load balancer: the first two bits tell where the server's number stands, and how
//! long it is.
//!
//! | first two bits | the server's number |
//! | --- | --- |
//! | 1 | the next 16 bits |
//! | 2 | the second to the fourth byte |
//! | 3 | the second to the fifth byte |
//!
//! Numbers are in network byte order. No packet tells how long the id behind a short header is: [`ID`] bytes are looked
//! at, and a long header must tell as many at least.

/// Versions whose long headers are known: 1 (RFC 9000) and 2 (RFC 9369).
pub const VERSION_1: u32 = 1;
/// The second.
pub const VERSION_2: u32 = 0x6b33_43cf;
/// The first byte of a long header has this bit, that of a short one has not (RFC 8999, section 5).
pub const LONG: u8 = 0x80;
/// Where the type stands in the first byte of these versions' long headers.
pub const TYPE: u8 = 0x30;
/// The only type whose connection id a server chose, by version (RFC 9000, section 17.2; RFC 9369, section 3.2). That of
/// Initial and 0-RTT may be the client's own choice; Retry is sent by servers alone.
pub const HANDSHAKE_1: u8 = 0x20;
/// The same of version 2.
pub const HANDSHAKE_2: u8 = 0x30;
/// Where the destination's connection id stands behind a short header's first byte.
pub const SHORT_ID: usize = 1;
/// Where its length stands in a long header, which is followed by the id itself (RFC 8999, section 5.1).
pub const LONG_LENGTH: usize = 5;
/// So many bytes of a connection id are looked at: all of one of mvfst's.
pub const ID: usize = 8;
/// No connection id of these versions is longer (RFC 9000, section 17.2).
pub const LONGEST: u8 = 20;

/// The key of a backend's id in the map of ids: its pool's index and the id, 4 bytes each. The value is its number, 4
/// bytes; its record says the same.
pub fn key(pool: u16, id: u32) -> [u8; 8] {
    let mut key = [0; 8];
    key[..4].copy_from_slice(&u32::from(pool).to_ne_bytes());
    key[4..].copy_from_slice(&id.to_ne_bytes());
    key
}
