//! The story, as data: what is done, and what must be seen after it.

use serde::Serialize;

use super::probe::Outcome;
use super::programs::{BOUNCE, DROPPER, Program, UDP};

/// A command, as a user types it. It is about the interface where packets reach the servers.
pub(super) enum Command {
    /// `xdpilot load FILE --on TARGET`
    Load(Program),
    /// `xdpilot unload --on TARGET`
    Unload,
}

impl Command {
    /// The words after `xdpilot`; `target` names the interface in this run.
    pub(super) fn words(&self, target: &str) -> Vec<String> {
        let words = match self {
            Command::Load(program) => vec!["load", program.file, "--on", target],
            Command::Unload => vec!["unload", "--on", target],
        };
        words.into_iter().map(str::to_owned).collect()
    }
}

/// What must come of the client's requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Want {
    /// The server answers.
    Answers,
    /// Nothing comes back.
    Silence,
    /// The client's own packet comes back.
    OwnPackets,
}

impl Want {
    /// The outcome of one request that fits.
    pub(super) fn outcome(self) -> Outcome {
        match self {
            Want::Answers => Outcome::Answered,
            Want::Silence => Outcome::Lost,
            Want::OwnPackets => Outcome::Returned,
        }
    }
}

/// One step of the story.
pub(super) struct Step {
    /// What happens, for people.
    pub(super) title: &'static str,
    /// The commands that bring it about.
    pub(super) commands: &'static [Command],
    /// What HTTP requests must meet then.
    pub(super) http: Want,
    /// What DNS queries must meet then.
    pub(super) dns: Want,
}

/// All steps, in order. Each begins where the one before it ended.
pub(super) const STORY: [Step; 7] = [
    Step {
        title: "Traffic flows: the web server serves its cat, the DNS server its answer",
        commands: &[],
        http: Want::Answers,
        dns: Want::Answers,
    },
    Step {
        title: "Drop everything: int main() { return XDP_DROP; }",
        commands: &[Command::Load(DROPPER)],
        http: Want::Silence,
        dns: Want::Silence,
    },
    Step {
        title: "Take it off: traffic is back",
        commands: &[Command::Unload],
        http: Want::Answers,
        dns: Want::Answers,
    },
    Step {
        title: "Drop UDP only: DNS times out, the web answers",
        commands: &[Command::Load(UDP)],
        http: Want::Answers,
        dns: Want::Silence,
    },
    Step { title: "Take it off: DNS is back", commands: &[Command::Unload], http: Want::Answers, dns: Want::Answers },
    Step {
        title: "Bounce UDP (XDP_TX): the sender gets its own queries back",
        commands: &[Command::Load(BOUNCE)],
        http: Want::Answers,
        dns: Want::OwnPackets,
    },
    Step {
        title: "Take it off: all is as it was",
        commands: &[Command::Unload],
        http: Want::Answers,
        dns: Want::Answers,
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_load_is_taken_off_again() {
        let mut loaded = false;
        for command in STORY.iter().flat_map(|step| step.commands) {
            assert_eq!(matches!(command, Command::Unload), loaded);
            loaded = !loaded;
        }
        assert!(!loaded);
    }

    #[test]
    fn commands_read_as_they_are_typed() {
        let words = |command: Command| command.words("netns:web/eth0").join(" ");
        assert_eq!(words(Command::Load(UDP)), "load udp.o --on netns:web/eth0");
        assert_eq!(words(Command::Unload), "unload --on netns:web/eth0");
    }
}
