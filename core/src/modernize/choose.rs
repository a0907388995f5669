//! Which function of an object is the program that is meant.

use crate::error::{Error, Result};
use crate::modernize::legacy::tail_call_section;
use crate::object::{FunctionId, Object, TEXT};

/// How a caller names the program; nothing named means: find it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// Name of the function.
    pub program: Option<String>,
    /// Name of the ELF section.
    pub section: Option<String>,
    /// Whether the first function of the section is meant where there are several, as ip(8) does.
    pub first: bool,
}

/// What a section's name says of the programs in it, most likely XDP first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// `xdp`, `xdp/…`, `xdp.frags`, `xdp_…`.
    Xdp,
    /// A name that says nothing: `prog`, `dropper_main`.
    Free,
    /// `.text`: code of no section.
    Text,
    /// `xdp/devmap`, `xdp/cpumap`: for map entries.
    MapEntry,
    /// `ID/KEY`: reached by tail calls.
    TailCall,
    /// A program of another type.
    Other,
}

/// Section names of other program types (section_defs, tools/lib/bpf/libbpf.c), and of older loaders.
const OTHER_TYPES: &[&str] = &[
    "socket",
    "sk_reuseport",
    "kprobe",
    "uprobe",
    "kretprobe",
    "uretprobe",
    "ksyscall",
    "kretsyscall",
    "usdt",
    "tc",
    "tcx",
    "classifier",
    "action",
    "netkit",
    "tracepoint",
    "tp",
    "raw_tracepoint",
    "raw_tp",
    "tp_btf",
    "fentry",
    "fmod_ret",
    "fexit",
    "freplace",
    "lsm",
    "lsm_cgroup",
    "iter",
    "syscall",
    "cgroup",
    "cgroup_skb",
    "sockops",
    "sk_skb",
    "sk_msg",
    "sk_lookup",
    "struct_ops",
    "lirc_mode2",
    "flow_dissector",
    "perf_event",
    "lwt_in",
    "lwt_out",
    "lwt_xmit",
    "lwt_seg6local",
    "netfilter",
    "cgroup_dev",
    "cgroup_sock",
    "sk_filter",
];

fn rank(object: &Object, id: FunctionId) -> Rank {
    let section = object.function(id).section.trim_start_matches('?');
    if is_map_program(section) {
        Rank::MapEntry
    } else if section.starts_with("xdp") {
        Rank::Xdp
    } else if section == TEXT {
        Rank::Text
    } else if tail_call_section(section).is_some() && object.is_tail_call_target(id) {
        Rank::TailCall
    } else if OTHER_TYPES
        .iter()
        .any(|t| section.strip_prefix(t).is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '.', '+'])))
    {
        Rank::Other
    } else {
        Rank::Free
    }
}

/// Whether a section holds programs that take packets of several buffers.
pub(super) fn is_frags(section: &str) -> bool {
    section.trim_start_matches('?').starts_with("xdp.frags")
}

/// Whether a section holds programs for entries of a device or CPU map.
pub(super) fn is_map_program(section: &str) -> bool {
    let kind = section
        .trim_start_matches('?')
        .strip_prefix("xdp")
        .and_then(|rest| rest.strip_prefix(".frags").unwrap_or(rest).strip_prefix(['/', '_']));
    kind.is_some_and(|kind| {
        ["devmap", "cpumap"].iter().any(|k| kind.strip_prefix(k).is_some_and(|r| r.is_empty() || r.starts_with('/')))
    })
}

/// All functions that may be meant as an XDP program: not called by others, not of another type.
pub fn programs(object: &Object) -> Vec<FunctionId> {
    let mut out: Vec<FunctionId> =
        object.function_ids().filter(|id| !object.is_callee(*id) && rank(object, *id) != Rank::Other).collect();
    out.sort_by_key(|id| (rank(object, *id), *id));
    out
}

/// The program that is meant.
pub(super) fn choose(object: &Object, choice: &Choice) -> Result<FunctionId> {
    if choice.program.is_none() && choice.section.is_none() {
        return find(object);
    }
    let named: Vec<FunctionId> = object
        .function_ids()
        .filter(|id| choice.program.as_ref().is_none_or(|name| object.function(*id).name == *name))
        .filter(|id| choice.section.as_ref().is_none_or(|section| object.function(*id).section == *section))
        .collect();
    let uncalled: Vec<FunctionId> = named.iter().copied().filter(|id| !object.is_callee(*id)).collect();
    match (&named[..], &uncalled[..]) {
        ([], _) => Err(missing(object, choice)),
        ([only], _) | (_, [only]) => Ok(*only),
        ([first, ..], _) if choice.first => Ok(*first),
        _ => Err(ambiguous(object, &named)),
    }
}

/// The one program that can be meant where nothing is named.
fn find(object: &Object) -> Result<FunctionId> {
    let candidates = programs(object);
    let Some(best) = candidates.iter().map(|id| rank(object, *id)).min() else {
        return Err(missing(object, &Choice::default()));
    };
    let of_rank: Vec<FunctionId> = candidates.iter().copied().filter(|id| rank(object, *id) == best).collect();
    let entries: Vec<FunctionId> = of_rank.iter().copied().filter(|id| !object.is_tail_call_target(*id)).collect();
    let main = of_rank.iter().find(|id| best == Rank::Text && object.function(**id).name == "main");
    match (&of_rank[..], &entries[..], main) {
        ([only], ..) | (_, [only], _) => Ok(*only),
        (.., Some(main)) => Ok(*main),
        _ => Err(ambiguous(object, &of_rank)),
    }
}

fn missing(object: &Object, choice: &Choice) -> Error {
    let what = match (&choice.program, &choice.section) {
        (Some(name), Some(section)) => format!("no program {name} in section {section}"),
        (Some(name), None) => format!("no program {name} in the object"),
        (None, Some(section)) => format!("no section {section} with a program in the object"),
        (None, None) => "no XDP program in the object".to_string(),
    };
    let all: Vec<FunctionId> = object.function_ids().filter(|id| !object.is_callee(*id)).collect();
    let cause = match (all.is_empty(), programs(object).is_empty()) {
        (true, _) => "the object has no functions: was it compiled for BPF?".to_string(),
        (false, true) => format!("its programs are of other types: {}", list(object, &all)),
        (false, false) => format!("it has: {}", list(object, &programs(object))),
    };
    let error = Error::usage(what).cause(cause);
    if all.is_empty() { error } else { error.mend("name one with --program NAME or --section SECTION") }
}

fn ambiguous(object: &Object, ids: &[FunctionId]) -> Error {
    Error::usage("the object has several XDP programs")
        .cause(format!("it has: {}", list(object, ids)))
        .mend(format!("choose one: --program {}", ids.first().map_or("NAME", |id| object.function(*id).name.as_str())))
}

fn list(object: &Object, ids: &[FunctionId]) -> String {
    const MOST: usize = 40;
    let mut names: Vec<String> = ids
        .iter()
        .take(MOST)
        .map(|id| object.function(*id))
        .map(|f| format!("{} (section {})", f.name, f.section))
        .collect();
    if ids.len() > MOST {
        names.push(format!("and {} more", ids.len() - MOST));
    }
    names.join(", ")
}
