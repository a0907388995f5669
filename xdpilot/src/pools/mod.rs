//! Pools of loaded policies: how backends are reached, and how they change while packets flow.

pub mod carry;
pub mod fill;
pub mod health;
pub mod join;
pub mod joined;
pub mod live;
pub mod returns;
pub mod ways;
