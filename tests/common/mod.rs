//! What several tests of the C ABI share: running programs, building C against the library, reading the header.
//!
//! Each test program compiles this for itself and uses a part of it.
#![allow(dead_code)]

pub mod build;
pub mod header;
pub mod program;

use std::io::ErrorKind;
use std::path::Path;
use std::process::{Command, Output};

pub const ROOT: &str = env!("CARGO_MANIFEST_DIR");
pub const TMP: &str = env!("CARGO_TARGET_TMPDIR");
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The output of a command that must start.
pub fn output(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| match error.kind() {
        ErrorKind::NotFound => panic!("{:?} is not there: `make test` installs it first", command.get_program()),
        _ => panic!("{command:?}: {error}"),
    })
}

/// Runs a command that must succeed; gives its standard output.
pub fn run(command: &mut Command) -> String {
    let output = output(command);
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{stdout}\n{stderr}", output.status);
    stdout
}

/// A run of a program that was built here, that no library and no option of the environment can get into.
pub fn built(program: &Path) -> Command {
    isolated(program::program(program))
}

/// A run of a tool, likewise.
pub fn command(tool: impl AsRef<Path>) -> Command {
    isolated(Command::new(tool.as_ref()))
}

fn isolated(mut command: Command) -> Command {
    for variable in [
        "LD_LIBRARY_PATH",
        "LD_PRELOAD",
        "ASAN_OPTIONS",
        "UBSAN_OPTIONS",
        "LSAN_OPTIONS",
        "TSAN_OPTIONS",
        "VALGRIND_OPTS",
        "DIFFQUANT_ISA",
    ] {
        command.env_remove(variable);
    }
    command
}
