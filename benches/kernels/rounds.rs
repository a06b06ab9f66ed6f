//! Rounds: a kernel and what it is compared with, in turn, so that both meet the same machine.
//!
//! On a shared machine the clock, the sibling core and the memory change from one second to the next; measuring one side
//! for a second and then the other compares two seconds. So a round times every side once, some 20 microseconds or one
//! call of each, and a figure is the median over rounds of the ratio *within* a round.
//!
//! criterion times one function at a time. What it offers for this is `iter_custom`: it asks for a number of iterations and
//! is told how long they took. Here an iteration is a round: criterion is told the kernel's time, and chooses the number
//! of rounds, prints its own statistics and compares with its last run; the times of all sides are kept here. Nothing
//! that criterion computes enters our tables.
//!
//! Each timed sample follows one untimed call of the same side, because the side before it may have left the caches
//! without this one's data: non-temporal stores evict the lines that they write.

use crate::figures::{Figure, Kind, Quartiles};
use crate::memory::{Memory, Tensors};
use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput};
use std::time::{Duration, Instant};

/// The least that a timed sample takes, so that reading the clock (some 25 ns) does not count.
const SAMPLE: Duration = Duration::from_micros(20);

/// Makes a call some number of times.
type Repeat<'a> = Box<dyn FnMut(&mut Tensors<'_>, u32) + 'a>;

/// One of the functions that take turns.
pub struct Side<'a> {
    name: String,
    repeat: Repeat<'a>,
    /// Calls in a timed sample; 0 before the first.
    calls: u32,
}

impl<'a> Side<'a> {
    /// A side that does `call`.
    pub fn new(name: impl Into<String>, mut call: impl FnMut(&mut Tensors<'_>) + 'a) -> Self {
        let repeat = Box::new(move |tensors: &mut Tensors<'_>, calls| (0..calls).for_each(|_| call(tensors)));
        Side { name: name.into(), repeat, calls: 0 }
    }

    fn time(&mut self, tensors: &mut Tensors<'_>, calls: u32) -> Duration {
        let start = Instant::now();
        (self.repeat)(tensors, calls);
        start.elapsed()
    }

    /// Nanoseconds per call.
    fn sample(&mut self, tensors: &mut Tensors<'_>) -> f64 {
        if self.calls == 0 {
            self.calls = 1;
            // The fastest of three: one that met cold caches would leave a sample of one short call.
            while (0..3).map(|_| self.time(tensors, self.calls)).min() < Some(SAMPLE) {
                self.calls *= 2;
            }
        }
        (self.repeat)(tensors, 1);
        self.time(tensors, self.calls).as_nanos() as f64 / f64::from(self.calls)
    }
}

/// The benchmark under way: criterion, the buffers, and the figures so far.
pub struct Session<'c> {
    pub criterion: &'c mut Criterion,
    pub memory: Memory,
    pub figures: Vec<Figure>,
}

impl Session<'_> {
    /// Lets the first side and its rivals take turns on tensors of `n` elements, for about as long as `time`.
    ///
    /// What the command line filters out, or only lists, makes no figure.
    pub fn contest(&mut self, kind: Kind, row: &str, n: usize, time: Duration, mut sides: Vec<Side<'_>>) {
        let mut tensors = self.memory.first(n);
        // Per side, its time in each round.
        let mut times = vec![Vec::new(); sides.len()];
        let mut group = self.criterion.benchmark_group(row);
        group.sampling_mode(SamplingMode::Flat).warm_up_time(time / 10).measurement_time(time);
        group.throughput(Throughput::Elements(n as u64));
        group.bench_function(BenchmarkId::from_parameter(n), |bencher| {
            bencher.iter_custom(|rounds| {
                let mut total = 0.0;
                for _ in 0..rounds {
                    for (side, times) in sides.iter_mut().zip(&mut times) {
                        times.push(side.sample(&mut tensors));
                    }
                    total += times[0].last().expect("a sample was just taken");
                }
                Duration::from_nanos(total as u64)
            });
        });
        group.finish();
        // The first round meets cold code and caches.
        if times[0].len() > 1 {
            let names: Vec<_> = sides.into_iter().map(|side| side.name).collect();
            let warm: Vec<_> = times.iter().map(|times| &times[1..]).collect();
            self.figures.push(figure(kind, row, n, &names, &warm));
        }
    }
}

/// What the times of a contest come to. The fastest rival, by its median, is the one that counts.
fn figure(kind: Kind, row: &str, n: usize, names: &[String], times: &[&[f64]]) -> Figure {
    let quartiles: Vec<_> = times.iter().map(|times| Quartiles::of(times.iter().copied())).collect();
    let rival = (1..times.len())
        .min_by(|&a, &b| quartiles[a].median.total_cmp(&quartiles[b].median))
        .expect("a contest has a rival");
    let pairs = || times[0].iter().zip(times[rival]);
    Figure {
        kind,
        row: row.to_owned(),
        n,
        rounds: times[0].len(),
        time: quartiles[0],
        rival: names[rival].clone(),
        rival_time: quartiles[rival],
        speed: Quartiles::of(pairs().map(|(own, rival)| rival / own)),
        excess: Quartiles::of(pairs().map(|(own, rival)| own - rival)),
        others: names.iter().zip(&quartiles).skip(1).map(|(name, time)| (name.clone(), time.median)).collect(),
    }
}
