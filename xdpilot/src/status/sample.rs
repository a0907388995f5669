//! Looks at the kernel once.

use std::collections::{BTreeSet, HashMap};
use std::time::{Instant, SystemTime};

use xdpilot_core::error::{Error, Kind, Result};
use xdpilot_core::link::VERDICTS;
use xdpilot_kernel::interface::Interface;
use xdpilot_kernel::link::{self, Link, LinkInfo, LinkKind};
use xdpilot_kernel::namespace::{Namespace, Reachable};
use xdpilot_kernel::object::ObjectRef;
use xdpilot_kernel::owners::Owners;
use xdpilot_kernel::program::ProgramInfo;
use xdpilot_kernel::tcx::{self, Classifier};

use super::policy;
use super::snapshot::{Component, InterfaceStatus, Owner, ProgramStatus, Runs, Snapshot, VerdictCount};
use crate::direction::Hook;
use crate::dispatcher;
use crate::engine::{self, Engine};
use crate::record::{self, Counts, Record};
use crate::state;

/// What is hidden without the right to look at BPF objects.
const PROGRAMS_HIDDEN: &str = "names, owners, times and counts of programs (they take CAP_SYS_ADMIN)";
/// What is hidden without the right to look at other users' processes.
const NAMESPACES_HIDDEN: &str = "network namespaces of other users (they take CAP_SYS_ADMIN and CAP_SYS_PTRACE)";

/// An interface by its namespace's inode number and its index there.
pub type Key = (u64, u32);

/// What to look at.
#[derive(Clone, Copy, Debug, Default)]
pub struct Look<'a> {
    /// Only these interfaces, also where they carry no program; none means all that carry one.
    pub wanted: Option<&'a [Key]>,
    /// The sample before, over which rates are taken.
    pub before: Option<&'a Snapshot>,
    /// Whether the kernel has counted runs since that sample.
    pub runs: bool,
}

/// Takes a sample.
///
/// # Errors
/// Nothing at all can be read.
pub fn sample(look: Look<'_>) -> Result<Snapshot> {
    let mut sampler = Sampler::new(look);
    let names = Names::new();
    if look.wanted.is_none() && Namespace::of_pid(1).is_err_and(|error| error.kind() == Kind::NotPermitted) {
        sampler.hidden.insert(NAMESPACES_HIDDEN);
    }
    let mut interfaces = Vec::new();
    let mut refused: Option<Error> = None;
    let mut read = false;
    for found in Namespace::all() {
        let netns = found.namespace.inode();
        if look.wanted.is_some_and(|wanted| !wanted.iter().any(|key| key.0 == netns)) {
            continue;
        }
        match found.namespace.run(|| seen(sampler.has_egress())) {
            Ok(list) => {
                read = true;
                let place = names.of(&found);
                interfaces.extend(list.iter().filter_map(|seen| sampler.interface(&place, netns, seen)));
            }
            Err(error) => {
                if error.kind() == Kind::NotPermitted {
                    sampler.hidden.insert(NAMESPACES_HIDDEN);
                }
                refused = Some(error);
            }
        }
    }
    if let (false, Some(error)) = (read, refused) {
        return Err(error);
    }
    interfaces.sort_by_key(|one| (one.place.first().is_none_or(|p| p != "host"), one.place.clone(), one.ifindex));
    let hidden = sampler.hidden.iter().map(|what| (*what).to_string()).collect();
    let Sampler { taken, interval, .. } = sampler;
    Ok(Snapshot { version: 1, time: SystemTime::now(), taken, interval, interfaces, hidden })
}

/// An interface, and the programs on packets that leave it.
struct Seen {
    interface: Interface,
    egress: Vec<Classifier>,
}

/// The interfaces of this thread's namespace; programs on packets that leave are asked for only where there are any.
fn seen(egress: bool) -> Result<Vec<Seen>> {
    let one = |interface: Interface| {
        let egress = if egress { tcx::egress(interface.index)? } else { Vec::new() };
        Ok(Seen { interface, egress })
    };
    Interface::list()?.into_iter().map(one).collect()
}

/// The words for namespaces.
struct Names {
    host: Option<u64>,
    containers: HashMap<u64, Vec<String>>,
}

impl Names {
    /// The host is where process 1 lives; where that is hidden, where this process does.
    fn new() -> Self {
        let host = Namespace::of_pid(1).or_else(|_| Namespace::current()).map(|namespace| namespace.inode()).ok();
        let mut containers: HashMap<u64, Vec<String>> = HashMap::new();
        for container in [Engine::Docker, Engine::Podman].into_iter().flat_map(|e| engine::list(e).unwrap_or_default())
        {
            if let Ok(namespace) = Namespace::of_pid(container.pid) {
                let name = format!("{}:{}", container.engine, container.name);
                containers.entry(namespace.inode()).or_default().push(name);
            }
        }
        Names { host, containers }
    }

