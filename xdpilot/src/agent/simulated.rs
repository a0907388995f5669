//! Agents without a kernel: they follow a store and report to it as those of nodes do, and attach nothing. What a fleet
//! costs its store is measured with them.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc;
use std::thread;

use super::announce::announce;
use super::follow::{Reach, Told, follow};
use super::node::Node;
use super::report::{Attached, Report, State};
use crate::documents::{Kind, Snapshot};
use crate::store::Address;

/// Their threads need no more.
const STACK: usize = 256 << 10;

/// Begins one, until `end`; `hear` is told the revision of all documents that it hears of, each time.
///
/// # Errors
/// There can be no more threads.
pub fn begin(
    address: &Address,
    node: Node,
    end: &Arc<AtomicBool>,
    hear: impl Fn(u64) + Send + 'static,
) -> io::Result<()> {
    let reach = Arc::new(Reach::new(address.clone(), None));
    let (tell, told) = mpsc::channel();
    let (announcing, end) = (reach.clone(), end.clone());
    thread::Builder::new().stack_size(STACK).spawn(move || announce(&announcing, &told))?;
    let listen = move |what: Told| match what {
        Told::Documents(snapshot) => {
            hear(snapshot.revision);
            tell.send(Arc::new(report(&node, &snapshot))).is_ok()
        }
        _ => true,
    };
    thread::Builder::new().stack_size(STACK).spawn(move || follow(&reach, None, &end, &listen))?;
    Ok(())
}

/// The report of a node where all policies are in force.
fn report(node: &Node, snapshot: &Snapshot) -> Report {
    let attached = snapshot.of_kind(Kind::Attachment).map(|(name, _)| Attached {
        policy: name.name.clone(),
        place: "eth0".to_string(),
        interface: Some("eth0".to_string()),
        state: State::Ok,
        program: Some(1),
        why: None,
    });
    Report::new(node, snapshot.revision, attached.collect(), Vec::new())
}
