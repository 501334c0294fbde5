//! The `bus` command: parse, run, exit code; nothing else.

use std::process::ExitCode;

fn main() -> ExitCode {
    agent_bus::cli::run(std::env::args_os())
}
