//! How bytes get to disk and back: the lock, atomic replacement, the append-only log, and where
//! each file of a bus stands.

mod append;
mod backward;
mod clock;
mod clones;
mod copied;
mod crash;
mod cursor;
mod error;
mod evidence;
mod exchange;
mod folder;
mod follow;
mod forward;
mod growing;
mod hints;
mod known;
mod known_lines;
mod layout;
mod lock;
mod mail;
mod mark;
mod note;
mod place;
mod read_marks;
mod replace;
mod scan;
mod tally;
mod union;

pub use append::{append, append_copy, append_lines, close_line, is_cut_off, recently_has};
pub use clock::Clock;
pub use clones::{Clones, Elsewhere};
pub use copied::Copied;
pub use crash::crash_point;
pub use cursor::Cursor;
pub use error::{Error, Verb};
pub use evidence::{Evidence, FileSum, Sums, file_sum, sha256, sha256_of};
pub use exchange::{CloneMark, CloneMarks, CopyMark, FileMark, Published};
pub use folder::{Listed, list, names};
pub use follow::{Bad, Follow, Fresh, raise_file_limit};
pub use forward::{each_line, whole_lines};
pub use hints::{Hint, Hints, Stopper};
pub use known_lines::KnownLines;
pub use layout::{Layout, PrivateLayout, Stream};
pub use lock::Lock;
pub use mail::{Letter, Mail};
pub use mark::{first_seen, last_touched, stamp, touch, touch_again};
pub use note::{note_bytes, read_note};
pub use place::Place;
pub use read_marks::ReadMarks;
pub use replace::{create, is_program, replace, replace_copy, replace_program, replace_record};
pub use scan::{Counts, Line, on_all_cores, scan};
pub use tally::{AgentTally, LogTally, PROTOCOL, Window};
pub use union::{BadLine, Direction, Entry, Faults, Union};

/// How much of a file's end is searched for what may have been written lately (docs/design.md,
/// sections 3 and 8).
pub const RECENT: u64 = 1024 * 1024;
