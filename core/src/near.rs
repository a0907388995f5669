//! Names near a wrong one, for errors that help.

/// The names that a person who typed `wrong` may have meant, best first, at most five.
///
/// Near means a Damerau-Levenshtein distance of at most a third of the longer name (and at least 2
/// edits allowed), or that one contains the other.
pub fn near<S: AsRef<str>>(wrong: &str, names: impl IntoIterator<Item = S>) -> Vec<String> {
    let mut found: Vec<(usize, String)> = names
        .into_iter()
        .filter_map(|name| {
            let name = name.as_ref();
            let (wrong_length, length) = (wrong.chars().count(), name.chars().count());
            let (longer, edits) = (wrong_length.max(length), wrong_length.abs_diff(length));
            let contained = !wrong.is_empty() && (name.contains(wrong) || wrong.contains(name));
            if !contained && edits > (longer / 3).max(2) {
                return None; // as many edits are needed at least
            }
            let distance = strsim::damerau_levenshtein(wrong, name);
            (contained || distance <= (longer / 3).max(2) && distance < longer).then(|| (distance, name.to_string()))
        })
        .collect();
    found.sort();
    found.dedup();
    found.into_iter().take(5).map(|(_, name)| name).collect()
}

/// A sentence for an error's cause: the near names, else all names of this kind that there are.
pub fn suggestion(wrong: &str, what: &str, names: &[String]) -> String {
    let near = near(wrong, names);
    if !near.is_empty() {
        format!("did you mean {}?", near.join(", "))
    } else if names.is_empty() {
        format!("there are no {what} here")
    } else {
        format!("{what} here: {}", names.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_typos_swaps_and_parts_but_not_strangers() {
        let names = ["eth0", "eth1", "wlp2s0", "docker0", "lo"];
        assert_eq!(near("eht0", names), ["eth0", "eth1"]);
        assert_eq!(near("docker", names), ["docker0"]);
        assert_eq!(near("wlp2s", names), ["wlp2s0"]);
        assert!(near("bridge9", names).is_empty());
        assert!(near("", ["eth0"]).is_empty());
    }

    #[test]
    fn falls_back_to_all_names() {
        let names = ["lo".to_string(), "eth0".to_string()];
        assert_eq!(suggestion("bridge9", "interfaces", &names), "interfaces here: lo, eth0");
        assert_eq!(suggestion("x", "interfaces", &[]), "there are no interfaces here");
    }
}
