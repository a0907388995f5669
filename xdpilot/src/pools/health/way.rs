//! By which way the backends of a pool are asked.

use std::net::IpAddr;
use std::sync::Arc;

use xdpilot_core::policy::{Check, CheckKind, Method};
use xdpilot_core::route::{Backend, service};
use xdpilot_core::rules::Rules;

use super::carrier::{Carried, Carrier};
use super::check::Asked;
use crate::place::Place;
use crate::pools::live::Live;

/// So many addresses of a pool's service are asked at most.
const MOST: usize = 16;

/// How the backends of a pool are asked.
#[derive(Clone, Debug)]
pub(super) enum Way {
    /// At their own addresses.
    Direct,
    /// At these addresses of the pool's service, by the data path.
    Carried(Arc<Carrier>, Vec<IpAddr>),
}

/// The ways of all pools of a policy at a place.
pub(super) struct Ways<'a> {
    rules: &'a Arc<Rules>,
    place: &'a Place,
    /// Made for the first pool that needs it; none where that failed.
    carrier: Option<Option<Arc<Carrier>>>,
    /// What the user should know.
    pub(super) notes: Vec<String>,
}

impl<'a> Ways<'a> {
    pub(super) fn new(rules: &'a Arc<Rules>, place: &'a Place) -> Self {
        Ways { rules, place, carrier: None, notes: Vec::new() }
    }

    /// The way of a pool's checks. Where packets are translated backends get them at their own addresses; and a command
    /// asks as it likes.
    pub(super) fn of(&mut self, pool: u16, check: &Check) -> Way {
        let index = usize::from(pool);
        let Some(one) = self.rules.pools.get(index) else { return Way::Direct };
        if one.method.translates() || matches!(check.kind, CheckKind::Exec(_)) {
            return Way::Direct;
        }
        let (name, label) = (one.name.clone(), &self.place.label);
        let direct = |why: &str| format!("{label}: backends of {name} are checked at their own addresses: {why}");
        let mut services = service::addresses(self.rules, index, check.port.unwrap_or(0));
        if services.is_empty() {
            self.notes.push(direct("no rule names the address of the service (route … when dst host ADDRESS)"));
            return Way::Direct;
        }
        if services.len() > MOST {
            let note =
                format!("{label}: backends of {name} are checked at the first {MOST} of {} addresses", services.len());
            self.notes.push(note);
            services.truncate(MOST);
        }
        let Some(carrier) = self.carrier(&direct) else { return Way::Direct };
        let way = Way::Carried(carrier, services);
        let others = self.asked_directly(&way, pool, &one.method);
        if !others.is_empty() {
            let why = "this host has no address to which they could answer from the service's";
            self.notes.push(format!("{label}: {} of {name}: checked at their own addresses: {why}", others.join(", ")));
        }
        way
    }

    /// The backends that are asked at their own addresses all the same.
    fn asked_directly(&self, way: &Way, pool: u16, method: &Method) -> Vec<String> {
        let members = Live::at(self.place).map(|live| live.members(pool)).unwrap_or_default();
        let is_direct = |backend: &Backend| matches!(way.to(pool, backend, method), Asked::Backend(_));
        members.into_iter().filter(|(_, one)| is_direct(&one.backend)).map(|(_, one)| one.name).collect()
    }

    /// What carries checks; where there is none that is noted, by the words that `direct` finds for the reason.
    fn carrier(&mut self, direct: &dyn Fn(&str) -> String) -> Option<Arc<Carrier>> {
        if self.carrier.is_none() {
            let made = Carrier::new(self.rules, self.place).map(Arc::new);
            self.carrier = Some(made.inspect_err(|error| self.notes.push(direct(&error.to_string()))).ok());
        }
        self.carrier.clone().flatten()
    }
}

impl Way {
    /// Where a backend is asked: at the addresses of the service that it has part in, and from where it can answer.
    pub(super) fn to(&self, pool: u16, backend: &Backend, method: &Method) -> Asked<'_> {
        let Way::Carried(carrier, services) = self else { return Asked::Backend(backend.address) };
        let carried = |service: &IpAddr| {
            let own = carrier.own(backend, *service).ok().flatten()?;
            let (carrier, backend, service) = (&**carrier, *backend, *service);
            Some(Carried { carrier, pool, backend, service, own })
        };
        let fits = |service: &&IpAddr| method.wraps() || service.is_ipv6() == backend.address.is_ipv6();
        let carried: Vec<_> = services.iter().filter(fits).filter_map(carried).collect();
        if carried.is_empty() { Asked::Backend(backend.address) } else { Asked::Services(carried) }
    }
}
