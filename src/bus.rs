//! What one does with a bus: claiming, logging, looking. The protocol lives here; its decisions are pure functions.

mod assignment;
mod change;
mod claiming;
mod clone_id;
mod decide;
mod deinit;
mod doctor;
mod error;
mod facts;
mod feed;
mod identity;
mod init;
mod liveness;
mod logging;
mod loss;
mod open;
mod settle;
mod status;
mod view;
mod wait;
mod watch;

pub use change::{Changed, Outcome};
pub use claiming::{ClaimRequest, ReclaimRequest, ReleaseRequest};
pub use deinit::Taken;
pub use doctor::Finding;
pub use error::Error;
pub use feed::{Feed, Filter};
pub use identity::{IdentitySource, Who};
pub use init::{AGENTS_MD, Laid};
pub use liveness::{Liveness, Signs};
pub use logging::EventRequest;
pub use loss::Loss;
pub use open::{Bus, Options};
pub use status::{ClaimState, ClaimStatus, StatusQuery, StatusReport};
pub use wait::{Awaited, Patience, Standing, Until};
pub use watch::{Backlog, Watch, WatchQuery};
