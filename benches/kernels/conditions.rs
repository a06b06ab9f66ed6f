//! Rows that compare a kernel with itself: what a condition of the call costs.
//!
//! A new way of sharing scales is a line in [`SHARINGS`], another condition a function.

use crate::figures::Kind;
use crate::memory::{Halves, Tensors};
use crate::rounds::{Session, Side};
use crate::rows::{ROWS, Row};
use diffquant::{DifferentiableQuantizer, NonFinite, QuantGranularity, RoundingMode, Statistics};
use std::hint::black_box;
use std::time::Duration;

/// The rows that are compared, by name.
const COMPARED: [&str; 5] =
    ["forward, codes + values", "backward, EWGS", "backward_scale, LSQ", "dequantize", "init_scale"];

/// Ways of sharing scales: a name, what shares one, the shape of n elements, and the axis.
type Sharing = (&'static str, QuantGranularity, fn(usize) -> Vec<usize>, usize);

const SHARINGS: [Sharing; 5] = [
    ("1024 per channel", QuantGranularity::PerChannel, |n| vec![n / 1024, 1024], 0),
    ("channels on the last axis of 1024", QuantGranularity::PerChannel, |n| vec![n / 1024, 1024], 1),
    ("64 channels on a middle axis, 4 inner", QuantGranularity::PerChannel, |n| vec![n / 256, 64, 4], 1),
    ("blocks of 32", QuantGranularity::PerBlock { block_size: 32 }, |n| vec![n / 1024, 1024], 1),
    ("blocks of 32 on the first axis", QuantGranularity::PerBlock { block_size: 32 }, |n| vec![n / 64, 64], 0),
];

/// Measures every condition.
pub fn measure(session: &mut Session<'_>, lengths: &[usize], time: Duration) {
    for sharing in &SHARINGS {
        each_row(session, lengths, |session, row, n| shared_by(session, row, n, sharing, time));
    }
    for condition in [asymmetric, stochastic, propagating, rejecting, with_statistics, off_line, two_threads] {
        each_row(session, lengths, |session, row, n| condition(session, row, n, time));
    }
}

fn each_row(session: &mut Session<'_>, lengths: &[usize], mut measure: impl FnMut(&mut Session<'_>, &Row, usize)) {
    for row in ROWS.iter().filter(|row| COMPARED.contains(&row.name)) {
        for &n in lengths {
            measure(session, row, n);
        }
    }
}

/// Many scales, against one for all.
fn shared_by(session: &mut Session<'_>, row: &Row, n: usize, sharing: &Sharing, time: Duration) {
    let (name, granularity, shape, axis) = sharing;
    let w = session.memory.first(n).w;
    let (mut many, mut one) = (row.shaped(w, *granularity, &shape(n), *axis), row.quantizer(w));
    let sides = vec![
        Side::new("many scales", |tensors| (row.kernel)(black_box(&mut many), black_box(tensors))),
        Side::new("per tensor", |tensors| (row.kernel)(black_box(&mut one), black_box(tensors))),
    ];
    session.contest(Kind::Condition, &format!("{}, {name}", row.name), n, time, sides);
}

/// A zero point that is not 0, against none.
fn asymmetric(session: &mut Session<'_>, row: &Row, n: usize, time: Duration) {
    if row.name == "init_scale" {
        return;
    }
    let w = session.memory.first(n).w;
    let [mut with, mut without] = [row.quantizer(w), row.quantizer(w)];
    with.set_symmetric(false);
    with.set_zero_points(&[3]).expect("3 is a code of 4 bits");
    let sides = vec![
        Side::new("zero point", |tensors| (row.kernel)(black_box(&mut with), black_box(tensors))),
        Side::new("symmetric", |tensors| (row.kernel)(black_box(&mut without), black_box(tensors))),
    ];
    session.contest(Kind::Condition, &format!("{}, a zero point", row.name), n, time, sides);
}

/// Stochastic rounding, against half to even.
fn stochastic(session: &mut Session<'_>, row: &Row, n: usize, time: Duration) {
    let w = session.memory.first(n).w;
    if row.name == "init_scale" || row.name == "dequantize" {
        return;
    }
    let [mut chance, mut even] = [row.quantizer(w), row.quantizer(w)];
    chance.set_rounding(RoundingMode::Stochastic);
    even.set_rounding(RoundingMode::HalfEven);
    let sides = vec![
        Side::new("stochastic", |tensors| (row.kernel)(black_box(&mut chance), black_box(tensors))),
        Side::new("half even", |tensors| (row.kernel)(black_box(&mut even), black_box(tensors))),
    ];
    session.contest(Kind::Condition, &format!("{}, STOCHASTIC", row.name), n, time, sides);
}

/// NaNs that stay NaNs, against those that become 0.
fn propagating(session: &mut Session<'_>, row: &Row, n: usize, time: Duration) {
    under_policy(session, row, n, time, ("PROPAGATE", NonFinite::Propagate));
}

/// A look at every weight first, against none.
fn rejecting(session: &mut Session<'_>, row: &Row, n: usize, time: Duration) {
    under_policy(session, row, n, time, ("REJECT", NonFinite::Reject));
}

