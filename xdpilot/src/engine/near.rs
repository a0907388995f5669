//! Names that a mistyped one may have meant.

/// More would not be read.
const OFFERED: usize = 5;

/// The names within a few slips of `wanted` (one, and one more each four letters) or containing it, nearest first.
pub(super) fn near<'a>(wanted: &str, names: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let slips = 1 + wanted.len() / 4;
    let mut found: Vec<(usize, &str)> = names
        .into_iter()
        .map(|name| (strsim::osa_distance(&wanted.to_lowercase(), &name.to_lowercase()), name))
        .filter(|(distance, name)| *distance <= slips || name.contains(wanted))
        .collect();
    found.sort_unstable();
    found.into_iter().take(OFFERED).map(|(_, name)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_come_nearest_first_and_far_ones_not_at_all() {
        assert_eq!(near("htptest", ["database", "httptest2", "httptest"]), ["httptest", "httptest2"]);
        assert_eq!(near("web", ["shop-web-1", "zzz", "wbe"]), ["wbe", "shop-web-1"]);
        assert!(near("web", []).is_empty());
    }
}
