//! A line of the golden file, and the way its numbers are written.

use serde_json::Value;
use std::fmt;

pub struct Record(Value);

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "record {} ({})", self.0["id"], self.text("kind"))
    }
}

/// What a check found to differ, in words.
pub type Checked = Result<(), String>;

impl Record {
    pub fn parse(line: &str) -> Record {
        Record(serde_json::from_str(line).expect("a line of the golden file is JSON"))
    }

    pub fn class(&self) -> Option<&str> {
        self.0["class"].as_str()
    }

    pub fn value(&self, key: &str) -> &Value {
        let value = self.0.get(key);
        value.unwrap_or_else(|| panic!("{self} has no {key}"))
    }

    pub fn text(&self, key: &str) -> &str {
        self.0[key].as_str().unwrap_or_else(|| panic!("record {} has no text {key}", self.0["id"]))
    }

    pub fn number(&self, key: &str) -> usize {
        self.value(key).as_u64().unwrap_or_else(|| panic!("{self}: {key} is no number")) as usize
    }

    pub fn is_null(&self, key: &str) -> bool {
        self.value(key).is_null()
    }

    /// f32 as 8 hex digits of its bits each.
    pub fn floats(&self, key: &str) -> Vec<f32> {
        let bits = |digits: &str| u32::from_str_radix(digits, 16).expect("hex digits");
        chunks(self.text(key), 8).map(|digits| f32::from_bits(bits(digits))).collect()
    }

    pub fn float(&self, key: &str) -> f32 {
        self.floats(key)[0]
    }

    /// f64 as 16 hex digits of its bits each.
    pub fn doubles(&self, key: &str) -> Vec<f64> {
        let bits = |digits: &str| u64::from_str_radix(digits, 16).expect("hex digits");
        chunks(self.text(key), 16).map(|digits| f64::from_bits(bits(digits))).collect()
    }

    /// i8 as 2 hex digits each.
    pub fn codes(&self, key: &str) -> Vec<i8> {
        let bits = |digits: &str| u8::from_str_radix(digits, 16).expect("hex digits");
        chunks(self.text(key), 2).map(|digits| bits(digits) as i8).collect()
    }
}

fn chunks(text: &str, digits: usize) -> impl Iterator<Item = &str> {
    assert!(text.len().is_multiple_of(digits));
    (0..text.len()).step_by(digits).map(move |at| &text[at..at + digits])
}

/// Equal bits; any NaN equals any other.
pub fn same_float(name: &str, ours: f32, theirs: f32) -> Checked {
    same_floats(name, &[ours], &[theirs])
}

/// Equal bits throughout; any NaN equals any other.
pub fn same_floats(name: &str, ours: &[f32], theirs: &[f32]) -> Checked {
    let equal = |(a, b): (&f32, &f32)| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan());
    same_by(name, ours, theirs, equal)
}

pub fn same<T: PartialEq + fmt::Debug>(name: &str, ours: &[T], theirs: &[T]) -> Checked {
    same_by(name, ours, theirs, |(a, b)| a == b)
}

fn same_by<T: fmt::Debug>(name: &str, ours: &[T], theirs: &[T], equal: impl Fn((&T, &T)) -> bool) -> Checked {
    if ours.len() != theirs.len() {
        return Err(format!("{name} has {} elements for {}", ours.len(), theirs.len()));
    }
    match ours.iter().zip(theirs).position(|pair| !equal(pair)) {
        None => Ok(()),
        Some(at) => Err(format!("{name}[{at}] is {:?} for {:?}", ours[at], theirs[at])),
    }
}

/// Sums within 1e-6 of the sum of magnitudes of their terms.
pub fn close_sums(name: &str, ours: &[f32], theirs: &[f64], magnitudes: &[f64]) -> Checked {
    if ours.len() != theirs.len() || ours.len() != magnitudes.len() {
        return Err(format!("{name} has {} elements for {}", ours.len(), theirs.len()));
    }
    for (at, &sum) in ours.iter().enumerate() {
        // A NaN difference is no small one.
        let close = (f64::from(sum) - theirs[at]).abs() <= 1e-6 * magnitudes[at];
        if !close {
            return Err(format!("{name}[{at}] is {sum} for {}, with magnitudes {}", theirs[at], magnitudes[at]));
        }
    }
    Ok(())
}
