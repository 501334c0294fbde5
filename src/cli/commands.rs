//! The commands. Each is put together only when it is the one that was typed, so that a command
//! costs the same however many others there are.

use std::ffi::OsString;

use clap::Subcommand;

use super::context::Context;
use super::exit::Failure;
use super::output::Output;
use super::{
    assign, check, claim, completions, deinit, demo, doctor, event, export, gc, heartbeat, inbox,
    init, lease, man, message, plan, queue, receipt, reclaim, release, report, session, show,
    status, sync, validate, wait, watch,
};

/// The command that was typed.
#[derive(Debug, Subcommand)]
#[command(defer = true, subcommand_required = true, arg_required_else_help = true)]
pub(super) enum Command {
    /// Lay out a bus in this repository
    Init(init::InitArgs),
    /// Remove what `bus init` made
    Deinit(deinit::DeinitArgs),
    /// Begin or end a session: who you are, what you hold, what is next
    Session(session::SessionArgs),
    /// Add tasks, and see which may be claimed now
    Queue(queue::QueueArgs),
    /// Claim a task: exactly one agent owns it
    Claim(claim::ClaimArgs),
    /// Show one task: what it is, how far it is, who has it
    Show(show::ShowArgs),
    /// End or pause your claim: done, released or paused
    Release(release::ReleaseArgs),
    /// Send a heartbeat for a task
    Heartbeat(heartbeat::HeartbeatArgs),
    /// Take over a task whose owner is gone
    Reclaim(reclaim::ReclaimArgs),
    /// Hold paths, so that nobody else edits them
    #[command(name = "lock")]
    Lease(lease::LeaseArgs),
    /// See whether changed paths are yours to change
    Check(check::CheckArgs),
    /// Write or read the log
    Event(event::EventArgs),
    /// Plan a task in steps, and say what proves each
    Plan(plan::PlanArgs),
    /// Store evidence, for others to look at
    Receipt(receipt::ReceiptArgs),
    /// Say who shall do a task
    Assign(assign::AssignArgs),
    /// Write to a task's channel or to an agent, or read what was written
    Message(message::MessageArgs),
    /// Show what was said to you and is unread
    Inbox(inbox::InboxArgs),
    /// Show who does what, and the latest events
    Status(status::StatusArgs),
    /// Exchange claims and logs with the fleet's remote
    Sync(sync::SyncArgs),
    /// Write your part of the log into files of this branch, in a tracked bus
    Export(export::ExportArgs),
    /// Archive ended claims
    Gc(gc::GcArgs),
    /// Write the manager's report: who does what, what is stuck, what is finished
    Report(report::ReportArgs),
    /// Show the feed, live with --follow
    Watch(watch::WatchArgs),
    /// Block until a task is in a state, an event is logged or a message comes
    Wait(wait::WaitArgs),
    /// Find what a crash or a hand edit left, and fix it
    Doctor(doctor::DoctorArgs),
    /// Check that the bus is sound, as CI does
    Validate(validate::ValidateArgs),
    /// Print the script that makes a shell complete bus
    Completions(completions::CompletionsArgs),
    /// Write the man pages, one per command
    Man(man::ManArgs),
    /// Show what bus does, in a throwaway repository, in a few seconds
    Demo(demo::DemoArgs),
}

/// The command that was typed, as far as it can be told without understanding the options:
/// `bus claim`.
pub(super) fn named(arguments: &[OsString]) -> String {
    let command = arguments
        .iter()
        .skip(1)
        .find_map(|word| word.to_str().filter(|word| Command::has_subcommand(word)));
    command.map_or_else(|| "bus".to_owned(), |name| format!("bus {name}"))
}

/// `bus` with no other command than the one that is the first word, where it is one. Arguments that
/// it understands mean the same to the whole; what it says of others does not count.
pub(super) fn typed_alone(arguments: &[OsString]) -> Option<clap::Command> {
    let word = arguments.get(1)?.to_str().filter(|word| Command::has_subcommand(word))?;
    let all = Command::augment_subcommands(clap::Command::new("bus"));
    let command = all.find_subcommand(word)?.clone();
    std::mem::forget(all);
    Some(clap::Command::new("bus").subcommand(command).subcommand_required(true))
}

impl Command {
    /// Runs the command; `bus` is the whole command line.
    pub(super) fn run(
        &self,
        context: &Context,
        bus: fn() -> clap::Command,
        output: &mut Output,
    ) -> Result<u8, Failure> {
        match self {
            Self::Init(args) => init::run(context, args, output),
            Self::Deinit(args) => deinit::run(context, args, output),
            Self::Session(args) => session::run(context, args, output),
            Self::Queue(args) => queue::run(context, args, output),
            Self::Claim(args) => claim::run(context, args, output),
            Self::Show(args) => show::run(context, args, output),
            Self::Release(args) => release::run(context, args, output),
            Self::Heartbeat(args) => heartbeat::run(context, args, output),
            Self::Reclaim(args) => reclaim::run(context, args, output),
            Self::Lease(args) => lease::run(context, args, output),
            Self::Check(args) => check::run(context, args, output),
            Self::Event(args) => event::run(context, args, output),
            Self::Plan(args) => plan::run(context, args, output),
            Self::Receipt(args) => receipt::run(context, args, output),
            Self::Assign(args) => assign::run(context, args, output),
            Self::Message(args) => message::run(context, args, output),
            Self::Inbox(args) => inbox::run(context, args, output),
            Self::Status(args) => status::run(context, args, output),
            Self::Sync(args) => sync::run(context, args, output),
            Self::Export(args) => export::run(context, args, output),
            Self::Gc(args) => gc::run(context, args, output),
            Self::Report(args) => report::run(context, args, output),
            Self::Watch(args) => watch::run(context, args, output),
            Self::Wait(args) => wait::run(context, args, output),
            Self::Doctor(args) => doctor::run(context, args, output),
            Self::Validate(args) => validate::run(context, args, output),
            Self::Completions(args) => completions::run(args, output),
            Self::Man(args) => man::run(args, bus(), output),
            Self::Demo(args) => demo::run(context, args, output),
        }
    }
}
