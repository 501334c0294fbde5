//! Has a `git` that talks to a remote end with the process that started it, even if that is killed:
//! it cannot end its children then, and a push would go on behind the back of whoever killed it.
//!
//! The system can do that for a process that asks (`PR_SET_PDEATHSIG`, prctl(2)), and what it then
//! executes. So the program is started once more, asks, and becomes git. Elsewhere than on Linux
//! there is no such wish: a child ends at its time limit.

use std::ffi::OsString;
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicBool, Ordering};

/// What this program is called with to become a `git`; then come its parent's process id and git's
/// arguments.
#[cfg(target_os = "linux")]
const WORD: &str = "__git";

/// This program, even if its file was replaced meanwhile.
#[cfg(target_os = "linux")]
const ITSELF: &str = "/proc/self/exe";

/// The exit status of a program that cannot be started, as a shell has it.
#[cfg(target_os = "linux")]
const NOT_STARTED: u8 = 127;

/// Whether this program knows [`WORD`]: tests are other programs.
static IS_BUS: AtomicBool = AtomicBool::new(false);

/// Becomes a `git`, if these arguments of the program ask for it. Only if that fails, a status is
/// returned.
#[cfg(target_os = "linux")]
#[expect(clippy::disallowed_methods, reason = "this is the door")]
pub fn become_git(arguments: &[OsString]) -> Option<ExitCode> {
    use rustix::process::{Signal, getppid, set_parent_process_death_signal};
    use std::os::unix::process::CommandExt;
    IS_BUS.store(true, Ordering::Relaxed);
    let [_, word, parent, arguments @ ..] = arguments else { return None };
    if word != WORD {
        return None;
    }
    // Without the wish it is still a git, that ends at its time limit.
    let _ = set_parent_process_death_signal(Some(Signal::TERM));
    let alive = getppid().map(|id| id.as_raw_nonzero().get().to_string());
    if alive.is_none_or(|alive| *parent != *alive) {
        return Some(ExitCode::from(NOT_STARTED));
    }
    let error = Command::new("git").args(arguments).exec();
    let _ = std::io::Write::write_all(
        &mut std::io::stderr(),
        format!("error: git cannot be started: {error}\n").as_bytes(),
    );
    Some(ExitCode::from(NOT_STARTED))
}

#[cfg(not(target_os = "linux"))]
pub fn become_git(_arguments: &[OsString]) -> Option<ExitCode> {
    None
}

/// A `git` that ends with this process, as far as the system has that.
#[expect(clippy::disallowed_methods, reason = "this is the door")]
pub(super) fn command() -> Command {
    #[cfg(target_os = "linux")]
    if IS_BUS.load(Ordering::Relaxed) && std::fs::exists(ITSELF).unwrap_or(false) {
        let mut command = Command::new(ITSELF);
        command.arg(WORD).arg(std::process::id().to_string());
        return command;
    }
    Command::new("git")
}
