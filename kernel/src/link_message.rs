//! Building `RTM_*LINK` requests (rtnetlink(7)).

use netlink_packet_route::link::{LinkAttribute, LinkMessage};

/// A request about the interface with this index (0: named by an attribute, or new).
pub(crate) fn link_message(index: u32, attributes: Vec<LinkAttribute>) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.header.index = index;
    message.attributes = attributes;
    message
}
