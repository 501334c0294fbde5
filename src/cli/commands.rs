//! The commands. Each is put together only when it is the one that was typed, so that a command costs the same however
//! many others there are: clap's derive would build them all.

use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::{ArgMatches, Args, FromArgMatches, Subcommand};

use super::{
    assign, check, claim, completions, context::Context, deinit, demo, doctor, event, exit::Failure, export, gc, heartbeat,
    inbox, init, lock, man, message, output::Output, plan, queue, receipt, reclaim, release, report, session, status, sync,
    validate, wait, watch,
};

/// The command that was typed.
#[derive(Debug)]
pub(super) enum Command {
    Init(init::InitArgs),
    Deinit(deinit::DeinitArgs),
    Session(session::SessionArgs),
    Queue(queue::QueueArgs),
    Claim(claim::ClaimArgs),
    Release(release::ReleaseArgs),
    Heartbeat(heartbeat::HeartbeatArgs),
    Reclaim(reclaim::ReclaimArgs),
    Lock(lock::LockArgs),
    Check(check::CheckArgs),
    Event(event::EventArgs),
    Plan(plan::PlanArgs),
    Receipt(receipt::ReceiptArgs),
    Assign(assign::AssignArgs),
    Message(message::MessageArgs),
    Inbox(inbox::InboxArgs),
    Status(status::StatusArgs),
    Sync(sync::SyncArgs),
    Export(export::ExportArgs),
    Gc(gc::GcArgs),
    Report(report::ReportArgs),
    Watch(watch::WatchArgs),
    Wait(wait::WaitArgs),
    Doctor(doctor::DoctorArgs),
    Validate(validate::ValidateArgs),
    Completions(completions::CompletionsArgs),
    Man(man::ManArgs),
    Demo(demo::DemoArgs),
}

/// Adds the arguments of one command to clap's description of it.
type Describe = fn(clap::Command) -> clap::Command;

/// Each command's name, what it does in a line, and its arguments.
const COMMANDS: [(&str, &str, Describe); 28] = [
    ("init", "Lay out a bus in this repository", init::InitArgs::augment_args),
    ("deinit", "Take out what `bus init` laid out", deinit::DeinitArgs::augment_args),
    ("session", "Begin or end a session: who you are, what you hold, what is next", session::SessionArgs::augment_args),
    ("queue", "Write down what is to be done, and see what may be claimed now", queue::QueueArgs::augment_args),
    ("claim", "Claim a task: exactly one agent owns it", claim::ClaimArgs::augment_args),
    ("release", "Give a task back: done, released or paused", release::ReleaseArgs::augment_args),
    ("heartbeat", "Give a sign of life for a task", heartbeat::HeartbeatArgs::augment_args),
    ("reclaim", "Take over a task whose owner is gone", reclaim::ReclaimArgs::augment_args),
    ("lock", "Hold paths, so that nobody else edits them", lock::LockArgs::augment_args),
    ("check", "See whether changed paths are yours to change", check::CheckArgs::augment_args),
    ("event", "Write or read the log", event::EventArgs::augment_args),
    ("plan", "Plan a task in steps, and say what proves each", plan::PlanArgs::augment_args),
    ("receipt", "Store evidence, for others to look at", receipt::ReceiptArgs::augment_args),
    ("assign", "Say who shall do a task", assign::AssignArgs::augment_args),
    ("message", "Write to a task's channel or to an agent, or read what was written", message::MessageArgs::augment_args),
    ("inbox", "Show what was said to you and is unread", inbox::InboxArgs::augment_args),
    ("status", "Show who does what, and the latest events", status::StatusArgs::augment_args),
    ("sync", "Exchange claims and logs with the fleet's remote", sync::SyncArgs::augment_args),
    ("export", "Write your part of the log into files of this branch, in a tracked bus", export::ExportArgs::augment_args),
    ("gc", "Put ended claims away", gc::GcArgs::augment_args),
    ("report", "Write the manager's report: who does what, what is stuck, what is finished", report::ReportArgs::augment_args),
    ("watch", "Show the feed, live with --follow", watch::WatchArgs::augment_args),
    ("wait", "Block until a task is in a state, an event is logged or a message comes", wait::WaitArgs::augment_args),
    ("doctor", "Find what a crash or a hand edit left, and mend it", doctor::DoctorArgs::augment_args),
    ("validate", "Check that the bus is sound, as CI does", validate::ValidateArgs::augment_args),
    ("completions", "Print what makes a shell complete bus", completions::CompletionsArgs::augment_args),
    ("man", "Write the man pages, one a command", man::ManArgs::augment_args),
    ("demo", "Show what bus does, in a throwaway repository, in a few seconds", demo::DemoArgs::augment_args),
];

/// The command that was typed, as far as it can be told without understanding the options: `bus claim`.
pub(super) fn named(arguments: &[OsString]) -> String {
    let command = arguments.iter().skip(1).find_map(|word| COMMANDS.iter().find(|(name, ..)| word == name));
    command.map_or_else(|| "bus".to_owned(), |(name, ..)| format!("bus {name}"))
}

