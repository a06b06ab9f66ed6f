//! The inputs in `fuzz/corpus`, one by one, as any test: whoever has no time to fuzz sees that what was once found stays fixed.

#![allow(unsafe_code)]

#[path = "../fuzz/checks/mod.rs"]
mod checks;

use std::fs;
use std::panic::catch_unwind;
use std::path::Path;

/// Fewer inputs than this are no corpus.
const FEWEST: usize = 20;

/// Checks every input of a target. One that fails is named.
fn replay(target: &str, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut inputs: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    inputs.sort();
    assert!(inputs.len() >= FEWEST, "{target}: only {} inputs", inputs.len());
    for input in inputs {
        let bytes = fs::read(&input).unwrap();
        assert!(catch_unwind(|| check(&bytes)).is_ok(), "{} fails", input.display());
    }
}

#[test]
fn texts_of_configurations() {
    replay("config_json", checks::config_json::check);
}

#[test]
fn texts_of_quantizers() {
    replay("quantizer_json", checks::quantizer_json::check);
}

#[test]
fn texts_of_observers() {
    replay("observer_json", checks::observer_json::check);
}

#[test]
fn sequences_of_calls() {
    replay("calls", checks::calls::check);
}
