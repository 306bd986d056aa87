//! Drives a small guarded service in the process.

mod edge;
mod granted;
mod guard;
#[cfg(test)]
mod service;
#[cfg(test)]
mod wire;
