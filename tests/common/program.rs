//! Programs that were built for the machine under test, which may be an emulated one.

use std::ffi::OsStr;
use std::process::Command;

/// A run of `program`, in the emulator that the variable DIFFQUANT_RUNNER names with its options, as cargo's own runner
/// does for tests: without it, a program that a test starts would meet the machine that emulates.
pub fn program(program: impl AsRef<OsStr>) -> Command {
    let runner = std::env::var("DIFFQUANT_RUNNER").unwrap_or_default();
    let mut words = runner.split_whitespace();
    match words.next() {
        Some(emulator) => {
            let mut command = Command::new(emulator);
            command.args(words).arg(program);
            command
        }
        None => Command::new(program),
    }
}