/// `bus` with no other command than the one that is the first word, where it is one. Arguments that it understands mean the same
/// to the whole; what it says of others does not count.
pub(super) fn typed_alone(arguments: &[OsString]) -> Option<clap::Command> {
    let word = arguments.get(1)?;
    let (name, _, describe) = COMMANDS.into_iter().find(|(name, ..)| word == name)?;
    Some(clap::Command::new("bus").subcommand(clap::Command::new(name).defer(describe)).subcommand_required(true))
}

impl Command {
    /// Runs the command.
    pub(super) fn run(&self, context: &Context, output: &mut Output) -> Result<u8, Failure> {
        match self {
            Self::Init(args) => init::run(context, args, output),
            Self::Deinit(args) => deinit::run(context, args, output),
            Self::Session(args) => session::run(context, args, output),
            Self::Queue(args) => queue::run(context, args, output),
            Self::Claim(args) => claim::run(context, args, output),
            Self::Release(args) => release::run(context, args, output),
            Self::Heartbeat(args) => heartbeat::run(context, args, output),
            Self::Reclaim(args) => reclaim::run(context, args, output),
            Self::Lock(args) => lock::run(context, args, output),
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
            Self::Man(args) => man::run(args, output),
            Self::Demo(args) => demo::run(context, args, output),
        }
    }
}

impl Subcommand for Command {
    fn augment_subcommands(bus: clap::Command) -> clap::Command {
        let describe = |(name, about, arguments): (&'static str, &'static str, Describe)| {
            clap::Command::new(name).about(about).defer(arguments)
        };
        bus.subcommands(COMMANDS.map(describe)).subcommand_required(true).arg_required_else_help(true)
    }

    fn augment_subcommands_for_update(bus: clap::Command) -> clap::Command {
        Self::augment_subcommands(bus)
    }

    fn has_subcommand(name: &str) -> bool {
        COMMANDS.iter().any(|(known, ..)| *known == name)
    }
}

impl FromArgMatches for Command {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        match matches.subcommand() {
            Some(("init", args)) => Ok(Self::Init(FromArgMatches::from_arg_matches(args)?)),
            Some(("deinit", args)) => Ok(Self::Deinit(FromArgMatches::from_arg_matches(args)?)),
            Some(("session", args)) => Ok(Self::Session(FromArgMatches::from_arg_matches(args)?)),
            Some(("queue", args)) => Ok(Self::Queue(FromArgMatches::from_arg_matches(args)?)),
            Some(("claim", args)) => Ok(Self::Claim(FromArgMatches::from_arg_matches(args)?)),
            Some(("release", args)) => Ok(Self::Release(FromArgMatches::from_arg_matches(args)?)),
            Some(("heartbeat", args)) => Ok(Self::Heartbeat(FromArgMatches::from_arg_matches(args)?)),
            Some(("reclaim", args)) => Ok(Self::Reclaim(FromArgMatches::from_arg_matches(args)?)),
            Some(("lock", args)) => Ok(Self::Lock(FromArgMatches::from_arg_matches(args)?)),
            Some(("check", args)) => Ok(Self::Check(FromArgMatches::from_arg_matches(args)?)),
            Some(("event", args)) => Ok(Self::Event(FromArgMatches::from_arg_matches(args)?)),
            Some(("plan", args)) => Ok(Self::Plan(FromArgMatches::from_arg_matches(args)?)),
            Some(("receipt", args)) => Ok(Self::Receipt(FromArgMatches::from_arg_matches(args)?)),
            Some(("assign", args)) => Ok(Self::Assign(FromArgMatches::from_arg_matches(args)?)),
            Some(("message", args)) => Ok(Self::Message(FromArgMatches::from_arg_matches(args)?)),
            Some(("inbox", args)) => Ok(Self::Inbox(FromArgMatches::from_arg_matches(args)?)),
            Some(("status", args)) => Ok(Self::Status(FromArgMatches::from_arg_matches(args)?)),
            Some(("sync", args)) => Ok(Self::Sync(FromArgMatches::from_arg_matches(args)?)),
            Some(("export", args)) => Ok(Self::Export(FromArgMatches::from_arg_matches(args)?)),
            Some(("gc", args)) => Ok(Self::Gc(FromArgMatches::from_arg_matches(args)?)),
            Some(("report", args)) => Ok(Self::Report(FromArgMatches::from_arg_matches(args)?)),
            Some(("watch", args)) => Ok(Self::Watch(FromArgMatches::from_arg_matches(args)?)),
            Some(("wait", args)) => Ok(Self::Wait(FromArgMatches::from_arg_matches(args)?)),
            Some(("doctor", args)) => Ok(Self::Doctor(FromArgMatches::from_arg_matches(args)?)),
            Some(("validate", args)) => Ok(Self::Validate(FromArgMatches::from_arg_matches(args)?)),
            Some(("completions", args)) => Ok(Self::Completions(FromArgMatches::from_arg_matches(args)?)),
            Some(("man", args)) => Ok(Self::Man(FromArgMatches::from_arg_matches(args)?)),
            Some(("demo", args)) => Ok(Self::Demo(FromArgMatches::from_arg_matches(args)?)),
            _ => Err(clap::Error::raw(ErrorKind::MissingSubcommand, "name a command; see `bus --help`\n")),
        }
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
