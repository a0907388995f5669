//! One immutable sample of what is attached: the table, the JSON and the next sample's rates are made of it.

use std::path::PathBuf;
use std::time::{Instant, SystemTime};

use serde::{Serialize, Serializer};
use xdpilot_kernel::owners::Process;

use crate::when;

/// What was seen at one moment. Its JSON form is documented in `docs/json.md`.
#[derive(Clone, Debug, Serialize)]
pub struct Snapshot {
    /// The version of the JSON form.
    pub version: u32,
    /// When it was seen.
    #[serde(serialize_with = "utc")]
    pub time: SystemTime,
    /// The same moment on a clock that is never set.
    #[serde(skip)]
    pub taken: Instant,
    /// Seconds since the sample before, over which rates are taken; none in a first sample.
    pub interval: Option<f64>,
    /// The interfaces: the host's first, then by place and index.
    pub interfaces: Vec<InterfaceStatus>,
    /// What this user may not see, with the reason.
    pub hidden: Vec<String>,
}

/// One interface.
#[derive(Clone, Debug, Serialize)]
pub struct InterfaceStatus {
    /// Its name.
    pub interface: String,
    /// Its index in its namespace.
    pub ifindex: u32,
    /// Where it is, in the words of targets: `host`, or `docker:web`, `netns:blue`, `pid:42`; `here` for a
    /// namespace without a name that this process is in. Several where containers share a namespace.
    #[serde(rename = "where")]
    pub place: Vec<String>,
    /// The inode number of its network namespace.
    pub netns: u64,
    /// The programs on it, in the order in which a packet meets them.
    pub programs: Vec<ProgramStatus>,
}

/// One attached program. What is hidden from this user is none.
#[derive(Clone, Debug, Serialize)]
pub struct ProgramStatus {
    /// Its name.
    pub name: Option<String>,
    /// Its id.
    pub id: u32,
    /// The hash of its instructions, as bpftool prints it.
    pub tag: Option<String>,
    /// `native`, `generic` or `offload`; `egress` for a program on packets that leave.
    pub mode: String,
    /// Who holds it there.
    pub owner: Owner,
    /// When it was loaded.
    #[serde(serialize_with = "utc_option")]
    pub loaded_at: Option<SystemTime>,
    /// What it was loaded from; none where xdpilot did not load it.
    pub source: Option<String>,
    /// Packets and bytes by verdict; none where they are not counted.
    pub verdicts: Option<Vec<VerdictCount>>,
    /// What its rules met; none where it is no policy of xdpilot's.
    pub policy: Option<PolicyStatus>,
    /// Runs in the interval; none where nobody looked.
    pub runs: Option<Runs>,
    /// The programs that a libxdp dispatcher calls, in order.
    pub components: Vec<Component>,
    /// `run_count` and nanoseconds of `run_time`, as the kernel counts them since the program was loaded.
    #[serde(skip)]
    pub run_totals: (u64, u128),
}

/// Who holds a program at its interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Owner {
    /// A BPF link, kept by pins and by processes.
    Link {
        /// Its id.
        id: u32,
        /// Where it is pinned.
        pins: Vec<PathBuf>,
        /// Who has it open.
        processes: Vec<Holder>,
    },
    /// The interface itself: attached by netlink.
    Netlink,
    /// Hidden from this user.
    Hidden,
}

/// A process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Holder {
    /// Its id.
    pub pid: u32,
    /// Its name.
    pub comm: String,
}

impl From<&Process> for Holder {
    fn from(process: &Process) -> Self {
        Holder { pid: process.pid, comm: process.comm.clone() }
    }
}

/// The count of one verdict.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct VerdictCount {
    /// The verdict: a word of [`xdpilot_core::link::VERDICTS`].
    pub verdict: &'static str,
    /// Packets since the program was loaded.
    pub packets: u64,
    /// Bytes since the program was loaded.
    pub bytes: u64,
    /// Packets per second over the interval.
    pub packets_per_second: Option<f64>,
    /// Bytes per second over the interval.
    pub bytes_per_second: Option<f64>,
}

/// What the rules of a policy met.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PolicyStatus {
    /// Its rules in order, and last its default.
    pub rules: Vec<RuleStatus>,
    /// The sums of the rules that count under a name.
    pub counters: Vec<CounterStatus>,
    /// Its sets.
    pub sets: Vec<SetStatus>,
    /// Its pools.
    pub pools: Vec<PoolStatus>,
}

/// A rule.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RuleStatus {
    /// Its line in the policy, from 1; 0 for a default that nothing is said of.
    pub line: u32,
    /// The rule.
    pub text: String,
    /// What it met.
    #[serde(flatten)]
    pub hits: Hits,
}

/// A named counter.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CounterStatus {
    /// Its name.
    pub name: String,
    /// What the rules met that count under it.
    #[serde(flatten)]
    pub hits: Hits,
}

/// A set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SetStatus {
    /// Its name.
    pub name: String,
    /// How many elements are in it.
    pub elements: usize,
}

/// A pool, and how many of its backends are in which state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PoolStatus {
    /// Its name.
    pub name: String,
    /// Backends that get connections.
    pub up: usize,
    /// Backends that get no new ones.
    pub drains: usize,
    /// Backends whose checks fail.
    pub down: usize,
}

/// Packets and bytes that something met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Hits {
    /// Packets since the policy was loaded.
    pub packets: u64,
    /// Bytes since the policy was loaded.
    pub bytes: u64,
    /// Packets per second over the interval.
    pub packets_per_second: Option<f64>,
    /// Bytes per second over the interval.
    pub bytes_per_second: Option<f64>,
}

/// How often and how long a program ran in the interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Runs {
    /// Runs.
    pub count: u64,
    /// Nanoseconds per run; none where it did not run.
    pub ns_per_run: Option<f64>,
}

/// A program behind a dispatcher.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Component {
    /// Its name.
    pub name: Option<String>,
    /// Its id.
    pub id: u32,
}

impl Snapshot {
    /// The same program on the same interface in this sample.
    pub fn program(&self, netns: u64, ifindex: u32, id: u32) -> Option<&ProgramStatus> {
        let interface = self.interfaces.iter().find(|one| one.netns == netns && one.ifindex == ifindex)?;
        interface.programs.iter().find(|program| program.id == id)
    }
}

fn utc<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&when::rfc3339(*time))
}

fn utc_option<S: Serializer>(time: &Option<SystemTime>, serializer: S) -> Result<S::Ok, S::Error> {
    time.map(when::rfc3339).serialize(serializer)
}
