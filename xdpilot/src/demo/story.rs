//! The story, as data: what is done, and what must be seen after it.

use serde::Serialize;

use super::probe::Outcome;
use super::programs::{BOUNCE, DROPPER, PASS, Program, UDP};

/// The two interfaces that the story puts programs on.
#[derive(Clone, Copy)]
pub(super) enum End {
    /// Where packets reach the servers.
    Server,
    /// Where their answers reach the client.
    Client,
}

/// A command, as a user types it.
pub(super) enum Command {
    /// `xdpilot load FILE --on TARGET`
    Load(Program, End),
    /// `xdpilot unload --on TARGET`
    Unload(End),
}

impl Command {
    /// The words after `xdpilot`; `target` names an end of this run: `--on` and what belongs to it.
    pub(super) fn words(&self, target: impl Fn(End) -> Vec<String>) -> Vec<String> {
        let (mut words, end) = match self {
            Command::Load(program, end) => (vec!["load".to_owned(), program.file.to_owned()], *end),
            Command::Unload(end) => (vec!["unload".to_owned()], *end),
        };
        words.extend(target(end));
        words
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
        commands: &[Command::Load(DROPPER, End::Server)],
        http: Want::Silence,
        dns: Want::Silence,
    },
    Step {
        title: "Take it off: traffic is back",
        commands: &[Command::Unload(End::Server)],
        http: Want::Answers,
        dns: Want::Answers,
    },
    Step {
        title: "Drop UDP only: DNS times out, the web answers",
        commands: &[Command::Load(UDP, End::Server)],
        http: Want::Answers,
        dns: Want::Silence,
    },
    Step {
        title: "Take it off: DNS is back",
        commands: &[Command::Unload(End::Server)],
        http: Want::Answers,
        dns: Want::Answers,
    },
    Step {
        title: "Bounce UDP (XDP_TX): the sender gets its own queries back",
        commands: &[Command::Load(BOUNCE, End::Server)],
        http: Want::Answers,
        dns: Want::OwnPackets,
    },
    Step {
        title: "Take it off: all is as it was",
        commands: &[Command::Unload(End::Server)],
        http: Want::Answers,
        dns: Want::Answers,
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_load_is_taken_off_again() {
        let mut loaded = Vec::new();
        for command in STORY.iter().flat_map(|step| step.commands) {
            match command {
                Command::Load(_, end) => loaded.push(*end as usize),
                Command::Unload(end) => {
                    assert!(loaded.contains(&(*end as usize)));
                    loaded.retain(|other| *other != *end as usize);
                }
            }
        }
        assert!(loaded.is_empty());
    }

    #[test]
    fn commands_read_as_they_are_typed() {
        let target = |_| vec!["--on".to_owned(), "netns:web/eth0".to_owned()];
        let words = |command: Command| command.words(target).join(" ");
        assert_eq!(words(Command::Load(UDP, End::Server)), "load udp.o --on netns:web/eth0");
        assert_eq!(words(Command::Unload(End::Client)), "unload --on netns:web/eth0");
    }
}
