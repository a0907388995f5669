//! The words of ip(8)'s xdp option, parsed as iproute2 does (`ip/ip.c`, `ip/iplink.c`, `lib/bpf_legacy.c`):
//! `[-force] [-netns NS] link set [dev] IF xdp… obj F [section S] [program P] [verbose] | pinned P | off`.

use std::path::PathBuf;

use xdpilot_core::error::{Error, Result};
use xdpilot_kernel::mode::Mode;

use crate::target::{IfName, Target};

/// The section that ip(8) takes where none is named.
const DEFAULT_SECTION: &str = "prog";

/// What the words ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Command {
    /// Replace what stands there.
    pub(super) force: bool,
    /// The interface.
    pub(super) target: Target,
    /// The mode; none leaves it to the kernel.
    pub(super) mode: Option<Mode>,
    /// What to do there.
    pub(super) action: Action,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Load an object and attach its program.
    Object { file: PathBuf, section: String, program: Option<String>, verbose: bool },
    /// Attach a pinned program.
    Pinned(PathBuf),
    /// Take off what stands in the mode.
    Off,
}

/// Parses the words behind `xdpilot ip`.
///
/// # Errors
/// ip(8) would not take them; the error says what was expected where.
pub(super) fn parse(words: &[String]) -> Result<Command> {
    let mut words = Words(words);
    let (mut force, mut netns) = (false, None);
    while let Some(option) = words.next_if(|word| word.starts_with('-')) {
        match option.strip_prefix("--").or(option.strip_prefix('-')).unwrap_or_default() {
            name if name.len() > 1 && "force".starts_with(name) => force = true,
            name if !name.is_empty() && "netns".starts_with(name) => netns = Some(words.after(option)?.to_string()),
            _ => return Err(unexpected(Some(option), "-force, -netns NAME, or link")),
        }
    }
    words.expect(&["link"], "link set")?;
    words.expect(&["set", "change"], "set")?;
    let (mut device, mut change) = (None, None);
    while let Some(word) = words.next() {
        match word {
            "xdp" | "xdpdrv" | "xdpgeneric" | "xdpoffload" if change.is_none() => {
                let mode = match word {
                    "xdpdrv" => Some(Mode::Native),
                    "xdpgeneric" => Some(Mode::Generic),
                    "xdpoffload" => Some(Mode::Offload),
                    _ => None,
                };
                change = Some((mode, action(&mut words)?));
            }
            "dev" if device.is_none() => device = Some(words.after("dev")?),
            name if device.is_none() => device = Some(name),
            _ => return Err(unexpected(Some(word), "xdp, xdpdrv, xdpgeneric or xdpoffload, once, and nothing else")),
        }
    }
    let interface: IfName = device.ok_or_else(|| unexpected(None, "dev INTERFACE"))?.parse()?;
    let target = match netns {
        Some(name) => Target::Netns { name, interface },
        None => Target::Interface(interface),
    };
    let (mode, action) = change.ok_or_else(|| unexpected(None, "xdp, xdpdrv, xdpgeneric or xdpoffload"))?;
    Ok(Command { force, target, mode, action })
}

/// Parses what stands behind `xdp`; the order of its words is fixed.
fn action(words: &mut Words<'_>) -> Result<Action> {
    let word = words.next();
    match word {
        // Only as the last word, as there.
        Some("off" | "none") if words.0.is_empty() => Ok(Action::Off),
        Some(word) if is_short_for(word, &["object-file"]) => {
            let file = words.after(word)?.into();
            let section = words.option(&["section"])?;
            let program = match words.next_if(|word| word == "program") {
                Some(word) => Some(words.after(word)?.to_string()),
                None => None,
            };
            let verbose = words.next_if(|word| is_short_for(word, &["verbose"])).is_some();
            Ok(Action::Object { file, section: section.unwrap_or(DEFAULT_SECTION).to_string(), program, verbose })
        }
        Some(word) if is_short_for(word, &["object-pinned", "pinned", "fd"]) => {
            Ok(Action::Pinned(words.after(word)?.into()))
        }
        _ => Err(unexpected(word, "obj FILE, pinned PATH, or off as the last word")),
    }
}

