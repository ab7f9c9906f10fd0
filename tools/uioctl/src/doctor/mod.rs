//! What stands in the way of a device, and what mends it.
//!
//! A [`Target`] is what is asked about, the [`Machine`] where to look; [`checks`] look, each at one thing, and return a
//! [`Finding`] each: what was looked at, what is wrong with it, and the mend. `cmd/doctor.rs` prints them. A fault keeps
//! the device from being ready; a warning and a note do not.
//!
//! Nothing is opened but text files, and the configuration space for reading: looking changes nothing.

pub(crate) mod checks;
#[cfg(test)]
mod fake;
pub(crate) mod finding;
mod kernel;
pub(crate) mod machine;
pub(crate) mod readiness;
pub(crate) mod target;
mod user;

pub(crate) use finding::{Finding, Severity};
pub(crate) use machine::Machine;
pub(crate) use target::{Function, Target};
