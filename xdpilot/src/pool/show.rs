//! `xdpilot pool show`: pools, their backends and what these were sent.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant, SystemTime};

use clap::Args as ClapArgs;
use serde::Serialize;
use xdpilot_core::error::Result;

use super::{json, live, named};
use crate::frames::{self, seconds};
use crate::pause::Pause;
use crate::policy::places::Places;
use crate::pools::live::{Condition, Live};
use crate::table::{Row, Style, Table};
use crate::trial::printed;
use crate::when;

/// Show the pools, their backends and what these were sent
#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    /// The pool's name; all pools where none is given
    name: Option<String>,
    /// Look again every so many seconds, and show rates
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "1", value_parser = seconds)]
    watch: Option<Duration>,
    #[command(flatten)]
    places: Places,
}

/// All wanted pools at one moment.
struct Seen {
    at: Instant,
    pools: Vec<Pool>,
}

/// A pool at one place.
#[derive(Debug, Serialize)]
struct Pool {
    pool: String,
    target: String,
    via: String,
    backends: Vec<Backend>,
}

/// A backend of it.
#[derive(Debug, Serialize)]
struct Backend {
    name: String,
    address: String,
    /// Its number in connection ids of QUIC.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<u32>,
    weight: u16,
    state: Condition,
    /// Connections now.
    active: u64,
    /// Connections since it is there.
    connections: u64,
    packets: u64,
    bytes: u64,
    /// Packets that could not be sent to it.
    unreachable: u64,
    #[serde(flatten)]
    rates: Option<Rates>,
}

/// What a backend was sent a second, since it was seen before.
#[derive(Clone, Copy, Debug, Serialize)]
struct Rates {
    connections_per_second: f64,
    packets_per_second: f64,
    bytes_per_second: f64,
}

/// Runs the verb.
pub(super) fn run(args: &Args, out: &mut impl Write) -> Result<()> {
    let first = look(args, None)?;
    let Some(every) = args.watch else {
        let text = text(args, &first, false)?;
        return printed(out.write_all(text.as_bytes()));
    };
    let in_place = !args.places.json && std::io::stdout().is_terminal();
    let text = |seen: &Seen| text(args, seen, in_place);
    frames::watch(first, (every, &Pause::new()?), (out, in_place), text, |before| look(args, Some(before)))
}

fn look(args: &Args, before: Option<&Seen>) -> Result<Seen> {
    let found: Vec<(Live, Vec<u16>)> = match &args.name {
        Some(name) => named(name, &args.places)?.into_iter().map(|(live, pool)| (live, vec![pool])).collect(),
        None => {
            let with_all = |live: Live| {
                let all = (0..).take(live.pools.len()).collect();
                (live, all)
            };
            live(&args.places)?.into_iter().map(with_all).collect()
        }
    };
    let mut seen = Seen { at: Instant::now(), pools: Vec::new() };
    for (live, pools) in &found {
        let active = live.active();
        for number in pools {
            let mut pool = look_at(live, *number, &active)?;
            before.iter().for_each(|before| rate(&mut pool, before, seen.at));
            seen.pools.push(pool);
        }
    }
    Ok(seen)
}

/// `active` has the connections of each backend now, by number.
fn look_at(live: &Live, pool: u16, active: &[u64]) -> Result<Pool> {
    let record = &live.pools[usize::from(pool)];
    let mut backends = Vec::new();
    for (number, member) in live.members(pool) {
        let traffic = live.traffic(number)?;
        backends.push(Backend {
            state: Condition::of(&member),
            name: member.name,
            address: member.backend.address.to_string(),
            id: member.backend.id,
            weight: member.weight,
            active: active[number],
            connections: traffic.connections,
            packets: traffic.packets,
            bytes: traffic.bytes,
            unreachable: traffic.unreachable,
            rates: None,
        });
    }
    Ok(Pool { pool: record.name.clone(), target: live.target.clone(), via: record.method.clone(), backends })
}

/// Notes what the backends of a pool were sent since they were seen before. What counts less now is another backend.
fn rate(pool: &mut Pool, before: &Seen, now: Instant) {
    let Some(then) = before.pools.iter().find(|then| (&then.pool, &then.target) == (&pool.pool, &pool.target)) else {
        return;
    };
    let seconds = now.duration_since(before.at).as_secs_f64();
    for backend in &mut pool.backends {
        let Some(then) = then.backends.iter().find(|then| then.name == backend.name) else { continue };
        let rate = |now: u64, then: u64| now.saturating_sub(then) as f64 / seconds;
        backend.rates = Some(Rates {
            connections_per_second: rate(backend.connections, then.connections),
            packets_per_second: rate(backend.packets, then.packets),
            bytes_per_second: rate(backend.bytes, then.bytes),
        });
    }
}

/// What was seen as it is printed, on a terminal under the time it was seen.
fn text(args: &Args, seen: &Seen, timed: bool) -> Result<String> {
    if args.places.json {
        return json(&seen.pools, args.watch.is_some());
    }
    let now = || format!("{}   (Ctrl-C ends)\n\n", when::local(SystemTime::now()));
    let head = if timed { now() } else { String::new() };
    let pools: String = seen.pools.iter().map(|pool| lines(pool, args.watch.is_some())).collect();
    Ok(head + &pools)
}

fn lines(pool: &Pool, rates: bool) -> String {
    let mut heads = vec!["BACKEND", "WEIGHT", "STATE", "ACTIVE", "CONNECTIONS", "PACKETS", "BYTES", "UNREACHABLE"];
    let has_ids = pool.backends.iter().any(|backend| backend.id.is_some());
    if has_ids {
        heads.insert(1, "ID");
    }
    if rates {
        heads.extend(["CONNECTIONS/S", "PACKETS/S", "BYTES/S"]);
    }
    let mut table = Table::new(&heads);
    for backend in &pool.backends {
        let Backend { name, id, weight, state, active, connections, packets, bytes, unreachable, .. } = backend;
        let numbers = [*active, *connections, *packets, *bytes, *unreachable].map(|number| number.to_string());
        let mut cells = vec![name.clone(), weight.to_string(), state.word().to_string()];
        cells.extend(numbers);
        if has_ids {
            cells.insert(1, id.map_or_else(|| "-".to_string(), |id| id.to_string()));
        }
        if rates {
            let of =
                |rate: fn(&Rates) -> f64| backend.rates.as_ref().map_or("-".into(), |all| format!("{:.0}", rate(all)));
            cells.extend([
                of(|all| all.connections_per_second),
                of(|all| all.packets_per_second),
                of(|all| all.bytes_per_second),
            ]);
        }
        table.push(Row { cells, details: Vec::new() });
    }
    format!("{} via {} on {}\n{}", pool.pool, pool.via, pool.target, table.draw(Style::default()))
}
