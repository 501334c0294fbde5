//! A fleet: clones that share a remote, over every way in which git reaches one on this machine.

mod plain;
mod rig;
mod server;
