//! Two threads and three give the bits of one, however a tensor is cut.

use crate::cases::{Case, Layout, Settings, bits};
use crate::oracle::Grid;
use crate::random::Random;
use diffquant::{CodeRange, DifferentiableQuantizer, QuantGranularity, ScaleInit, SteVariant, UniformQuantizer};

/// Everything that a quantizer computes, as bits.
#[derive(PartialEq)]
struct Results {
    codes: Vec<i8>,
    floats: Vec<Vec<u32>>,
}

fn results(case: &Case, threads: usize, w: &[f32], grad_out: &[f32]) -> Results {
    let quantizer = &case.quantizer;
    let (codes, values) = quantizer.forward(w).unwrap();
    let dequantized = quantizer.dequantize(&codes).unwrap();
    let count = quantizer.scales().len();
    let (mut grad_w, mut grad_scale, mut grad_offset) = (vec![0.0; w.len()], vec![0.0; count], vec![0.0; count]);
    let grad_w_alone = quantizer.backward(w, &values, grad_out).unwrap();
    quantizer.backward_scale_offset_into(w, grad_out, Some(&mut grad_w), &mut grad_scale, &mut grad_offset).unwrap();
    let mut grad_scale_alone = vec![0.0; count];
    quantizer.backward_scale_into(w, grad_out, None, &mut grad_scale_alone).unwrap();
    let mut floats = vec![values, dequantized, grad_w, grad_w_alone, grad_scale, grad_offset, grad_scale_alone];
    for method in [ScaleInit::MaxAbs, ScaleInit::MinMax, ScaleInit::Lsq] {
        let mut calibrated = UniformQuantizer::new(case.grid.bits, SteVariant::Standard).unwrap();
        case.layout.declare_to(&mut calibrated);
        calibrated.set_threads(threads);
        calibrated.init_scale_with(method, w).unwrap();
        floats.push(calibrated.scales().to_vec());
    }
    Results { codes, floats: floats.iter().map(|floats| bits(floats)).collect() }
}

#[test]
fn several_threads_give_the_bits_of_one() {
    use QuantGranularity::*;
    let layouts = [
        Layout::new(PerTensor, &[(4 << 20) + 77], 0),
        Layout::new(PerChannel, &[3, 1_500_000], 0),
        Layout::new(PerChannel, &[2, 4, 600_000], 1),
        Layout::new(PerChannel, &[4200, 1000], 1),
        Layout::new(PerChannel, &[600, 7001], 1),
        Layout::new(PerChannel, &[1300, 9, 361], 1),
        Layout::new(PerToken, &[14_000, 300], 0),
        Layout::new(PerBlock { block_size: 32 }, &[2000, 2110], 1),
        Layout::new(PerBlock { block_size: 32 }, &[1050, 4000], 0),
        Layout::new(PerBlock { block_size: 5 }, &[4, 1050, 1001], 1),
        Layout::new(PerBlock { block_size: 3000 }, &[2100, 2000], 0),
    ];
    for (index, layout) in layouts.iter().enumerate() {
        let random = &mut Random::new(index as u64 + (1 << 50));
        let grid = Grid { bits: 3, range: CodeRange::Full, half_even: false, k: None };
        let affine = index % 2 == 1;
        let settings = Settings { grid, symmetric: !affine, with_offsets: affine };
        let mut case = Case::new(format!("case {index}"), layout, settings, SteVariant::LsqPlus, random);
        let n = layout.elements();
        let w = random.many(n, |random| random.between(-6.0, 6.0));
        let grad_out = random.many(n, |random| random.between(-1.0, 1.0));
        case.quantizer.set_threads(1);
        let alone = results(&case, 1, &w, &grad_out);
        for threads in [2, 3] {
            // Two parts are worth it from 4 Mi elements on, three from 6 Mi.
            case.quantizer.set_threads(threads);
            let divided = results(&case, threads, &w, &grad_out);
            assert!(divided.codes == alone.codes, "{case}: codes on {threads} threads");
            for (place, (divided, alone)) in divided.floats.iter().zip(&alone.floats).enumerate() {
                assert!(divided == alone, "{case}: output {place} on {threads} threads");
            }
            if n < 6 << 20 {
                break;
            }
        }
    }
}
