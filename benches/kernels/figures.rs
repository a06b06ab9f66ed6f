//! Figures: what was measured, and the line of JSON that it becomes.

use crate::machine::Machine;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;

/// The middle and its spread.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Quartiles {
    pub q1: f64,
    pub median: f64,
    pub q3: f64,
}

impl Quartiles {
    /// Of some numbers, at least one; between two of them by interpolation.
    pub fn of(numbers: impl Iterator<Item = f64>) -> Quartiles {
        let mut sorted: Vec<f64> = numbers.collect();
        sorted.sort_by(f64::total_cmp);
        let at = |fraction: f64| {
            let place = fraction * (sorted.len() - 1) as f64;
            let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
            below + (above - below) * place.fract()
        };
        Quartiles { q1: at(0.25), median: at(0.5), q3: at(0.75) }
    }

    /// Each divided by `divisor`, which is positive.
    pub fn over(self, divisor: f64) -> Quartiles {
        Quartiles { q1: self.q1 / divisor, median: self.median / divisor, q3: self.q3 / divisor }
    }

    /// One over each.
    pub fn inverse(self) -> Quartiles {
        Quartiles { q1: 1.0 / self.q3, median: 1.0 / self.median, q3: 1.0 / self.q1 }
    }
}

/// What a figure compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A kernel and the memory stream of its traffic.
    Stream,
    /// A kernel under some condition and the same kernel without it.
    Condition,
    /// A short call through the C ABI and a call of an empty function.
    Call,
}

/// A kernel compared with its fastest rival, at one size. Times are nanoseconds per call.
#[derive(Debug, Clone, Serialize)]
pub struct Figure {
    pub kind: Kind,
    pub row: String,
    pub n: usize,
    pub rounds: usize,
    pub time: Quartiles,
    pub rival: String,
    pub rival_time: Quartiles,
    /// The rival's time by the kernel's, round by round: 1 is as fast as the rival.
    pub speed: Quartiles,
    /// The kernel's time less the rival's, round by round.
    pub excess: Quartiles,
    /// The median of every rival.
    pub others: BTreeMap<String, f64>,
}

/// Appends the figures to a file, one line each, every line complete in itself.
pub fn append_json_lines(path: &Path, machine: &Machine, figures: &[Figure]) -> io::Result<()> {
    #[derive(Serialize)]
    struct Line<'a> {
        #[serde(flatten)]
        figure: &'a Figure,
        #[serde(flatten)]
        machine: &'a Machine,
    }
    let mut lines = String::new();
    for figure in figures {
        lines += &serde_json::to_string(&Line { figure, machine })?;
        lines.push('\n');
    }
    OpenOptions::new().create(true).append(true).open(path)?.write_all(lines.as_bytes())
}