    fn of(&self, found: &Reachable) -> Vec<String> {
        let inode = found.namespace.inode();
        if self.host == Some(inode) {
            return vec!["host".into()];
        }
        if let Some(containers) = self.containers.get(&inode) {
            return containers.clone();
        }
        if !found.names.is_empty() {
            return found.names.iter().map(|name| format!("netns:{name}")).collect();
        }
        vec![found.pid.map_or_else(|| "here".into(), |pid| format!("pid:{pid}"))]
    }
}

struct Sampler<'a> {
    look: Look<'a>,
    taken: Instant,
    interval: Option<f64>,
    /// None where they are hidden.
    links: Option<Vec<LinkInfo>>,
    owners: Owners,
    hidden: BTreeSet<&'static str>,
}

impl<'a> Sampler<'a> {
    fn new(look: Look<'a>) -> Self {
        let mut hidden = BTreeSet::new();
        let links = match link::all() {
            Ok(links) => Some(links),
            Err(error) if error.kind() == Kind::NotPermitted => {
                hidden.insert(PROGRAMS_HIDDEN);
                None
            }
            // Kernels before 5.8 have no link ids, and no XDP links.
            Err(_) => Some(Vec::new()),
        };
        let taken = Instant::now();
        let interval = look.before.map(|before| (taken - before.taken).as_secs_f64());
        Sampler { look, taken, interval, links, owners: Owners::scan(), hidden }
    }

    /// The interface, where it is to be shown.
    fn interface(&mut self, place: &[String], netns: u64, seen: &Seen) -> Option<InterfaceStatus> {
        let Seen { interface, egress } = seen;
        let show = match self.look.wanted {
            Some(wanted) => wanted.contains(&(netns, interface.index)),
            None => !interface.xdp.is_empty() || !egress.is_empty(),
        };
        let xdp = interface.xdp.programs().map(|(mode, id)| (Hook::Xdp(mode), id));
        let programs = xdp.chain(egress.iter().map(|egress| (Hook::Egress, egress.program)));
        show.then(|| InterfaceStatus {
            interface: interface.name.clone(),
            ifindex: interface.index,
            place: place.to_vec(),
            netns,
            programs: programs.map(|(hook, id)| self.program((netns, interface.index), hook, id)).collect(),
        })
    }

    /// Whether any link holds a program on packets that leave.
    fn has_egress(&self) -> bool {
        self.links.iter().flatten().any(|link| link.egress_ifindex().is_some())
    }

    /// What the kernel lets this user have.
    fn permitted<T>(&mut self, result: Result<T>) -> Option<T> {
        result
            .inspect_err(|error| {
                if error.kind() == Kind::NotPermitted {
                    self.hidden.insert(PROGRAMS_HIDDEN);
                }
            })
            .ok()
    }

    fn program(&mut self, key: Key, hook: Hook, id: u32) -> ProgramStatus {
        let (netns, ifindex) = key;
        let info = self.permitted(ProgramInfo::of_id(id)).flatten();
        let before = self.look.before.and_then(|before| before.program(netns, ifindex, id));
        let run_totals = info.as_ref().map_or((0, 0), |info| (info.run_count, info.run_time.as_nanos()));
        let counts = info.as_ref().and_then(|info| self.permitted(record::counts(info)).flatten());
        let record = info.as_ref().and_then(|info| self.permitted(Record::of(info)).flatten());
        let policy = info.as_ref().zip(record.as_ref().and_then(|record| record.policy.as_ref()));
        let policy = policy.and_then(|(info, policy)| {
            let before = before.and_then(|before| before.policy.as_ref());
            self.permitted(policy::look(info, policy, before, self.interval))
        });
        let is_dispatcher = info.as_ref().is_some_and(|info| info.name == dispatcher::NAME);
        ProgramStatus {
            name: info.as_ref().map(|info| info.name.clone()),
            id,
            tag: info.as_ref().map(|info| info.tag.clone()),
            mode: hook.to_string(),
            owner: self.owner(key, hook, id),
            loaded_at: info.as_ref().map(|info| info.loaded_at),
            source: record.map(|record| record.source),
            policy,
            verdicts: counts
                .map(|counts| rates(&counts, before.and_then(|before| before.verdicts.as_deref()), self.interval)),
            runs: before.filter(|_| self.look.runs).map(|before| runs(before.run_totals, run_totals)),
            components: if is_dispatcher { self.components(id) } else { Vec::new() },
            run_totals,
        }
    }

