//! Events and messages: appending them, reading them in order, following them. This room knows no
//! claims.

mod append_event;
mod batch;
mod channel;
mod feed;
mod inbox;
mod watch;

pub(crate) use append_event::EventRequest;
pub(in crate::bus) use append_event::{GUARDED, append_event, check_event, event, extra_fields};
pub(crate) use batch::export;
pub(in crate::bus) use batch::export_under;
pub(crate) use channel::{Audience, MessageFilter, MessageRequest, messages};
pub(in crate::bus) use channel::{Channel, PLAN, channels};
pub(in crate::bus) use feed::log_files;
pub(crate) use feed::{Filter, feed};
pub(crate) use inbox::{Inbox, inbox, mark_read};
pub(crate) use watch::{Watch, WatchQuery, watch};
