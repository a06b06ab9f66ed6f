//! The rows of the table: each kernel, beside the stream of its essential bytes.
//!
//! Essential bytes are what the mathematics has to read and write, not what a kernel happens to: the pass-through
//! estimators need no weight, so reading one would show as a lower ratio. The last two rows are no kernels of ours but
//! limits: the divider's and the C library's.

use crate::division::divide;
use crate::figures::Kind;
use crate::memory::{Halves, Tensors};
use crate::rounds::{Session, Side};
use crate::stream::{Stores, Stream};
use diffquant::{
    DifferentiableQuantizer, Element, Observer, ObserverKind, QuantGranularity, Rotation, SteVariant, TypedQuantizer,
    UniformQuantizer,
};
use half::slice::HalfBitsSliceExt;
use half::{bf16, f16};
use std::hint::black_box;
use std::sync::OnceLock;
use std::time::Duration;

/// A kernel and its stream.
pub struct Row {
    pub name: &'static str,
    /// Read and written per element.
    pub bytes: usize,
    ste: SteVariant,
    pub kernel: fn(&mut UniformQuantizer, &mut Tensors<'_>),
    stream: Traffic,
}

enum Traffic {
    /// Writes, so both kinds of stores are tried.
    Written(fn(Stream, &mut Tensors<'_>)),
    /// Only reads; from memory, four places at a time can be faster than one.
    Read { one: fn(Stream, &mut Tensors<'_>), four: fn(Stream, &mut Tensors<'_>) },
}

const EWGS: SteVariant = SteVariant::Ewgs { lambda: 0.1 };
const CLIPPED: SteVariant = SteVariant::Clipped { clip_val: 0.5 };

/// Every weight once.
const READ: Traffic = Traffic::Read {
    one: |s, t| s.run([t.w], [], [], []),
    four: |s, t| {
        let (first, second) = t.w.split_at(t.w.len() / 2);
        let (a, b) = first.split_at(first.len() / 2);
        let (c, d) = second.split_at(second.len() / 2);
        s.run([a, b, c, d], [], [], []);
    },
};

/// All rows, in the order of the table.
pub const ROWS: [Row; 25] = [
    Row {
        name: "forward, codes + values",
        bytes: 9,
        ste: SteVariant::Standard,
        kernel: |q, t| q.forward_into(t.w, Some(t.codes), Some(t.values)).unwrap(),
        stream: Traffic::Written(|s, t| s.run([t.w], [], [t.values], [t.codes])),
    },
    Row {
        name: "forward, values",
        bytes: 8,
        ste: SteVariant::Standard,
        kernel: |q, t| q.forward_into(t.w, None, Some(t.values)).unwrap(),
        stream: Traffic::Written(|s, t| s.run([t.w], [], [t.values], [])),
    },
    Row {
        name: "forward, codes",
        bytes: 5,
        ste: SteVariant::Standard,
        kernel: |q, t| q.forward_into(t.w, Some(t.codes), None).unwrap(),
        stream: Traffic::Written(|s, t| s.run([t.w], [], [], [t.codes])),
    },
    Row {
        name: "backward, STANDARD",
        bytes: 8,
        ste: SteVariant::Standard,
        kernel: |q, t| q.backward_into(t.w, Some(t.values), t.grad_out, t.grad_w).unwrap(),
        stream: Traffic::Written(|s, t| s.run([t.grad_out], [], [t.grad_w], [])),
    },
    Row {
        name: "backward, LEARNED_STEP_SIZE",
        bytes: 8,
        ste: SteVariant::LearnedStepSize,
        kernel: |q, t| q.backward_into(t.w, Some(t.values), t.grad_out, t.grad_w).unwrap(),
        stream: Traffic::Written(|s, t| s.run([t.grad_out], [], [t.grad_w], [])),
    },
    Row {
        name: "backward, CLIPPED",
        bytes: 12,
        ste: CLIPPED,
        kernel: |q, t| q.backward_into(t.w, Some(t.values), t.grad_out, t.grad_w).unwrap(),
        stream: Traffic::Written(|s, t| s.run([t.w, t.grad_out], [], [t.grad_w], [])),
    },
    Row {
        name: "backward, EWGS",
        bytes: 16,
        ste: EWGS,
        kernel: |q, t| q.backward_into(t.w, Some(t.values), t.grad_out, t.grad_w).unwrap(),
        stream: Traffic::Written(|s, t| s.run([t.w, t.values, t.grad_out], [], [t.grad_w], [])),
    },
    Row {
        name: "backward, RANGE_CLIPPED",
        bytes: 12,
        ste: SteVariant::RangeClipped,
        kernel: |q, t| q.backward_into(t.w, None, t.grad_out, t.grad_w).unwrap(),
        stream: Traffic::Written(|s, t| s.run([t.w, t.grad_out], [], [t.grad_w], [])),
    },
    Row {
        name: "backward, LSQ",
        bytes: 12,
        ste: SteVariant::Lsq,
        kernel: |q, t| q.backward_into(t.w, None, t.grad_out, t.grad_w).unwrap(),
        stream: Traffic::Written(|s, t| s.run([t.w, t.grad_out], [], [t.grad_w], [])),
    },
    Row {
        name: "backward_scale, LSQ",
        bytes: 12,
        ste: SteVariant::Lsq,
        kernel: backward_scale,
        stream: Traffic::Written(|s, t| s.run([t.w, t.grad_out], [], [t.grad_w], [])),
    },
    Row {
        name: "backward_scale, LEARNED_STEP_SIZE",
        bytes: 12,
        ste: SteVariant::LearnedStepSize,
        kernel: backward_scale,
        stream: Traffic::Written(|s, t| s.run([t.w, t.grad_out], [], [t.grad_w], [])),
    },
    Row {
        name: "backward_scale, EWGS",
        bytes: 12,
        ste: EWGS,
        kernel: backward_scale,
        stream: Traffic::Written(|s, t| s.run([t.w, t.grad_out], [], [t.grad_w], [])),
    },
    Row {
        name: "dequantize",
        bytes: 5,
        ste: SteVariant::Standard,
        kernel: |q, t| q.dequantize_into(t.codes, t.values).unwrap(),
        stream: Traffic::Written(|s, t| s.run([], [t.codes], [t.values], [])),
    },
    Row {
        name: "init_scale",
        bytes: 4,
        ste: SteVariant::Standard,
        kernel: |q, t| q.init_scale(t.w).unwrap(),
        stream: READ,
    },
    Row {
        name: "observe, MIN_MAX",
        bytes: 4,
        ste: SteVariant::Standard,
        kernel: |_, t| Observer::new(ObserverKind::MinMax).unwrap().observe(t.w).unwrap(),
        stream: READ,
    },
    Row {
        name: "observe, HISTOGRAM",
        bytes: 4,
        ste: SteVariant::Standard,
        kernel: |_, t| Observer::new(ObserverKind::Histogram).unwrap().observe(t.w).unwrap(),
        stream: READ,
    },
    Row {
        name: "rotation, rows of 4096",
        bytes: 8,
        ste: SteVariant::Standard,
        kernel: |_, t| rotate(t.values),
        stream: Traffic::Written(|s, t| s.run([t.w], [], [t.values], [])),
    },
    Row {
        name: "forward, codes + values, f16",
        bytes: 5,
        ste: SteVariant::Standard,
        kernel: forward_halves::<f16>,
        stream: Traffic::Written(|s, t| s.run([t.halves.w], [], [t.halves.values], [t.codes])),
    },
    Row {
        name: "backward_scale, LSQ, f16",
        bytes: 6,
        ste: SteVariant::Lsq,
        kernel: backward_scale_halves::<f16>,
        stream: Traffic::Written(|s, t| s.run([t.halves.w, t.halves.grad_out], [], [t.halves.grad_w], [])),
    },
    Row {
        name: "dequantize, f16",
        bytes: 3,
        ste: SteVariant::Standard,
        kernel: dequantize_halves::<f16>,
        stream: Traffic::Written(|s, t| s.run([], [t.codes], [t.halves.values], [])),
    },
    Row {
        name: "forward, codes + values, bf16",
        bytes: 5,
        ste: SteVariant::Standard,
        kernel: forward_halves::<bf16>,
        stream: Traffic::Written(|s, t| s.run([t.halves.w], [], [t.halves.values], [t.codes])),
    },
    Row {
        name: "backward_scale, LSQ, bf16",
        bytes: 6,
        ste: SteVariant::Lsq,
        kernel: backward_scale_halves::<bf16>,
        stream: Traffic::Written(|s, t| s.run([t.halves.w, t.halves.grad_out], [], [t.halves.grad_w], [])),
    },
    Row {
        name: "dequantize, bf16",
        bytes: 3,
        ste: SteVariant::Standard,
        kernel: dequantize_halves::<bf16>,
        stream: Traffic::Written(|s, t| s.run([], [t.codes], [t.halves.values], [])),
    },
    Row {
        name: "division alone",
        bytes: 8,
        ste: SteVariant::Standard,
        kernel: |q, t| divide(t.w, q.scale(), t.values),
        stream: Traffic::Written(|s, t| s.run([t.w], [], [t.values], [])),
    },
    Row {
        name: "memcpy",
        bytes: 8,
        ste: SteVariant::Standard,
        kernel: |_, t| t.values.copy_from_slice(t.w),
        stream: Traffic::Written(|s, t| s.run([t.w], [], [t.values], [])),
    },
];

fn backward_scale(q: &mut UniformQuantizer, t: &mut Tensors<'_>) {
    let groups = q.scales().len();
    q.backward_scale_into(t.w, t.grad_out, Some(t.grad_w), &mut t.grad_scale[..groups]).unwrap();
}

/// Rotates rows of 4096 in place, or one shorter row.
fn rotate(x: &mut [f32]) {
    static ROTATIONS: [OnceLock<Rotation>; 13] = [const { OnceLock::new() }; 13];
    let length = x.len().min(4096);
    let rotation =
        ROTATIONS[length.ilog2() as usize].get_or_init(|| Rotation::new(length, 1).expect("memory for a row"));
    rotation.apply(x).expect("sizes are powers of two");
}

/// Bits as the numbers of a 16-bit type.
trait Half: Element {
    fn of(bits: &mut [u16]) -> &mut [Self];
}

impl Half for f16 {
    fn of(bits: &mut [u16]) -> &mut [f16] {
        bits.reinterpret_cast_mut()
    }
}

impl Half for bf16 {
    fn of(bits: &mut [u16]) -> &mut [bf16] {
        bits.reinterpret_cast_mut()
    }
}

fn forward_halves<T: Half>(q: &mut UniformQuantizer, t: &mut Tensors<'_>) {
    q.forward_typed(T::of(t.halves.w), Some(t.codes), Some(T::of(t.halves.values))).unwrap();
}

fn backward_scale_halves<T: Half>(q: &mut UniformQuantizer, t: &mut Tensors<'_>) {
    let Halves { w, grad_out, grad_w, .. } = &mut t.halves;
    let grad_scale = &mut t.grad_scale[..q.scales().len()];
    q.backward_scale_typed(T::of(w), T::of(grad_out), Some(T::of(grad_w)), grad_scale).unwrap();
}

fn dequantize_halves<T: Half>(q: &mut UniformQuantizer, t: &mut Tensors<'_>) {
    q.dequantize_typed(t.codes, T::of(t.halves.values)).unwrap();
}

impl Row {
    /// A 4-bit quantizer with the row's estimator, its one scale from `w`.
    pub fn quantizer(&self, w: &[f32]) -> UniformQuantizer {
        let mut quantizer = UniformQuantizer::new(4, self.ste).expect("4 bits are valid");
        quantizer.init_scale(w).expect("the weights are finite");
        quantizer
    }

    /// The same with a scale for each channel, or each block, of a shape.
    pub fn shaped(&self, w: &[f32], granularity: QuantGranularity, shape: &[usize], axis: usize) -> UniformQuantizer {
        let mut quantizer = self.quantizer(w);
        quantizer.set_granularity(granularity).expect("blocks are not empty");
        quantizer.set_shape(shape, axis).expect("the shape is that of w");
        quantizer.init_scale(w).expect("the weights are finite");
        quantizer
    }

    fn streams(&self) -> Vec<Side<'static>> {
        let mut sides = Vec::new();
        for stream in Stream::available() {
            let (regular, run) = (stream.stores() == Stores::Regular, black_box(&self.stream));
            let (kind, run) = match *run {
                Traffic::Written(run) => (if regular { "" } else { " nt" }, run),
                Traffic::Read { one, .. } if regular => ("", one),
                Traffic::Read { four, .. } => (" x4", four),
            };
            let name = format!("{}{kind}", stream.width());
            sides.push(Side::new(name, move |tensors| run(black_box(stream), black_box(tensors))));
        }
        sides
    }

    /// The stream that most often is the fastest where no cache holds the tensors.
    pub fn fastest_from_memory(&self) -> impl Fn(&mut Tensors<'_>) + Copy + Sync + use<> {
        let non_temporal = |stream: &Stream| stream.stores() == Stores::NonTemporal;
        let stream = Stream::available().into_iter().find(non_temporal).unwrap_or(Stream::available()[0]);
        let (Traffic::Written(run) | Traffic::Read { four: run, .. }) = self.stream;
        move |tensors| run(black_box(stream), tensors)
    }

    /// Measures the row at one size.
    pub fn measure(&self, session: &mut Session<'_>, n: usize, time: Duration) {
        let mut quantizer = self.quantizer(session.memory.first(n).w);
        let mut sides =
            vec![Side::new("kernel", |tensors| (self.kernel)(black_box(&mut quantizer), black_box(tensors)))];
        sides.extend(self.streams());
        session.contest(Kind::Stream, self.name, n, time, sides);
    }
}