fn under_policy(session: &mut Session<'_>, row: &Row, n: usize, time: Duration, (name, policy): (&str, NonFinite)) {
    if !row.name.starts_with("forward") {
        return;
    }
    let w = session.memory.first(n).w;
    let [mut with, mut without] = [row.quantizer(w), row.quantizer(w)];
    with.set_non_finite(policy);
    let sides = vec![
        Side::new("policy", |tensors| (row.kernel)(black_box(&mut with), black_box(tensors))),
        Side::new("ZERO", |tensors| (row.kernel)(black_box(&mut without), black_box(tensors))),
    ];
    session.contest(Kind::Condition, &format!("{}, {name}", row.name), n, time, sides);
}

/// Forward with statistics, against forward.
fn with_statistics(session: &mut Session<'_>, row: &Row, n: usize, time: Duration) {
    if !row.name.starts_with("forward") {
        return;
    }
    let w = session.memory.first(n).w;
    let [with, mut without] = [row.quantizer(w), row.quantizer(w)];
    let mut statistics = [Statistics::default()];
    let sides = vec![
        Side::new("statistics", |t| {
            black_box(&with).forward_statistics_into(t.w, Some(t.codes), Some(t.values), &mut statistics).unwrap();
        }),
        Side::new("forward", |tensors| (row.kernel)(black_box(&mut without), black_box(tensors))),
    ];
    session.contest(Kind::Condition, &format!("{}, statistics", row.name), n, time, sides);
}

/// Buffers that begin 16 bytes into a cache line, as those of an allocator may, against buffers that begin with one.
fn off_line(session: &mut Session<'_>, row: &Row, n: usize, time: Duration) {
    let w = session.memory.first(n).w;
    let [mut off, mut on] = [row.quantizer(w), row.quantizer(w)];
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
    let [mut two, mut one] = [row.quantizer(w), row.quantizer(w)];
    two.set_threads(2);
    let sides = vec![
        Side::new("two threads", |tensors| (row.kernel)(black_box(&mut two), black_box(tensors))),
        Side::new("one thread", |tensors| (row.kernel)(black_box(&mut one), black_box(tensors))),
    ];
    session.contest(Kind::Condition, &format!("{}, two threads", row.name), n, time, sides);
    // What the memory itself gains by them: the same bytes, moved.
    let run = row.fastest_from_memory();
    let sides = vec![
        Side::new("two threads", move |tensors| {
            let [mut first, mut second] = halves(tensors);
            std::thread::scope(|scope| {
                scope.spawn(|| run(black_box(&mut second)));
                run(black_box(&mut first));
            });
        }),
        Side::new("one thread", move |tensors| run(black_box(tensors))),
    ];
    session.contest(Kind::Condition, &format!("{}, its stream, two threads", row.name), n, time, sides);
}

/// The first half of all elements, and the second.
fn halves<'a>(tensors: &'a mut Tensors<'_>) -> [Tensors<'a>; 2] {
    let middle = tensors.w.len() / 2;
    let Halves { w, grad_out, values, grad_w } = &mut tensors.halves;
    let [w, grad_out, values, grad_w] = [w, grad_out, values, grad_w].map(|halves| halves.split_at_mut(middle));
    let first = Halves { w: w.0, grad_out: grad_out.0, values: values.0, grad_w: grad_w.0 };
    let second = Halves { w: w.1, grad_out: grad_out.1, values: values.1, grad_w: grad_w.1 };
    let Tensors { w, grad_out, values, grad_w, codes, grad_scale, .. } = tensors;
    let [w, grad_out, values, grad_w] = [w, grad_out, values, grad_w].map(|floats| floats.split_at_mut(middle));
    let codes = codes.split_at_mut(middle);
    let grad_scale = grad_scale.split_at_mut(0);
    [
        Tensors {
            w: w.0,
            grad_out: grad_out.0,
            values: values.0,
            grad_w: grad_w.0,
            codes: codes.0,
            grad_scale: grad_scale.0,
            halves: first,
        },
        Tensors {
            w: w.1,
            grad_out: grad_out.1,
            values: values.1,
            grad_w: grad_w.1,
            codes: codes.1,
            grad_scale: grad_scale.1,
            halves: second,
        },
    ]
}

/// All but 32 elements, from `start` on.
fn part<'a>(tensors: &'a mut Tensors<'_>, start: usize) -> Tensors<'a> {
    let elements = start..start + tensors.w.len() - 32;
    let Halves { w, grad_out, values, grad_w } = &mut tensors.halves;
    let halves = Halves {
        w: &mut w[elements.clone()],
        grad_out: &mut grad_out[elements.clone()],
        values: &mut values[elements.clone()],
        grad_w: &mut grad_w[elements.clone()],
    };
    Tensors {
        w: &mut tensors.w[elements.clone()],
        grad_out: &mut tensors.grad_out[elements.clone()],
        values: &mut tensors.values[elements.clone()],
        grad_w: &mut tensors.grad_w[elements.clone()],
        codes: &mut tensors.codes[elements],
        grad_scale: tensors.grad_scale,
        halves,
    }
}
