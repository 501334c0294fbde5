//! What the report is made of, gathered in one look; and the files that reports are written to.

mod gather;
mod report_file;
mod worklog;

pub(crate) use gather::{Held, Survey, survey, times_held};
pub(crate) use report_file::{file_report, last_report, post_report};
pub(crate) use worklog::write_between;
