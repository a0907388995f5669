//! The reference evaluator: what a policy does with a packet, obvious and slow.

pub mod cond;
