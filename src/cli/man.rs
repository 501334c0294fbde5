//! `bus man`

use std::fs;
use std::path::PathBuf;

use clap::{Args, CommandFactory};
use serde_json::Value;

use super::args::Cli;
use super::exit::Failure;
use super::output::Output;
use super::words;
use crate::bus::Error;
use crate::store::{Error as StoreError, Verb};

const EXAMPLES: &str = "\
Examples:
  bus man man1                                   write one page a command to the folder man1
  bus man ~/.local/share/man/man1                install them for yourself; then: man bus-claim";

/// Write the man pages, one a command, to a folder.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ManArgs {
    /// The folder; it is made where it is missing
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

pub(super) fn run(args: &ManArgs, output: &mut Output) -> Result<u8, Failure> {
    let refused = |verb| StoreError::io(verb, &args.folder);
    fs::create_dir_all(&args.folder).map_err(refused(Verb::Create)).map_err(Error::Store)?;
    clap_mangen::generate_to(Cli::command(), &args.folder).map_err(refused(Verb::Write)).map_err(Error::Store)?;
    let entries = fs::read_dir(&args.folder).map_err(refused(Verb::Read)).map_err(Error::Store)?;
    let mut pages: Vec<String> = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    pages.retain(|page| page.starts_with("bus") && page.ends_with(".1"));
    pages.sort();
    let folder = args.folder.display().to_string();
    output.line(&format!("wrote {} pages to {folder}", pages.len()));
    output.document(&words::object([("folder", Value::from(folder)), ("pages", Value::from(pages))]));
    Ok(0)
}