/// The words that are left.
struct Words<'a>(&'a [String]);

impl<'a> Words<'a> {
    fn next(&mut self) -> Option<&'a str> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(first)
    }

    fn next_if(&mut self, wanted: impl Fn(&str) -> bool) -> Option<&'a str> {
        if self.0.first().is_some_and(|word| wanted(word)) { self.next() } else { None }
    }

    /// The word that must follow this one.
    fn after(&mut self, word: &str) -> Result<&'a str> {
        self.next().ok_or_else(|| unexpected(None, &format!("a word behind {word}")))
    }

    /// The value behind a word that may stand here.
    fn option(&mut self, names: &[&str]) -> Result<Option<&'a str>> {
        match self.next_if(|word| is_short_for(word, names)) {
            Some(word) => self.after(word).map(Some),
            None => Ok(None),
        }
    }

    fn expect(&mut self, names: &[&str], expected: &str) -> Result<()> {
        match self.next() {
            Some(word) if is_short_for(word, names) => Ok(()),
            word => Err(unexpected(word, expected)),
        }
    }
}

/// Whether the word is one of these or the beginning of one (`matches()`, `lib/utils.c`).
fn is_short_for(word: &str, names: &[&str]) -> bool {
    !word.is_empty() && names.iter().any(|name| name.starts_with(word))
}

fn unexpected(word: Option<&str>, expected: &str) -> Error {
    let what = word.map_or("the words of ip end too early".to_string(), |word| format!("ip's word '{word}'"));
    Error::usage(what)
        .cause(format!("expected: {expected}"))
        .mend("xdpilot ip [-force] link set dev IF xdp|xdpdrv|xdpgeneric|xdpoffload obj FILE [sec S] [program P] [verbose] | pinned PATH | off")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Command> {
        parse(&line.split_whitespace().map(str::to_string).collect::<Vec<_>>())
    }

    fn object(section: &str, program: Option<&str>, verbose: bool) -> Action {
        Action::Object { file: "F.o".into(), section: section.into(), program: program.map(Into::into), verbose }
    }

    #[test]
    fn takes_the_words_of_ip() {
        for (line, target, force, mode, action) in [
            ("link set dev v0 xdp obj F.o", "v0", false, None, object("prog", None, false)),
            ("l s v0 xdpdrv o F.o sec x v", "v0", false, Some(Mode::Native), object("x", None, true)),
            ("-force link set xdpgeneric off dev v0", "", false, None, Action::Off),
            ("-force link set v0 xdpgeneric off", "v0", true, Some(Mode::Generic), Action::Off),
            ("--force li change dev v0 xdp none", "v0", true, None, Action::Off),
            (
                "-n red link set xdp object F.o program p dev v0",
                "netns:red/v0",
                false,
                None,
                object("prog", Some("p"), false),
            ),
            ("link set dev v0 xdpoffload pinned /p", "v0", false, Some(Mode::Offload), Action::Pinned("/p".into())),
        ] {
            match parsed(line) {
                Ok(got) => {
                    assert_eq!((got.target.to_string().as_str(), got.force, got.mode), (target, force, mode), "{line}");
                    assert_eq!(got.action, action, "{line}");
                }
                Err(error) => assert_eq!(target, "", "{line}: {error}"),
            }
        }
    }

    #[test]
    fn says_what_was_expected() {
        for (line, expected) in [
            ("", "link set"),
            ("-x link", "-force"),
            ("addr", "link set"),
            ("link show", "set"),
            ("link set xdp off", "dev INTERFACE"),
            ("link set dev", "behind dev"),
            ("link set dev v0", "xdpgeneric"),
            ("link set dev v0 xdp", "obj FILE"),
            ("link set dev v0 xdp obj", "behind obj"),
            ("link set dev v0 xdp obj F.o sec", "behind sec"),
            ("link set dev v0 xdp obj F.o verbose sec x", "nothing else"),
            ("link set dev v0 xdp off up", "last word"),
        ] {
            let error = parsed(line).unwrap_err();
            assert!(error.cause_text().unwrap().contains(expected), "{line}: {error}");
        }
    }
}
