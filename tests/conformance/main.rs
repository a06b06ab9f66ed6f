//! Every record of the reference implementation, through the C ABI.
//!
//! `tests/golden/seed.jsonl` holds what the reference computes; `tests/golden/README.md` says how to read it. Records of
//! the class `core` or `derived`, and those without a class, must come out bit for bit, sums within 1e-6 of their sum of
//! magnitudes. An `edge` record must either come out equal or be one of the cases that [`edges`] expects to differ, which
//! are the rows of the table in `docs/conformance.md`.

mod edges;
mod handle;
mod kinds;
mod record;

use record::Record;
use std::collections::BTreeMap;

/// Records per kind: a kind that nobody checks, or a file cut short, is a failure.
const EXPECTED: [(&str, usize); 13] = [
    ("config", 13),
    ("config_parse", 7),
    ("digest", 6),
    ("init_pi_scale", 16),
    ("meta", 1),
    ("pi", 68),
    ("pi_init", 96),
    ("pi_init_channels", 16),
    ("scale_grad", 5),
    ("ste", 8),
    ("uniform", 95),
    ("uniform_default", 5),
    ("uniform_init", 40),
];

fn records() -> Vec<Record> {
    include_str!("../golden/seed.jsonl").lines().map(Record::parse).collect()
}

#[test]
fn the_file_is_whole() {
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    for record in records() {
        *kinds.entry(record.text("kind").to_owned()).or_default() += 1;
    }
    let found: Vec<(&str, usize)> = kinds.iter().map(|(kind, count)| (kind.as_str(), *count)).collect();
    assert_eq!(found, EXPECTED);
    assert_eq!(found.iter().map(|(_, count)| count).sum::<usize>(), 376);
}

#[test]
fn every_record_comes_out_as_in_the_reference_or_as_documented() {
    let mut failures = Vec::new();
    let mut differing = BTreeMap::new();
    for record in records() {
        let edge = record.class() == Some("edge");
        let outcome = if edge { edges::check(&record) } else { kinds::check(&record).map(|()| None) };
        match outcome {
            Ok(None) => {}
            Ok(Some(case)) => *differing.entry(case).or_insert(0usize) += 1,
            Err(difference) => failures.push(format!("{record}: {difference}")),
        }
    }
    assert!(failures.is_empty(), "{} records differ:\n{}", failures.len(), failures.join("\n"));
    assert_eq!(differing.into_iter().collect::<Vec<_>>(), edges::DOCUMENTED);
}

#[test]
fn the_documentation_lists_every_case_that_differs() {
    let documentation = include_str!("../../docs/conformance.md");
    for (case, count) in edges::DOCUMENTED {
        let row = documentation.lines().find(|line| line.starts_with(&format!("| {case} |")));
        let row = row.unwrap_or_else(|| panic!("docs/conformance.md has no row for {case:?}"));
        assert!(row.contains(&format!("| {count} |")), "{row}\nsays another number of records than {count}");
    }
}
