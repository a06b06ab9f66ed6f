//! Each kernel beside a memory stream that moves the same bytes and does almost no arithmetic.
//!
//! `make bench` runs it: one thread, f32, per tensor, caller-owned buffers that were touched before. The two of a pair run
//! one after the other in the same process, so their ratio is worth more than either time.

mod stream;

use criterion::{
    BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main, measurement::WallTime,
};
use diffquant::{DifferentiableQuantizer, SteVariant, UniformQuantizer};
use std::hint::black_box;
use std::time::Duration;

const LENGTHS: [usize; 3] = [4 << 10, 256 << 10, 16 << 20];

/// Numbers around zero, some beyond the code range, the same on every run.
fn weights(n: usize) -> Vec<f32> {
    let mut state = 1u32;
    let mut draw = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / 8_388_608.0 - 1.0
    };
    (0..n).map(|_| draw()).collect()
}

fn quantizer(w: &[f32], ste: SteVariant) -> UniformQuantizer {
    let mut quantizer = UniformQuantizer::new(4, ste).expect("4 bits are valid");
    quantizer.init_scale(w).expect("the weights are finite");
    quantizer
}

/// Times `kernel` and `stream`, which move `bytes` per element.
fn pair(
    c: &mut Criterion,
    name: &str,
    bytes: u64,
    mut kernel: impl FnMut(&mut Buffers),
    mut stream: impl FnMut(&mut Buffers),
) {
    let mut group = c.benchmark_group(name);
    for n in LENGTHS {
        let mut buffers = Buffers::new(n);
        group.throughput(Throughput::Bytes(bytes * n as u64));
        measure(&mut group, "kernel", n, &mut buffers, &mut kernel);
        measure(&mut group, "stream", n, &mut buffers, &mut stream);
    }
    group.finish();
}

fn measure(
    group: &mut BenchmarkGroup<'_, WallTime>,
    side: &str,
    n: usize,
    buffers: &mut Buffers,
    run: &mut impl FnMut(&mut Buffers),
) {
    group.bench_with_input(BenchmarkId::new(side, n), &n, |b, _| b.iter(|| run(black_box(buffers))));
}

struct Buffers {
    w: Vec<f32>,
    grad_out: Vec<f32>,
    codes: Vec<i8>,
    values: Vec<f32>,
    grad_w: Vec<f32>,
    quantizer: UniformQuantizer,
}

impl Buffers {
    fn new(n: usize) -> Buffers {
        let w = weights(n);
        let quantizer = quantizer(&w, SteVariant::Ewgs { lambda: 0.1 });
        Buffers { grad_out: w.clone(), codes: vec![1; n], values: w.clone(), grad_w: vec![1.0; n], w, quantizer }
    }
}

fn kernels(c: &mut Criterion) {
    pair(
        c,
        "forward, codes and values",
        9,
        |b| b.quantizer.forward_into(&b.w, Some(&mut b.codes), Some(&mut b.values)).unwrap(),
        |b| stream::read_float_write_float_and_byte(&b.w, &mut b.values, &mut b.codes),
    );
    pair(
        c,
        "forward, values",
        8,
        |b| b.quantizer.forward_into(&b.w, None, Some(&mut b.values)).unwrap(),
        |b| stream::read_float_write_float(&b.w, &mut b.values),
    );
    pair(
        c,
        "forward, codes",
        5,
        |b| b.quantizer.forward_into(&b.w, Some(&mut b.codes), None).unwrap(),
        |b| stream::read_float_write_byte(&b.w, &mut b.codes),
    );
    pair(
        c,
        "backward, EWGS with values",
        16,
        |b| b.quantizer.backward_into(&b.w, Some(&b.values), &b.grad_out, &mut b.grad_w).unwrap(),
        |b| stream::read_three_floats_write_float(&b.w, &b.values, &b.grad_out, &mut b.grad_w),
    );
    pair(
        c,
        "backward_scale, EWGS",
        12,
        |b| b.quantizer.backward_scale_into(&b.w, &b.grad_out, Some(&mut b.grad_w), &mut [0.0]).unwrap(),
        |b| stream::read_two_floats_write_float(&b.w, &b.grad_out, &mut b.grad_w),
    );
    pair(
        c,
        "dequantize",
        5,
        |b| b.quantizer.dequantize_into(&b.codes, &mut b.values).unwrap(),
        |b| stream::read_byte_write_float(&b.codes, &mut b.values),
    );
    pair(
        c,
        "init_scale",
        4,
        |b| b.quantizer.init_scale(&b.w).unwrap(),
        |b| {
            black_box(stream::read_float(&b.w));
        },
    );
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(20);
    targets = kernels
}
criterion_main!(benches);
