//! A node of a fleet: its name, and the labels by which policies choose it.

use std::collections::BTreeMap;

use xdpilot_core::error::{Error, Result};
use xdpilot_core::policy::{PolicyPlace, is_label};

/// A node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its name, by which its programs and its status are known.
    pub name: String,
    /// Its labels. `name` is always its name.
    pub labels: BTreeMap<String, String>,
}

impl Node {
    /// A node with labels in words: `role=edge`.
    ///
    /// # Errors
    /// The name or a label is none.
    pub fn new(name: &str, labels: &[String]) -> Result<Self> {
        if !is_label(name) {
            return Err(Error::usage(format!("node {name:?}"))
                .cause("names are of letters, digits, and . _ - within")
                .mend("hostname NAME, or xdpilot … --node NAME"));
        }
        let mut node = Node { name: name.to_string(), labels: BTreeMap::new() };
        for words in labels {
            let label = words.split_once('=').filter(|(key, value)| is_label(key) && is_label(value));
            let (key, value) = label.ok_or_else(|| {
                Error::usage(format!("label {words:?}"))
                    .cause("expected KEY=VALUE, of letters, digits, and . _ - within")
            })?;
            node.labels.insert(key.to_string(), value.to_string());
        }
        node.labels.insert("name".to_string(), name.to_string());
        Ok(node)
    }

    /// Whether a place is on this node.
    pub fn has(&self, place: &PolicyPlace) -> bool {
        place.node.iter().all(|(key, value)| self.labels.get(key) == Some(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use xdpilot_core::policy::some_places;

    #[test]
    fn nodes_are_chosen_by_labels() {
        let node = Node::new("a", &["role=edge".to_string(), "zone=eu-1".to_string()]).unwrap();
        for (words, chosen) in [
            ("eth0", true),
            ("node role=edge eth0", true),
            ("node role=edge zone=eu-1 name=a eth0", true),
            ("node role=core eth0", false),
            ("node role=edge rack=7 eth0", false),
            ("node name=b eth0", false),
        ] {
            assert_eq!(node.has(&some_places(words).unwrap()[0]), chosen, "{words}");
        }
        assert!(Node::new("", &[]).is_err());
        assert!(Node::new("a", &["role".to_string()]).is_err());
    }
}
