//! The manager's report: who does what, what is stuck, and what is really finished. Facts first
//! ([`Report`]), then how they read ([`markdown`], [`json`]); both are pure, so that the same bus
//! at the same time gives the same bytes.

mod escape;
mod facts;
mod gather;
mod json;
mod lane;
mod leases;
mod markdown;
mod mermaid;
mod needs;
mod tables;

pub(crate) use facts::{Report, Validated};
pub(crate) use gather::Request;
pub(crate) use json::{compared_with, json, seen};
pub(crate) use leases::lease_table;
pub(crate) use markdown::{is_of, markdown};
