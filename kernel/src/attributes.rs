//! Reading netlink attributes (`struct nlattr`) out of the kernel's answers.
//!
//! Only those that are asked for are decoded, so that an attribute which a newer kernel lays out
//! differently cannot make the rest unreadable.

use netlink_packet_core::NlasIterator;

/// The attributes in `bytes`, one nesting level. A malformed tail is left out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attributes<'a>(&'a [u8]);

impl<'a> Attributes<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Attributes(bytes)
    }

    /// The value of the first attribute of this kind.
    pub(crate) fn bytes(&self, kind: u16) -> Option<&'a [u8]> {
        self.all(kind).next()
    }

    /// The values of all attributes of this kind.
    pub(crate) fn all(&self, kind: u16) -> impl Iterator<Item = &'a [u8]> {
        let sound = NlasIterator::new(self.0).map_while(Result::ok);
        sound.filter(move |attribute| attribute.kind() == kind).filter_map(|attribute| {
            // The buffer reaches to the end of all attributes; this one's own length counts its header.
            let length = usize::from(attribute.length());
            attribute.into_inner().get(4..length)
        })
    }

    /// The attributes nested in the first attribute of this kind.
    pub(crate) fn nested(&self, kind: u16) -> Option<Attributes<'a>> {
        self.bytes(kind).map(Attributes)
    }

    /// A `u32` in host byte order.
    pub(crate) fn u32(&self, kind: u16) -> Option<u32> {
        Some(u32::from_ne_bytes(self.bytes(kind)?.try_into().ok()?))
    }

    /// An `i32` in host byte order.
    pub(crate) fn i32(&self, kind: u16) -> Option<i32> {
        Some(i32::from_ne_bytes(self.bytes(kind)?.try_into().ok()?))
    }

    /// A text up to its NUL.
    pub(crate) fn text(&self, kind: u16) -> Option<String> {
        self.texts(kind).next()
    }

    /// The texts of all attributes of this kind.
    pub(crate) fn texts(&self, kind: u16) -> impl Iterator<Item = String> {
        self.all(kind).map(|bytes| {
            let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
            String::from_utf8_lossy(&bytes[..end]).into_owned()
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// One attribute, padded to four bytes.
    pub(crate) fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut bytes = ((value.len() + 4) as u16).to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    #[test]
    fn reads_numbers_texts_and_nests() {
        let inner = attribute(1, b"veth\0");
        let mut bytes = attribute(3, b"eth0\0");
        bytes.extend(attribute(4, &1500_u32.to_ne_bytes()));
        bytes.extend(attribute(18 | 1 << 15, &inner));
        let attributes = Attributes::new(&bytes);
        assert_eq!(attributes.text(3).as_deref(), Some("eth0"));
        assert_eq!(attributes.u32(4), Some(1500));
        assert_eq!(attributes.nested(18).and_then(|info| info.text(1)).as_deref(), Some("veth"));
        assert_eq!(attributes.u32(3), None);
    }

    #[test]
    fn any_cut_is_survived() {
        let mut bytes = attribute(3, b"eth0\0");
        bytes.extend(attribute(4, &1500_u32.to_ne_bytes()));
        for end in 0..bytes.len() {
            let attributes = Attributes::new(&bytes[..end]);
            assert_eq!(attributes.u32(4), None);
        }
        assert!(Attributes::new(&[0; 8]).bytes(0).is_none());
    }
}
