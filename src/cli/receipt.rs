//! `bus receipt add`

use std::fs::File;
use std::io;
use std::io::Read;
use std::path::Path;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand};
use clap_complete::ArgValueCompleter;
use serde_json::Value;

use super::context::Context;
use super::exit::Failure;
use super::output::Output;
use super::plan::tell_of;
use super::{completions, words};
use crate::bus::plan::{AddReceipt, MAX_RECEIPT, PlanFault, StepChange};
use crate::bus::workspace::Workspace;
use crate::bus::{Error, ops, plan};
use crate::record::{ReceiptName, TaskId};
use crate::store::{Error as StoreError, Verb};

const EXAMPLES: &str = "\
Examples:
  bus receipt add target/tests.log --task QUEUE-001
  cargo test 2>&1 | bus receipt add - --name tests.log --task QUEUE-001
  bus receipt add tests.log --plan queue-001 --step S1   and name it there
  bus event log --event note --summary 'tests pass' --receipt \"$(bus receipt add tests.log)\"

It prints the path of the copy: `_report/agent/<you>/<task or plan>/<name>`, `misc` if neither is named. Evidence is never \
replaced: other bytes under the same name are stored as `tests-2.log`. A file may have 16 MiB.
Exit status: 0 it is stored; 2 it is too large, or its name is none; 4 no such file, plan or step.";

/// Store evidence, for others to look at
#[derive(Debug, Args)]
pub(super) struct ReceiptArgs {
    #[command(subcommand)]
    command: ReceiptCommand,
}

#[derive(Debug, Subcommand)]
enum ReceiptCommand {
    /// Store a copy of a file, and print its path
    #[command(after_help = EXAMPLES)]
    Add(AddArgs),
}

#[derive(Debug, Args)]
struct AddArgs {
    /// The file; `-` reads from stdin, and needs --name
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath, value_parser = NonEmptyStringValueParser::new())]
    file: String,
    /// The task that it is about
    #[arg(long, value_name = "TASK", add = ArgValueCompleter::new(completions::tasks))]
    task: Option<TaskId>,
    /// The plan that it is about: its id, or a part that no other plan's has
    #[arg(long, value_name = "PLAN", add = ArgValueCompleter::new(completions::plans))]
    plan: Option<String>,
    /// The step of the plan that it proves, which will name it
    #[arg(long, value_name = "STEP", requires = "plan")]
    step: Option<String>,
    /// What the copy is called [default: as FILE]
    #[arg(long, value_name = "NAME", required_if_eq("file", "-"))]
    name: Option<ReceiptName>,
}

pub(super) fn run(
    context: &Context,
    args: &ReceiptArgs,
    output: &mut Output,
) -> Result<u8, Failure> {
    let ReceiptCommand::Add(args) = &args.command;
    let ws = context.open("receipt add", output)?;
    let agent = context.writer(&ws, output)?;
    let name = match &args.name {
        Some(name) => name.clone(),
        None => name_of(&args.file)?,
    };
    // What is asked for in vain leaves nothing behind.
    if let (Some(plan), Some(step)) = (&args.plan, &args.step) {
        plan::check_step(&ws, plan, step)?;
    }
    let bytes = read(context, &args.file)?;
    let task = context.task_if(&ws, args.task.as_ref())?;
    let request =
        AddReceipt { name: &name, bytes: &bytes, task: task.as_ref(), plan: args.plan.as_deref() };
    let added = ops::add_receipt(&ws, &agent, request)?;
    if let Some(error) = &added.pulse {
        output.warn(&format!(
            "the receipt is stored, but the task's heartbeat could not be given: {error}"
        ));
    }
    warn_if_ignored(&ws, &added.receipt.path, output);
    let planned = match (&args.plan, &args.step) {
        (Some(plan), Some(step)) => {
            let change =
                StepChange { receipts: vec![added.receipt.clone()], ..StepChange::default() };
            Some(plan::change_step(&ws, &agent, plan, step, &change)?)
        }
        _ => None,
    };
    output.document(&words::object([
        ("outcome", Value::from(if added.unchanged { "unchanged" } else { "stored" })),
        ("path", Value::from(added.receipt.path.as_str())),
        ("sha256", Value::from(added.receipt.hash.to_string())),
        ("bytes", Value::from(bytes.len())),
        (
            "plan",
            planned
                .as_ref()
                .map_or(Value::Null, |planned| Value::Object(planned.found.plan.to_object())),
        ),
    ]));
    output.line(&added.receipt.path);
    planned.iter().for_each(|planned| tell_of(planned, output));
    Ok(0)
}

/// Says on stderr that git ignores a receipt, which proves nothing elsewhere then.
pub(super) fn warn_if_ignored(ws: &Workspace, path: &str, output: &mut Output) {
    if plan::is_ignored(ws, path) {
        output.warn(&format!(
            "git ignores `{path}`, so nobody else will have it: `git add -f {path}`"
        ));
    }
}

/// The name that a copy of `file` has.
fn name_of(file: &str) -> Result<ReceiptName, Failure> {
    let name = Path::new(file).file_name().and_then(|name| name.to_str()).unwrap_or_default();
    ReceiptName::new(name).map_err(|fault| Failure::BadId {
        what: fault.to_string(),
        hint: "call the copy otherwise: `--name tests.log`; letters, digits and `. _ -` are good"
            .to_owned(),
    })
}

/// The bytes of `file`, as whoever runs the command calls it; one more than a receipt may have
/// where it has more.
fn read(context: &Context, file: &str) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let limit = MAX_RECEIPT as u64 + 1;
    let path = context.standing()?.join(file);
    let done = match file {
        "-" => io::stdin().lock().take(limit).read_to_end(&mut bytes),
        _ => File::open(&path).and_then(|opened| opened.take(limit).read_to_end(&mut bytes)),
    };
    match done {
        Ok(_) => Ok(bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(Error::from(PlanFault::NoReceipt { path: file.to_owned() }).into())
        }
        Err(error) => Err(Error::from(StoreError::io(Verb::Read, Path::new(file))(error)).into()),
    }
}
