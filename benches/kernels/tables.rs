//! The tables, in Markdown: what a run ends in, and what `docs/performance.md` takes over.

use crate::COLUMNS;
use crate::calls::LENGTHS;
use crate::figures::{Figure, Kind, Quartiles};
use crate::machine::Machine;
use crate::rows::ROWS;
use std::time::Duration;

/// Every table for which there is a figure.
pub fn markdown(machine: &Machine, figures: &[Figure], took: Duration) -> String {
    let Machine { date, source, cpu, cores, instructions, pages, load } = machine;
    let mut text = format!(
        "Measured {date} at {source} on {cores} cores of {cpu}, {instructions}, {pages}, load average {load} before the \
         run, which took {} s. One thread; medians, in brackets the quartiles.\n",
        took.as_secs()
    );
    let sizes = COLUMNS.map(size);
    let kernels: Vec<_> = ROWS.iter().filter(|row| figures.iter().any(|figure| figure.row == row.name)).collect();
    if !kernels.is_empty() {
        text += "\nSpeed as a ratio to the fastest memory stream of the same bytes: 1 is the speed of the stream.\n\n";
        text += &heading(&["kernel", "bytes"], &sizes);
        for row in &kernels {
            let cell = |&n: &usize| find(figures, row.name, n).map(|figure| with_quartiles(figure.speed));
            text += &line(&[row.name, &row.bytes.to_string()], COLUMNS.iter().map(cell));
        }
        text += "\nNanoseconds per element, and those of the fastest stream.\n\n";
        text += &heading(&["kernel", "bytes"], &sizes);
        for row in &kernels {
            let cell = |&n: &usize| find(figures, row.name, n).map(times);
            text += &line(&[row.name, &row.bytes.to_string()], COLUMNS.iter().map(cell));
        }
    }
    let conditions = names_of(figures, Kind::Condition);
    if !conditions.is_empty() {
        text += "\nTime under a condition by the time without it: 1 is no cost.\n\n";
        text += &heading(&["kernel, condition"], &sizes);
        for name in conditions {
            let cell = |&n: &usize| find(figures, name, n).map(|figure| with_quartiles(figure.speed.inverse()));
            text += &line(&[name], COLUMNS.iter().map(cell));
        }
    }
    let calls = names_of(figures, Kind::Call);
    if !calls.is_empty() {
        text += "\nNanoseconds of a call through the C ABI beyond those of a call of an empty function.\n\n";
        text += &heading(&["function"], &LENGTHS.map(|n| format!("n = {n}")));
        for name in calls {
            let cell = |&n: &usize| find(figures, name, n).map(|figure| with_quartiles(figure.excess));
            text += &line(&[name], LENGTHS.iter().map(cell));
        }
    }
    text
}

fn heading(first: &[&str], columns: &[String]) -> String {
    let rule = "|---".repeat(first.len() + columns.len());
    format!("| {} | {} |\n{rule}|\n", first.join(" | "), columns.join(" | "))
}

fn line(first: &[&str], cells: impl Iterator<Item = Option<String>>) -> String {
    let cells: Vec<_> = cells.map(|cell| cell.unwrap_or_else(|| "-".to_owned())).collect();
    format!("| {} | {} |\n", first.join(" | "), cells.join(" | "))
}

/// The rows of a kind, in the order in which they were measured.
fn names_of(figures: &[Figure], kind: Kind) -> Vec<&str> {
    let mut names: Vec<&str> = figures.iter().filter(|figure| figure.kind == kind).map(|figure| &*figure.row).collect();
    names.dedup();
    names
}

fn find<'f>(figures: &'f [Figure], row: &str, n: usize) -> Option<&'f Figure> {
    figures.iter().find(|figure| figure.row == row && figure.n == n)
}

/// A number of elements as people say it.
pub fn size(n: usize) -> String {
    match n.trailing_zeros() {
        20.. => format!("{} Mi", n >> 20),
        10.. => format!("{} Ki", n >> 10),
        _ => n.to_string(),
    }
}

fn with_quartiles(Quartiles { q1, median, q3 }: Quartiles) -> String {
    let digits = if median < 10.0 { 2 } else { 1 };
    format!("{median:.digits$} ({q1:.digits$}–{q3:.digits$})")
}

fn times(figure: &Figure) -> String {
    let per_element = |quartiles: Quartiles| quartiles.over(figure.n as f64).median;
    format!("{:.3} / {:.3} {}", per_element(figure.time), per_element(figure.rival_time), figure.rival)
}
