//! Where and when figures were measured: without it they mean little.

#![allow(unsafe_code)]

use diffquant::capi::isa::diffquant_isa_name;
use serde::Serialize;
use std::ffi::CStr;
use std::process::Command;

/// The circumstances of a run.
#[derive(Debug, Serialize)]
pub struct Machine {
    /// UTC.
    pub date: String,
    /// What `git describe` says of the source.
    pub source: String,
    pub cpu: String,
    pub cores: usize,
    /// The instruction set that the library uses here.
    pub instructions: String,
    pub pages: String,
    /// One-minute load average before the first figure, this run not included.
    pub load: String,
}

impl Machine {
    /// The machine now; `pages` as the buffers found them.
    pub fn inspect(pages: String) -> Machine {
        Machine {
            date: output_of("date", &["-u", "+%Y-%m-%d %H:%M UTC"]),
            source: output_of("git", &["describe", "--always", "--dirty"]),
            cpu: cpu(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            instructions: instructions(),
            pages,
            load: first_word(&read("/proc/loadavg")),
        }
    }
}

fn output_of(program: &str, arguments: &[&str]) -> String {
    match Command::new(program).args(arguments).output() {
        Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        _ => "unknown".to_owned(),
    }
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

fn first_word(text: &str) -> String {
    text.split_whitespace().next().unwrap_or("unknown").to_owned()
}

/// The name of the CPU, with family and model: the name that a virtual machine shows may be the same for all.
fn cpu() -> String {
    let info = read("/proc/cpuinfo");
    let field = |name: &str| {
        let line = info.lines().find(|line| line.split(':').next().is_some_and(|key| key.trim() == name));
        line.and_then(|line| line.split(':').nth(1)).map_or("unknown", str::trim)
    };
    format!("{} (family {}, model {})", field("model name"), field("cpu family"), field("model"))
}

fn instructions() -> String {
    // SAFETY: the library gives a string that lives as long as it does.
    let name = unsafe { CStr::from_ptr(diffquant_isa_name()) };
    name.to_string_lossy().into_owned()
}
