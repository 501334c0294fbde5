//! A fleet: clones that share a remote, over every way in which git reaches one on this machine.

mod carried;
mod damage;
mod doors;
mod gone;
mod growth;
mod kept;
mod leases;
mod looking;
mod manners;
mod next;
mod odd_refs;
mod offline;
mod plain;
mod race;
mod refusal;
mod rig;
mod server;
mod signals;
mod spellings;
mod twins;
mod unshared;
