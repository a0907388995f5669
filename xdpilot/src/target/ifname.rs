//! Interface names that the kernel would take.

use std::fmt;
use std::str::FromStr;

use xdpilot_core::error::{Error, Result};

/// Bytes in a name: IFNAMSIZ without the final NUL, `include/uapi/linux/if.h`.
const MAX_BYTES: usize = 15;

/// A network interface's name, valid by the rules of `dev_valid_name()` in `net/core/dev.c`: 1 to 15 bytes, neither
/// `.` nor `..`, without slash, colon and white space.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IfName(String);

impl IfName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for IfName {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let wrong = if name.is_empty() {
            "it is empty".to_owned()
        } else if name.len() > MAX_BYTES {
            format!("it has {} bytes, an interface name has at most {MAX_BYTES}", name.len())
        } else if name == "." || name == ".." {
            "'.' and '..' are directories".to_owned()
        } else if let Some(c) = name.chars().find(|&c| matches!(c, '/' | ':' | '\0') || c.is_whitespace()) {
            format!("{c:?} cannot be in an interface name")
        } else {
            return Ok(IfName(name.to_owned()));
        };
        Err(Error::usage(format!("interface name '{}'", name.escape_debug())).cause(wrong).mend("ip -brief link"))
    }
}

impl fmt::Display for IfName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_kernel_takes_are_taken() {
        for name in ["lo", "eth0", "enp0s31f6", "br-0a1b2c3d4e5f", "eth0.100", "a", "wörld", "...", "123456789012345"]
        {
            assert_eq!(name.parse::<IfName>().unwrap().as_str(), name);
        }
    }

    #[test]
    fn others_are_refused_with_the_reason() {
        for (name, reason) in [
            ("", "empty"),
            ("1234567890123456", "16 bytes"),
            ("ééééé ééé", "17 bytes"),
            (".", "directories"),
            ("..", "directories"),
            ("a/b", "'/'"),
            ("a:b", "':'"),
            ("a b", "' '"),
            ("a\n", "'\\n'"),
            ("a\0", "'\\0'"),
        ] {
            let error = name.parse::<IfName>().unwrap_err();
            assert!(error.cause_text().unwrap().contains(reason), "{error}");
        }
    }
}
