//! `bus watch`

use std::time::Duration;

use clap::Args;

use super::args::Wanted;
use super::context::Context;
use super::exit::Failure;
use super::output::{Output, Width};
use super::{signals, words};
use crate::bus::log::{Watch, WatchQuery};
use crate::bus::workspace::Looking;
use crate::bus::{fleet, log};
use crate::record::{CursorName, Timestamp};
use crate::store::{BadLine, Hints, Stream};

/// The window, where neither it nor `--since` nor a cursor says otherwise, in hours.
const WINDOW: u32 = 24;

/// How often is asked whether the fleet's remote answers.
const LOOK: Duration = Duration::from_secs(1);

/// How many lines that are no events are named.
const MAX_NAMED: usize = 10;

const EXAMPLES: &str = "\
Examples:
  bus watch --follow          the last 20 events, then each as it is written
  bus watch --cursor mine     what came since I last looked, each event once
  bus watch --follow --task QUEUE-001 --event review   only its reviews
  bus watch --follow --remote   also the other clones of the fleet, as they sync
  bus watch --follow --json | while read -r event; do notify \"$event\"; done

All worktrees of the clone are watched, also those that come later. Ctrl-C and a closed pipe end it; exit status 0. A cursor \
has one reader at a time. Its first run shows the latest events, as --limit says, and goes on from there; later runs show all \
that came since, however old. What a filter leaves out counts as seen. To forget a cursor, remove its file in the git common \
dir, under bus/cursors/.";

/// Show the latest events, and with --follow each new one as it is written
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct WatchArgs {
    /// Go on, and show each event as it is written
    #[arg(short, long)]
    follow: bool,
    /// How many of the latest events come first; 0 shows none
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: usize,
    #[command(flatten)]
    wanted: Wanted,
    /// Only events of so many hours; 0 shows all [default: 24; with a cursor 0]
    #[arg(long, value_name = "HOURS", conflicts_with = "since")]
    window_hours: Option<u32>,
    /// A position under this name: each event is shown once, after any gap
    #[arg(long, value_name = "NAME")]
    cursor: Option<CursorName>,
    /// In a fleet: also look at the remote, every half a minute
    #[arg(long, requires = "follow")]
    remote: bool,
}

impl WatchArgs {
    /// The time before which nothing is shown, where `--since` does not say.
    fn window(&self, now: Timestamp) -> Option<Timestamp> {
        let hours = self.window_hours.unwrap_or(if self.cursor.is_some() { 0 } else { WINDOW });
        (hours > 0).then(|| now.before(Duration::from_secs(u64::from(hours) * 3600)))
    }
}

pub(super) fn run(context: &Context, args: &WatchArgs, output: &mut Output) -> Result<u8, Failure> {
    output.stream();
    let hints = args.follow.then(Hints::new);
    hints.iter().for_each(|hints| signals::end_waiting(hints.stopper()));
    let ws = context.open("watch", output)?;
    context.note_reader(&ws);
    let now = context.clock.now();
    let mut filter = args.wanted.filter(context, &ws)?;
    filter.since = filter.since.or_else(|| args.window(now));
    let (mut watch, backlog) = log::watch(
        &ws,
        WatchQuery { filter, limit: Some(args.limit), cursor: args.cursor.clone() },
    )?;
    if let Some(hints) = hints {
        watch.follow(hints);
    }
    backlog.events.iter().for_each(|entry| words::show(entry, now, Width::Bounded, output));
    words::warn_of_bad_lines(Stream::Log, &backlog.bad, ws.root(), output);
    output.flush();
    if output.is_closed() {
        return Ok(0);
    }
    if let Some(name) = args.cursor.as_ref().filter(|_| backlog.new_cursor) {
        output.note(&format!("`{name}` is a new cursor: it goes on from here"));
    }
    watch.begin()?;
    let looking = if args.remote { Some(fleet::keep_looking(&ws)?) } else { None };
    let mut screen = Screen { context, output, named: 0, polls: false, remote_fault: None };
    let patience = if looking.is_some() { LOOK } else { Duration::MAX };
    loop {
        let more = screen.show_next(&mut watch)?;
        looking.iter().for_each(|looking| screen.warn_of_remote(looking));
        let over = if args.follow { !watch.wait(patience)? } else { !more };
        if over || screen.output.is_closed() {
            return Ok(0);
        }
    }
}

/// Where the feed goes.
struct Screen<'a> {
    context: &'a Context,
    output: &'a mut Output,
    /// How many lines that are no events were named.
    named: usize,
    /// It was said that there are no notifications.
    polls: bool,
    /// What was said of the fleet's remote.
    remote_fault: Option<String>,
}

impl Screen<'_> {
    /// Shows what is due next; says whether there is more.
    fn show_next(&mut self, watch: &mut Watch<'_>) -> Result<bool, Failure> {
        let fresh = watch.read()?;
        let now = self.context.clock.now();
        watch.wanted(&fresh).for_each(|entry| words::show(entry, now, Width::Bounded, self.output));
        self.output.flush();
        if self.output.is_closed() {
            return Ok(false);
        }
        fresh.bad.iter().for_each(|bad| self.warn(&bad.line, watch.root()));
        watch.unreadable(&fresh).iter().for_each(|what| self.output.warn(what));
        watch.shown(&fresh)?;
        if let Some(why) = watch.no_notifications().filter(|_| !self.polls) {
            self.output.note(&format!(
                "the system sends no notifications ({why}); looking five times a second"
            ));
            self.polls = true;
        }
        Ok(fresh.more)
    }

    /// Says when the fleet's remote does not answer any more, and when it does again.
    fn warn_of_remote(&mut self, looking: &Looking) {
        let fault = looking.fault();
        match (&fault, &self.remote_fault) {
            (Some(what), before) if before.as_ref() != Some(what) => {
                self.output.warn(&format!("{what}; it is tried again"))
            }
            (None, Some(_)) => self.output.note("the fleet's remote answers again"),
            _ => {}
        }
        self.remote_fault = fault;
    }

    /// Names a line that is no event, as long as there are not too many of them.
    fn warn(&mut self, bad: &BadLine, root: &std::path::Path) {
        self.named += 1;
        match self.named {
            ..MAX_NAMED => words::warn_of_bad_line(bad, root, self.output),
            MAX_NAMED => {
                self.output.warn("lines that are no events are left out from here on without a word; see `bus event list`")
            }
            _ => {}
        }
    }
}
