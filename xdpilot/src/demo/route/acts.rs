//! The story, as data: what is done, and who must answer after it.

use super::stage::CATS;

/// What happens at an act's beginning.
#[derive(Clone, Copy)]
pub(super) enum Change {
    /// `xdpilot load cats.xdp --on TARGET --keep`
    Load,
    /// `xdpilot pool … --on TARGET`
    Pool(&'static [&'static str]),
    /// This cat's server ends, and is found out.
    Kill(usize),
    /// It is there again, and is found well.
    Revive(usize),
}

/// An act of the story.
pub(super) struct Act {
    /// What happens, for people.
    pub(super) title: &'static str,
    pub(super) change: Change,
    /// Each cat's share of the answers from then on.
    pub(super) shares: [u32; CATS.len()],
}

impl Act {
    /// Requests may be lost while it begins: those to a server that is not there any more.
    pub(super) fn may_lose(&self) -> bool {
        matches!(self.change, Change::Kill(_))
    }
}

/// The policy's file.
pub(super) const FILE: &str = "cats.xdp";
/// What is in it.
pub(super) const POLICY: &str = "pool cats via nat {
  10.0.1.2:8080
  10.0.2.2:8080
  10.0.3.2:8080
  check http \"/\" every 200ms
}
route cats when dst host 10.9.9.9 and tcp dst port 80
";

/// All acts, in order. Each begins where the one before it ended.
pub(super) const ACTS: [Act; 6] = [
    Act { title: "Three cats share the requests for 10.9.9.9", change: Change::Load, shares: [1, 1, 1] },
    Act {
        title: "cat1 gets three times as many as the others",
        change: Change::Pool(&["weight", "cats", "10.0.1.2:8080", "3"]),
        shares: [3, 1, 1],
    },
    Act {
        title: "cat2 is drained: no new connections",
        change: Change::Pool(&["drain", "cats", "10.0.2.2:8080"]),
        shares: [3, 0, 1],
    },
    Act {
        title: "cat2 takes connections again",
        change: Change::Pool(&["add", "cats", "10.0.2.2:8080"]),
        shares: [3, 1, 1],
    },
    Act { title: "cat3 is killed: its checks fail, it is out", change: Change::Kill(2), shares: [3, 1, 0] },
    Act { title: "cat3 is back: it is well, and in", change: Change::Revive(2), shares: [3, 1, 1] },
];

#[cfg(test)]
mod tests {
    use xdpilot_core::policy;

    use super::super::stage;
    use super::*;

    #[test]
    fn the_policy_is_about_the_stage() {
        for number in 0..CATS.len() {
            assert!(POLICY.contains(&format!("\n  {}\n", stage::backend(number))));
        }
        let service = stage::SERVICE;
        assert!(POLICY.contains(&format!("dst host {} and tcp dst port {}", service.ip(), service.port())));
        for act in &ACTS {
            if let Change::Pool(&["add", _, backend]) = act.change {
                assert!(policy::one_backend(backend).is_ok());
            }
        }
    }

    #[test]
    fn only_a_kill_may_lose() {
        assert_eq!(ACTS.iter().filter(|act| act.may_lose()).count(), 1);
    }
}
