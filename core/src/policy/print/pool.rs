//! The canonical text of pools. What goes without saying is not said.

use std::fmt::{Display, Formatter, Result};
use std::net::IpAddr;

use super::{quoted, scaled};
use crate::policy::layout::{Line, render};
use crate::policy::{Backend, Check, CheckKind, GUE_PORT, HashBy, Host, Method, Pool, SESSIONS, Source, TIMEOUT};

/// The lines of a pool.
pub(super) fn lines(pool: &Pool, lines: &mut Vec<Line>) {
    let entry = |text: String| Line::new(1, text);
    lines.push(Line::new(0, format!("pool {} via {} {{", pool.name, pool.method)));
    for backend in &pool.backends {
        let options = options(backend);
        let right = (!options.is_empty()).then(|| options.join(" "));
        lines.push(Line { right, ..entry(backend.label()) });
    }
    if pool.hash != HashBy::default() {
        lines.push(entry(format!("hash {}", pool.hash)));
    }
    if pool.sessions != SESSIONS {
        lines.push(entry(format!("sessions {}", scaled(pool.sessions.into()))));
    }
    if pool.timeout != TIMEOUT {
        lines.push(entry(format!("timeout {}", duration_text(pool.timeout.saturating_mul(1_000)))));
    }
    lines.extend(pool.check.iter().map(|check| entry(check.to_string())));
    lines.push(Line::new(0, "}"));
}

/// What stands behind a backend.
fn options(backend: &Backend) -> Vec<String> {
    let weight = (backend.weight != 1).then(|| format!("weight {}", backend.weight));
    let id = backend.id.map(|id| format!("id {id}"));
    let drain = backend.drain.then(|| "drain".to_string());
    [weight, id, drain].into_iter().flatten().collect()
}

/// A number of milliseconds with the largest of `h`, `m` and `s` that leaves it whole.
pub(crate) fn duration_text(milliseconds: u32) -> String {
    for (factor, unit) in [(3_600_000, "h"), (60_000, "m"), (1_000, "s")] {
        if milliseconds > 0 && milliseconds.is_multiple_of(factor) {
            return format!("{}{unit}", milliseconds / factor);
        }
    }
    format!("{milliseconds}ms")
}

impl Display for Pool {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let mut own = Vec::new();
        lines(self, &mut own);
        f.write_str(&render(&own))
    }
}

impl Display for Method {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(self.name())?;
        if let Method::Gue { port, .. } = self
            && *port != GUE_PORT
        {
            write!(f, " port {port}")?;
        }
        for (index, source) in self.sources().iter().enumerate() {
            write!(f, "{}{source}", if index == 0 { " from " } else { "," })?;
        }
        Ok(())
    }
}

impl Display for Source {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let whole = if self.address.is_ipv4() { 32 } else { 128 };
        match self.length {
            length if length == whole => write!(f, "{}", self.address),
            length => write!(f, "{}/{length}", self.address),
        }
    }
}

impl Display for HashBy {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(match self {
            HashBy::Src => "src",
            HashBy::Tuple => "5tuple",
            HashBy::Quic => "quic",
        })
    }
}

impl Backend {
    /// Who it is, without its options: `10.0.0.2:8080`, `[2001:db8::2]:8080`, `docker:web`.
    pub fn label(&self) -> String {
        match (&self.host, self.port) {
            (Host::Address(IpAddr::V6(address)), Some(port)) => format!("[{address}]:{port}"),
            (host, Some(port)) => format!("{host}:{port}"),
            (host, None) => host.to_string(),
        }
    }
}

impl Display for Backend {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(&self.label())?;
        options(self).iter().try_for_each(|option| write!(f, " {option}"))
    }
}

impl Display for Host {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Host::Address(address) => address.fmt(f),
            Host::Target(target) => f.write_str(target),
        }
    }
}

impl Display for Check {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let usual = Check::new(CheckKind::Tcp);
        match &self.kind {
            CheckKind::Tcp => f.write_str("check tcp")?,
            CheckKind::Http(path) => write!(f, "check http {}", quoted(path))?,
            CheckKind::Exec(command) => write!(f, "check exec {}", quoted(command))?,
        }
        if let Some(port) = self.port {
            write!(f, " port {port}")?;
        }
        for (word, said, usual) in [("every", self.every, usual.every), ("timeout", self.timeout, usual.timeout)] {
            if said != usual {
                write!(f, " {word} {}", duration_text(said))?;
            }
        }
        for (word, said, usual) in [("rise", self.rise, usual.rise), ("fall", self.fall, usual.fall)] {
            if said != usual {
                write!(f, " {word} {said}")?;
            }
        }
        if self.shared { f.write_str(" shared") } else { Ok(()) }
    }
}
