//! Which function of an object is the program that is meant.

use std::collections::HashSet;

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

/// An object with what its references say of its functions.
struct View<'a> {
    object: &'a Object,
    callees: HashSet<FunctionId>,
    tail_called: HashSet<FunctionId>,
}

impl<'a> View<'a> {
    fn new(object: &'a Object) -> Self {
        View { object, callees: object.callees(), tail_called: object.tail_call_targets() }
    }

    /// The functions that no other one calls.
    fn uncalled(&self) -> impl Iterator<Item = FunctionId> {
        self.object.function_ids().filter(|id| !self.callees.contains(id))
    }

    /// All functions that may be meant as an XDP program, most likely ones first.
    fn programs(&self) -> Vec<(Rank, FunctionId)> {
        let ranked = self.uncalled().map(|id| (rank(self.object, id, self.tail_called.contains(&id)), id));
        let mut out: Vec<_> = ranked.filter(|(rank, _)| *rank != Rank::Other).collect();
        out.sort();
        out
    }
}

fn rank(object: &Object, id: FunctionId, tail_called: bool) -> Rank {
    let section = object.function(id).section.trim_start_matches('?');
    if map_program(section).is_some() {
        Rank::MapEntry
    } else if section.starts_with("xdp") {
        Rank::Xdp
    } else if section == TEXT {
        Rank::Text
    } else if tail_call_section(section).is_some() && tail_called {
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

/// The kind of map, `devmap` or `cpumap`, whose entries the programs of a section were written for.
pub(super) fn map_program(section: &str) -> Option<&'static str> {
    let rest = section.trim_start_matches('?').strip_prefix("xdp")?;
    let kind = rest.strip_prefix(".frags").unwrap_or(rest).strip_prefix(['/', '_'])?;
    let is = |name: &&str| kind.strip_prefix(*name).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    ["devmap", "cpumap"].into_iter().find(is)
}

/// All functions that may be meant as an XDP program: not called by others, not of another type.
pub fn programs(object: &Object) -> Vec<FunctionId> {
    View::new(object).programs().into_iter().map(|(_, id)| id).collect()
}

/// The program that is meant.
pub(super) fn choose(object: &Object, choice: &Choice) -> Result<FunctionId> {
    let view = View::new(object);
    if choice.program.is_none() && choice.section.is_none() {
        return find(&view);
    }
    let named: Vec<FunctionId> = object
        .function_ids()
        .filter(|id| choice.program.as_ref().is_none_or(|name| object.function(*id).name == *name))
        .filter(|id| choice.section.as_ref().is_none_or(|section| object.function(*id).section == *section))
        .collect();
    let uncalled: Vec<FunctionId> = named.iter().copied().filter(|id| !view.callees.contains(id)).collect();
    match (&named[..], &uncalled[..]) {
        ([], _) => Err(missing(&view, choice)),
        ([only], _) | (_, [only]) => Ok(*only),
        ([first, ..], _) if choice.first => Ok(*first),
        _ => Err(ambiguous(object, &named)),
    }
}

/// The one program that can be meant where nothing is named.
fn find(view: &View<'_>) -> Result<FunctionId> {
    let candidates = view.programs();
    let Some((best, _)) = candidates.first().copied() else {
        return Err(missing(view, &Choice::default()));
    };
    let of_rank: Vec<FunctionId> = candidates.iter().take_while(|(rank, _)| *rank == best).map(|(_, id)| *id).collect();
    let entries: Vec<FunctionId> = of_rank.iter().copied().filter(|id| !view.tail_called.contains(id)).collect();
    let main = of_rank.iter().find(|id| best == Rank::Text && view.object.function(**id).name == "main");
    match (&of_rank[..], &entries[..], main) {
        ([only], ..) | (_, [only], _) => Ok(*only),
        (.., Some(main)) => Ok(*main),
        _ => Err(ambiguous(view.object, &of_rank)),
    }
}

fn missing(view: &View<'_>, choice: &Choice) -> Error {
    let what = match (&choice.program, &choice.section) {
        (Some(name), Some(section)) => format!("no program {name} in section {section}"),
        (Some(name), None) => format!("no program {name} in the object"),
        (None, Some(section)) => format!("no section {section} with a program in the object"),
        (None, None) => "no XDP program in the object".to_string(),
    };
    let all: Vec<FunctionId> = view.uncalled().collect();
    let programs: Vec<FunctionId> = view.programs().into_iter().map(|(_, id)| id).collect();
    let cause = match (all.is_empty(), programs.is_empty()) {
        (true, _) => "the object has no functions: was it compiled for BPF?".to_string(),
        (false, true) => format!("its programs are of other types: {}", list(view.object, &all)),
        (false, false) => format!("it has: {}", list(view.object, &programs)),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::made::{function, map, object};
    use crate::modernize::map_type::PROG_ARRAY;
    use crate::object::{Slot, Target};

    fn chosen(object: &Object, choice: &Choice) -> String {
        match choose(object, choice) {
            Ok(id) => object.function(id).name.clone(),
            Err(error) => error.what().to_string(),
        }
    }

    #[test]
    fn an_xdp_section_goes_before_free_names_and_text() {
        let calls = [Target::Function(FunctionId(0))];
        let mut all = object(vec![
            function("helper", ".text", &[]),
            function("main", ".text", &calls),
            function("cls", "tc/ingress", &[]),
            function("free", "prog", &[]),
        ]);
        assert_eq!(chosen(&all, &Choice::default()), "free");
        all.functions.push(function("drop", "xdp_drop", &[]));
        assert_eq!(chosen(&all, &Choice::default()), "drop");
        assert_eq!(programs(&all), [4, 3, 1].map(FunctionId));
    }

    #[test]
    fn the_entry_is_the_one_that_no_tail_call_reaches() {
        let mut all = object(vec![function("a", "xdp", &[]), function("b", "xdp", &[])]);
        assert_eq!(chosen(&all, &Choice::default()), "the object has several XDP programs");
        all.maps.push(map("jumps", PROG_ARRAY, vec![(0, Slot::Program(FunctionId(0)))]));
        assert_eq!(chosen(&all, &Choice::default()), "b");
    }

    #[test]
    fn a_section_of_several_programs_means_the_first_where_ip_is_spoken() {
        let all = object(vec![function("a", "prog", &[]), function("b", "prog", &[])]);
        let mut choice = Choice { section: Some("prog".into()), ..Choice::default() };
        assert_eq!(chosen(&all, &choice), "the object has several XDP programs");
        choice.first = true;
        assert_eq!(chosen(&all, &choice), "a");
        choice.program = Some("b".into());
        assert_eq!(chosen(&all, &choice), "b");
        choice.section = Some("other".into());
        assert_eq!(chosen(&all, &choice), "no program b in section other");
    }

    #[test]
    fn programs_of_map_entries_are_known_by_their_sections() {
        for (section, kind) in [
            ("xdp/devmap", Some("devmap")),
            ("xdp.frags/cpumap", Some("cpumap")),
            ("?xdp_devmap/a", Some("devmap")),
            ("xdp/devmapper", None),
            ("xdp", None),
        ] {
            assert_eq!(map_program(section), kind, "{section}");
        }
    }
}
