//! One row of the catalogue: by what an error is known, what causes it, what mends it.

use super::{Diagnosis, Stage};

/// What is known about the place where the error came; all of it optional.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The interface's name, inside its own namespace: `eth0`.
    pub iface: Option<String>,
    /// The target as the user wrote it behind `--on`: `docker:web`. Without it, the interface's name.
    pub target: Option<String>,
    /// The words that run a command where the interface is, `ip netns exec red`; none: here.
    pub enter: Option<String>,
    /// The other end of a veth pair.
    pub peer: Option<String>,
    /// The words that run a command where the peer is.
    pub peer_enter: Option<String>,
    /// The driver or kind of interface as `ethtool -i` names it: `veth`, `virtio_net`.
    pub driver: Option<String>,
    /// The interface's MTU (for veth: the peer's), in bytes.
    pub mtu: Option<u32>,
    /// The mode asked for: `native`, `generic`, `offload`.
    pub mode: Option<String>,
    /// The kernel's release, major and minor: `(6, 18)`.
    pub kernel: Option<(u32, u32)>,
    /// The file that was loaded, as the user wrote it.
    pub source: Option<String>,
}

/// The largest MTU that every driver with one 4 KiB page per packet takes, in bytes: 4096 less
/// headroom (256), `struct skb_shared_info` (320), Ethernet and VLAN headers, and some drivers' own.
pub(super) const ONE_PAGE_MTU: u32 = 3498;

/// A condition on the facts.
#[derive(Clone, Copy, Debug)]
pub(super) enum Given {
    /// No condition.
    Any,
    /// The interface has this driver.
    Driver(&'static str),
    /// This mode was asked for.
    Mode(&'static str),
    /// The MTU is known and does not fit one page.
    Jumbo,
    /// The kernel is known and older.
    KernelBefore(u32, u32),
}

/// One error.
///
/// In `says`, each entry is a way to say it: lower-case text of which `*` stands for anything within
/// the line. In `cause` and `mend`, `{on}` is the target, `{iface}`, `{peer}`, `{driver}`, `{mtu}`
/// and `{source}` are facts, and `{in}`, `{peerin}` are the words that lead into
/// their namespaces, with the space behind them.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) id: &'static str,
    /// Stages in which it comes; empty: any.
    pub(super) at: &'static [Stage],
    pub(super) given: Given,
    pub(super) says: &'static [&'static str],
    /// Error numbers that mean this where nothing else was said.
    pub(super) errno: &'static [i32],
    pub(super) cause: &'static str,
    pub(super) mend: &'static str,
}

impl Row {
    /// An error known by its words, in any stage.
    pub(super) const fn said(
        id: &'static str,
        says: &'static [&'static str],
        cause: &'static str,
        mend: &'static str,
    ) -> Self {
        Row { id, at: &[], given: Given::Any, says, errno: &[], cause, mend }
    }

    /// An error known by its number alone in these stages.
    pub(super) const fn silent(
        id: &'static str,
        at: &'static [Stage],
        errno: &'static [i32],
        cause: &'static str,
        mend: &'static str,
    ) -> Self {
        Row { id, at, given: Given::Any, says: &[], errno, cause, mend }
    }

    /// The same, also known by its number where its words are missing.
    pub(super) const fn or_number(mut self, at: &'static [Stage], errno: &'static [i32]) -> Self {
        self.at = at;
        self.errno = errno;
        self
    }

    /// The same, only where the facts are so.
    pub(super) const fn given(mut self, given: Given) -> Self {
        self.given = given;
        self
    }

    /// Whether the row can speak about this stage and these facts.
    pub(super) fn is_for(&self, stage: Stage, facts: &Facts) -> bool {
        let given = match self.given {
            Given::Any => true,
            Given::Driver(name) => facts.driver.as_deref() == Some(name),
            Given::Mode(name) => facts.mode.as_deref() == Some(name),
            Given::Jumbo => facts.mtu.is_some_and(|mtu| mtu > ONE_PAGE_MTU),
            Given::KernelBefore(major, minor) => facts.kernel.is_some_and(|kernel| kernel < (major, minor)),
        };
        given && (self.at.is_empty() || self.at.contains(&stage))
    }

    /// Whether one of the row's sayings stands in a line of the (lower-case) text.
    pub(super) fn is_named_by(&self, lower: &str) -> bool {
        self.says.iter().any(|saying| lower.lines().any(|line| says(line, saying)))
    }

    /// The row with the facts filled in.
    pub(super) fn diagnosis(&self, facts: &Facts) -> Diagnosis {
        Diagnosis { id: self.id, cause: fill(self.cause, facts), mend: fill(self.mend, facts) }
    }
}

/// Whether the parts of the saying stand in the line, in order.
fn says(line: &str, saying: &str) -> bool {
    let mut rest = line;
    saying.split('*').all(|part| match rest.find(part) {
        Some(at) => {
            rest = &rest[at + part.len()..];
            true
        }
        None => false,
    })
}

/// Fills the places of a template; a fact that is unknown becomes a word in capitals, to be replaced.
fn fill(template: &str, facts: &Facts) -> String {
    let known = |fact: &Option<String>, unknown: &str| fact.clone().unwrap_or_else(|| unknown.to_string());
    let enter = |words: &Option<String>| words.as_ref().map(|words| format!("{words} ")).unwrap_or_default();
    let iface = known(&facts.iface, "IFACE");
    [
        ("{on}", facts.target.clone().unwrap_or_else(|| iface.clone())),
        ("{iface}", iface),
        ("{in}", enter(&facts.enter)),
        ("{peer}", known(&facts.peer, "PEER")),
        ("{peerin}", enter(&facts.peer_enter)),
        ("{driver}", known(&facts.driver, "the driver")),
        ("{mtu}", facts.mtu.map_or("a larger MTU".to_string(), |mtu| format!("MTU {mtu}"))),
        ("{source}", known(&facts.source, "FILE")),
    ]
    .iter()
    .fold(template.to_string(), |text, (place, word)| text.replace(place, word))
}