    /// The link that holds the program there. Indexes are counted per namespace: where several links fit,
    /// xdpilot's own pin decides.
    fn owner(&self, (netns, ifindex): Key, hook: Hook, id: u32) -> Owner {
        let Some(links) = &self.links else { return Owner::Hidden };
        let stands_on = |link: &LinkInfo| match hook {
            Hook::Xdp(_) => link.xdp_ifindex(),
            Hook::Egress => link.egress_ifindex(),
        };
        let held = |link: &LinkInfo| link.program_id == id && stands_on(link) == Some(ifindex);
        let fitting: Vec<&LinkInfo> = links.iter().filter(|link| held(link)).collect();
        let link = match fitting[..] {
            [] => return Owner::Netlink,
            [only] => only.id,
            [first, ..] => Link::open_pinned(&state::link_path(hook.direction(), netns, ifindex))
                .and_then(|link| link.info())
                .ok()
                .filter(held)
                .map_or(first.id, |link| link.id),
        };
        let object = ObjectRef::link(link);
        let processes = self.owners.processes(object).iter().map(Into::into).collect();
        Owner::Link { id: link, pins: self.owners.pins(object).to_vec(), processes }
    }

    fn components(&mut self, dispatcher: u32) -> Vec<Component> {
        let ids = component_ids(self.links.as_deref().unwrap_or_default(), dispatcher);
        let mut out = Vec::new();
        for id in ids {
            let info = self.permitted(ProgramInfo::of_id(id)).flatten();
            // Tracers stand on a dispatcher too; only replacements of its functions are its programs.
            if info.as_ref().is_none_or(|info| info.type_name() == "ext") {
                out.push(Component { name: info.map(|info| info.name), id });
            }
        }
        out
    }
}

/// The programs in a dispatcher's functions, in the order in which it calls them: that of its functions in BTF.
fn component_ids(links: &[LinkInfo], dispatcher: u32) -> Vec<u32> {
    let mut found: Vec<(u32, u32, u32)> = links
        .iter()
        .filter_map(|link| match link.kind {
            LinkKind::Tracing { target_obj_id, target_btf_id } if target_obj_id == dispatcher => {
                Some((target_btf_id, link.id, link.program_id))
            }
            _ => None,
        })
        .collect();
    found.sort_unstable();
    found.into_iter().map(|(.., program)| program).collect()
}

/// The counts, with rates where there is a sample before.
pub(crate) fn rates(counts: &Counts, before: Option<&[VerdictCount]>, interval: Option<f64>) -> Vec<VerdictCount> {
    let rate = |now: u64, then: Option<u64>| {
        let seconds = interval.filter(|seconds| *seconds > 0.0)?;
        Some(now.saturating_sub(then?) as f64 / seconds)
    };
    let one = |(at, (verdict, count)): (usize, (&&'static str, &record::Count))| {
        let then = before.and_then(|before| before.get(at));
        VerdictCount {
            verdict,
            packets: count.packets,
            bytes: count.bytes,
            packets_per_second: rate(count.packets, then.map(|then| then.packets)),
            bytes_per_second: rate(count.bytes, then.map(|then| then.bytes)),
        }
    };
    VERDICTS.iter().zip(counts).enumerate().map(one).collect()
}

fn runs(before: (u64, u128), now: (u64, u128)) -> Runs {
    let (count, time) = (now.0.saturating_sub(before.0), now.1.saturating_sub(before.1));
    Runs { count, ns_per_run: (count > 0).then(|| time as f64 / count as f64) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dispatchers_programs_come_in_the_order_of_its_functions() {
        let tracing = |id, program_id, target_obj_id, target_btf_id| LinkInfo {
            id,
            program_id,
            kind: LinkKind::Tracing { target_obj_id, target_btf_id },
        };
        let links = [
            tracing(3, 30, 7, 12),
            tracing(4, 40, 7, 11),
            tracing(5, 50, 8, 11),
            LinkInfo { id: 6, program_id: 7, kind: LinkKind::Xdp { ifindex: 7 } },
        ];
        assert_eq!(component_ids(&links, 7), [40, 30]);
        assert!(component_ids(&links, 9).is_empty());
    }

    #[test]
    fn runs_are_those_of_the_interval() {
        assert_eq!(runs((10, 1_000), (14, 1_200)), Runs { count: 4, ns_per_run: Some(50.0) });
        assert_eq!(runs((10, 1_000), (10, 1_000)), Runs { count: 0, ns_per_run: None });
    }
}
