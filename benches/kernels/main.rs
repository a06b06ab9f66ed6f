//! Each kernel beside a memory stream that moves the same bytes and does almost no arithmetic.
//!
//! `make bench` runs it: one thread, buffers that the caller owns and has touched. It ends in the tables of
//! `docs/performance.md`, and leaves in `target/bench` those tables, the pictures, and one line of JSON per figure.
//!
//!     cargo bench                      # everything, in some six minutes
//!     cargo bench -- forward           # the rows whose name matches a regular expression
//!     cargo bench -- --quick           # fewer rounds, three sizes
//!     DIFFQUANT_BENCH_PAGES=small cargo bench
//!
//! - `rounds`: how two things are compared; `stream`, `division`: the limits; `memory`: the buffers and their pages.
//! - `rows`, `conditions`, `calls`: what is measured. A new row goes there.
//! - `figures`, `machine`, `tables`, `chart`: what becomes of it.

mod calls;
mod chart;
mod conditions;
mod division;
mod figures;
mod machine;
mod memory;
mod rounds;
mod rows;
mod stream;
mod tables;

use criterion::Criterion;
use machine::Machine;
use memory::Memory;
use rounds::Session;
use std::path::Path;
use std::time::{Duration, Instant};
use std::{fs, io};

/// The columns of the tables.
const COLUMNS: [usize; 3] = [4 << 10, 256 << 10, 16 << 20];

/// The sizes of the pictures: powers of two.
const SWEEP: std::ops::RangeInclusive<u32> = 10..=26;

fn main() {
    let start = Instant::now();
    let quick = std::env::args().any(|argument| argument == "--quick");
    let mut criterion = Criterion::default().without_plots().sample_size(10).nresamples(1_001).configure_from_args();
    let sweep: Vec<usize> = if quick { COLUMNS.into() } else { SWEEP.map(|power| 1 << power).collect() };

    let memory = Memory::new(sweep[sweep.len() - 1]);
    let machine = Machine::inspect(memory.pages());
    let mut session = Session { criterion: &mut criterion, memory, figures: Vec::new() };
    let long = Duration::from_millis(if quick { 200 } else { 500 });
    let short = long / 5;
    for row in &rows::ROWS {
        for &n in &sweep {
            row.measure(&mut session, n, if COLUMNS.contains(&n) { long } else { short });
        }
    }
    conditions::measure(&mut session, &COLUMNS, long);
    calls::measure(&mut session, short);

    let figures = session.figures;
    if figures.is_empty() {
        return;
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench");
    let tables = tables::markdown(&machine, &figures, start.elapsed());
    save(&folder, &machine, &figures, &tables).expect("target/bench is writable");
    println!("\n{tables}\nin {}: tables.md, figures.jsonl and pictures", folder.display());
}

fn save(folder: &Path, machine: &Machine, figures: &[figures::Figure], tables: &str) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    figures::append_json_lines(&folder.join("figures.jsonl"), machine, figures)?;
    fs::write(folder.join("tables.md"), tables)?;
    for picture in &chart::PICTURES {
        if let Some(svg) = picture.draw(figures, machine) {
            fs::write(folder.join(picture.file), svg)?;
        }
    }
    Ok(())
}
