//! `bus man`

use std::fs;
use std::path::PathBuf;

use clap::Args;
use roff::{Roff, roman};
use serde_json::Value;

use super::exit::Failure;
use super::output::Output;
use super::words;
use crate::bus::Error;
use crate::store::{Error as StoreError, Place, Verb, replace};

const EXAMPLES: &str = "\
Examples:
  bus man man1                      one page per command, into the folder man1
  bus man ~/.local/share/man/man1   for yourself; then: man bus-claim

If `man` does not find them: `man -M ~/.local/share/man bus-claim`.";

/// Write the man pages, one per command, to a folder.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ManArgs {
    /// The folder; it is made if it is missing
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

/// `bus` is the whole command line.
pub(super) fn run(
    args: &ManArgs,
    mut bus: clap::Command,
    output: &mut Output,
) -> Result<u8, Failure> {
    let refused = |verb| StoreError::io(verb, &args.folder);
    fs::create_dir_all(&args.folder).map_err(refused(Verb::Create)).map_err(Error::Store)?;
    bus.build();
    let mut pages = Vec::new();
    for command in with_subcommands(&bus) {
        let name = format!("{}.1", command.get_display_name().unwrap_or("bus"));
        let mut page = Vec::new();
        write_page(command, &mut page).map_err(refused(Verb::Write)).map_err(Error::Store)?;
        // It follows no link that stands where the page should.
        replace(&Place::new(&args.folder, &name), &page).map_err(Error::Store)?;
        pages.push(name);
    }
    let folder = args.folder.display().to_string();
    output.line(&format!("wrote {} pages to {folder}", pages.len()));
    output
        .document(&words::object([("folder", Value::from(folder)), ("pages", Value::from(pages))]));
    Ok(0)
}

/// The command and all below it, but for `help`, which needs no page.
fn with_subcommands(command: &clap::Command) -> Vec<&clap::Command> {
    let below = command
        .get_subcommands()
        .filter(|below| below.get_name() != "help")
        .flat_map(with_subcommands);
    [command].into_iter().chain(below).collect()
}

/// Writes the page of one command; what its help says after the options gets sections of its own.
fn write_page(command: &clap::Command, page: &mut Vec<u8>) -> std::io::Result<()> {
    let name = command.get_display_name().unwrap_or("bus").to_owned();
    let man = clap_mangen::Man::new(command.clone())
        .title(&name)
        .source(concat!("bus ", env!("CARGO_PKG_VERSION")));
    man.render_title(page)?;
    man.render_name_section(page)?;
    man.render_synopsis_section(page)?;
    man.render_description_section(page)?;
    if command.get_arguments().any(|argument| !argument.is_hide_set()) {
        man.render_options_section(page)?;
    }
    let mut below = command.get_subcommands().filter(|below| below.get_name() != "help").peekable();
    if below.peek().is_some() {
        let list =
            below.map(|below| format!("{}(1)", below.get_display_name().unwrap_or_default()));
        section("COMMANDS", &list.collect::<Vec<_>>().join(", "), page)?;
    }
    let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    for paragraph in after.split("\n\n") {
        write_paragraph(paragraph, page)?;
    }
    let parent =
        name.rsplit_once('-').map_or("git(1)".to_owned(), |(parent, _)| format!("{parent}(1)"));
    section("SEE ALSO", &parent, page)
}

/// Examples keep their lines; a sentence of its own section begins with the section's name.
fn write_paragraph(paragraph: &str, page: &mut Vec<u8>) -> std::io::Result<()> {
    if let Some((title @ ("Examples:" | "To install it:"), lines)) = paragraph.split_once('\n') {
        let title = if title == "Examples:" { "EXAMPLES" } else { "INSTALLATION" };
        let mut roff = Roff::new();
        roff.control("SH", [title]).control("nf", []);
        for line in lines.lines() {
            roff.text([roman(line.trim_start())]);
        }
        roff.control("fi", []);
        return roff.to_writer(page);
    }
    let mut rest = Vec::new();
    for line in paragraph.lines() {
        match line.split_once(": ") {
            Some(("Exit status", text)) => section("EXIT STATUS", text, page)?,
            Some(("Environment", text)) => section("ENVIRONMENT", text, page)?,
            _ => rest.push(line),
        }
    }
    if rest.is_empty() { Ok(()) } else { section("NOTES", &rest.join(" "), page) }
}

fn section(title: &str, text: &str, page: &mut Vec<u8>) -> std::io::Result<()> {
    Roff::new().control("SH", [title]).text([roman(text)]).to_writer(page)
}
