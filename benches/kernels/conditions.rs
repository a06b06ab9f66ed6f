//! Rows that compare a kernel with itself: what a condition of the call costs.
//!
//! A new condition (blocks of 32, half precision) is one more function here.

use crate::figures::Kind;
use crate::memory::Tensors;
use crate::rounds::{Session, Side};
use crate::rows::{ROWS, Row};
use diffquant::DifferentiableQuantizer;
use std::hint::black_box;
use std::time::Duration;

/// Weights that share a scale.
const CHANNEL: usize = 1024;

/// The rows that are compared, by name.
const COMPARED: [&str; 6] = [
    "forward, codes + values",
    "forward, values",
    "backward, EWGS",
    "backward_scale, LEARNED_STEP_SIZE",
    "dequantize",
    "init_scale",
];

/// Measures every condition.
pub fn measure(session: &mut Session<'_>, lengths: &[usize], time: Duration) {
    for condition in [per_channel, off_line, two_threads] {
        for row in ROWS.iter().filter(|row| COMPARED.contains(&row.name)) {
            for &n in lengths {
                condition(session, row, n, time);
            }
        }
    }
}

/// One scale for each 1024 elements, against one for all.
fn per_channel(session: &mut Session<'_>, row: &Row, n: usize, time: Duration) {
    let w = session.memory.first(n).w;
    let [mut many, mut one] = [n / CHANNEL, 1].map(|channels| row.quantizer(w, channels));
    let sides = vec![
        Side::new("per channel", |tensors| (row.kernel)(black_box(&mut many), black_box(tensors))),
        Side::new("per tensor", |tensors| (row.kernel)(black_box(&mut one), black_box(tensors))),
    ];
    session.contest(Kind::Condition, &format!("{}, 1024 per channel", row.name), n, time, sides);
}

/// Buffers that begin 16 bytes into a cache line, as those of an allocator may, against buffers that begin with one.
fn off_line(session: &mut Session<'_>, row: &Row, n: usize, time: Duration) {
    let w = session.memory.first(n).w;
    let [mut off, mut on] = [row.quantizer(w, 1), row.quantizer(w, 1)];
    let sides = vec![
        Side::new("off the line", |tensors| (row.kernel)(black_box(&mut off), black_box(&mut part(tensors, 4)))),
        Side::new("on the line", |tensors| (row.kernel)(black_box(&mut on), black_box(&mut part(tensors, 0)))),
    ];
    session.contest(Kind::Condition, &format!("{}, 16 bytes off a line", row.name), n, time, sides);
}

/// Two threads against one, where the library uses them.
fn two_threads(session: &mut Session<'_>, row: &Row, n: usize, time: Duration) {
    if n < 1 << 20 {
        return;
    }
    let w = session.memory.first(n).w;
    let [mut two, mut one] = [row.quantizer(w, 1), row.quantizer(w, 1)];
    two.set_threads(2);
    let sides = vec![
        Side::new("two threads", |tensors| (row.kernel)(black_box(&mut two), black_box(tensors))),
        Side::new("one thread", |tensors| (row.kernel)(black_box(&mut one), black_box(tensors))),
    ];
    session.contest(Kind::Condition, &format!("{}, two threads", row.name), n, time, sides);
}

/// All but 32 elements, from `start` on.
fn part<'a>(tensors: &'a mut Tensors<'_>, start: usize) -> Tensors<'a> {
    let elements = start..start + tensors.w.len() - 32;
    Tensors {
        w: &mut tensors.w[elements.clone()],
        grad_out: &mut tensors.grad_out[elements.clone()],
        values: &mut tensors.values[elements.clone()],
        grad_w: &mut tensors.grad_w[elements.clone()],
        codes: &mut tensors.codes[elements],
        grad_scale: tensors.grad_scale,
    }
}
