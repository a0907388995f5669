//! Names that the kernel takes (`btf_name_valid_identifier`, kernel/bpf/btf.c): Rust and C++ objects have others.

use super::{Btf, kind};

impl Btf {
    /// Gives every type that needs an identifier for a name a valid one. Returns how many were changed.
    pub fn sanitize_names(&mut self) -> usize {
        let mut renames = Vec::new();
        for (id, t) in self.types() {
            let name = self.text(t.name);
            let needs_identifier =
                matches!(t.kind, kind::STRUCT..=kind::TYPEDEF | kind::FUNC | kind::VAR | kind::ENUM64);
            if needs_identifier && t.name != 0 && !is_identifier(name) {
                renames.push((id, identifier(name)));
            }
        }
        for (id, name) in &renames {
            self.rename(*id, name);
        }
        renames.len()
    }
}

/// Whether the kernel takes this as the name of a type, function or variable.
pub(crate) fn is_identifier(name: &str) -> bool {
    name.len() < 128
        && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_' || c == '.')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '.')
}

/// The nearest identifier: every other character becomes an underscore.
pub(crate) fn identifier(name: &str) -> String {
    let mut out: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' }).take(120).collect();
    if !out.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
        out.insert(0, '_');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rust_names_become_identifiers() {
        let mut btf = Btf::default();
        let bad = btf.add(kind::STRUCT, "Option<core::num::NonZero<u32>>", 0, 0, Vec::new());
        let good = btf.add(kind::STRUCT, "xdp_md", 0, 0, Vec::new());
        assert_eq!(btf.sanitize_names(), 1);
        assert_eq!((btf.name(bad), btf.name(good)), ("Option_core__num__NonZero_u32__", "xdp_md"));
    }
}
