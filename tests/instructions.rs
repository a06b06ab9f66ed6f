//! The instructions of every kernel, counted by callgrind, against those that `tests/instructions.txt` records.
//!
//! Times vary from run to run and from machine to machine; these counts repeat exactly, so a few per cent more show
//! here that no benchmark would. They say nothing about memory and latencies: whether fewer of them are faster,
//! `make bench` says. Kernels are the rows of a table in `c_tests/instructions.c`, which calls the release library
//! through its C ABI.
//!
//! Two figures for each kernel and instruction set:
//! - instructions per element: the difference of two lengths, so that what a call costs anyway cancels out;
//! - instructions of a call with one element, the few of the calling C program among them.
//!
//! AVX-512 is not counted, as valgrind does not know it.

#![cfg(all(target_os = "linux", target_env = "gnu"))]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::symlink;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::process::Command;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const TMP: &str = env!("CARGO_TARGET_TMPDIR");
const SONAME: &str = concat!("libdiffquant.so.", env!("CARGO_PKG_VERSION_MAJOR"));

/// Whole blocks and whole channels, and in the caches of any machine: what large outputs do is not counted here.
const LENGTHS: [usize; 2] = [8192, 16384];

/// How far a figure may be from the recorded one, as a part of it.
const MARGIN: f64 = 0.05;
/// The same with tools that the table was not written with: their choices are not ours, but this much would be odd.
const MARGIN_OF_OTHER_TOOLS: f64 = 0.25;

/// Calls of forward that calibrating symmetric scales by squared error may cost, where vectors are wide. Of groups of fewer weights, more is
/// chance, and more steps may be the best.
const MOST_FORWARDS_OF_MSE: [(&str, f64); 12] = [
    ("init-scale-mse-2-bits", 40.0),
    ("init-scale-mse", 40.0),
    ("init-scale-mse-8-bits", 40.0),
    ("mse-asymmetric", 40.0),
    ("mse-asymmetric-2-bits", 41.0),
    ("mse-asymmetric-8-bits", 70.0),
    ("mse-groups-of-1024-2-bits", 40.0),
    ("mse-groups-of-1024-4-bits", 40.0),
    ("mse-groups-of-1024-8-bits", 40.0),
    ("mse-groups-of-128-2-bits", 55.0),
    ("mse-groups-of-128-4-bits", 55.0),
    ("mse-groups-of-128-8-bits", 110.0),
];

/// Weights of calls for which that is checked.
const WEIGHTS_OF_MSE: [usize; 2] = [4096, 16384];

const BLESS: &str = "DIFFQUANT_BLESS=1 cargo test --test instructions";

// ---- Running things -------------------------------------------------------------------------------------------------

/// Runs a command that must succeed; gives its standard output.
fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| match error.kind() {
        ErrorKind::NotFound => panic!("{:?} is not there: `make test` installs it first", command.get_program()),
        _ => panic!("{command:?}: {error}"),
    });
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{stdout}\n{stderr}", output.status);
    stdout
}

/// Says something even when the test passes: what `eprintln` prints would then be kept back.
fn say(text: &str) {
    std::io::stderr().write_all(format!("\ninstructions: {text}\n").as_bytes()).unwrap();
}

/// The library as users build it. `tests/package.rs` lets CMake give the same command, so it is built once for both.
fn release_library() -> PathBuf {
    let target = Path::new(TMP).with_file_name("cmake").join("cargo");
    let mut cargo = Command::new(env!("CARGO"));
    // What would build other code than users get, or elsewhere.
    for variable in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_RUSTFLAGS", "CARGO_BUILD_TARGET"] {
        cargo.env_remove(variable);
    }
    cargo.env_remove("LD_LIBRARY_PATH").current_dir(ROOT);
    cargo.args(["rustc", "--locked", "--lib", "--crate-type", "cdylib", "--crate-type", "staticlib"]);
    run(cargo.args(["--profile", "release", "--target-dir"]).arg(&target));
    target.join("release/libdiffquant.so")
}

/// What made the code that is counted: the compiler and, as calls copy and allocate, the C library.
fn tools() -> [String; 2] {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let rustc = run(Command::new(rustc).arg("--version").current_dir(ROOT));
    [rustc, run(command("getconf").arg("GNU_LIBC_VERSION"))].map(|version| version.trim().to_owned())
}

/// Builds `c_tests/instructions.c` in a directory of its own.
fn program() -> PathBuf {
    let dir = Path::new(TMP).join("instructions");
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).unwrap();
    let library = dir.join(SONAME); // what the loader looks for
    symlink(release_library(), &library).unwrap();

    let program = dir.join("instructions");
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let mut build = cc::Build::new();
    build.cargo_metadata(false).target(&target).host(&target).opt_level(2).debug(true);
    let mut compiler = build.get_compiler().to_command();
    compiler.args(["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wmissing-prototypes", "-Werror"]);
    compiler.arg("-I").arg(Path::new(ROOT).join("include")).arg(Path::new(ROOT).join("c_tests/instructions.c"));
    run(compiler.arg(&library).arg(format!("-Wl,-rpath,{}", dir.display())).arg("-o").arg(&program));
    program
}

/// A command that sees no environment, which could choose another library or move the stack.
fn command(program: impl AsRef<Path>) -> Command {
    let mut command = Command::new(program.as_ref());
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command
}

// ---- Counting -------------------------------------------------------------------------------------------------------

/// A kernel on an instruction set.
type Line = (String, String);

/// Instructions per element, and of a call with one element.
type Figures = [f64; 2];
const UNITS: [&str; 2] = ["instructions per element", "instructions of a call with one element"];

/// The instruction sets to count, and those that this machine lacks.
fn instruction_sets() -> (Vec<&'static str>, Vec<&'static str>) {
    #[cfg(target_arch = "x86_64")]
    if std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma") {
        return (vec!["baseline", "avx2"], vec![]);
    }
    (vec!["baseline"], vec!["avx2"])
}

fn figures(program: &Path, kernel: &str, isa: &str) -> Figures {
    let [one, short, long] = totals(program, kernel, isa, [1, LENGTHS[0], LENGTHS[1]]);
    assert!(0.0 < one && one < short && short < long, "{kernel}, {isa}: callgrind counted {one}, {short}, {long}");
    [(long - short) / (LENGTHS[1] - LENGTHS[0]) as f64, one]
}

/// Instructions of a call with each of some lengths.
fn totals<const N: usize>(program: &Path, kernel: &str, isa: &str, lengths: [usize; N]) -> [f64; N] {
    let counts = program.with_file_name(format!("{kernel}.{isa}.callgrind"));
    let mut valgrind = command("valgrind");
    // What the function `counted` does is collected, and put down at the end of each of its calls.
    valgrind.args(["--quiet", "--tool=callgrind", "--toggle-collect=counted", "--dump-after=counted"]);
    valgrind.arg("--combine-dumps=yes").arg(format!("--callgrind-out-file={}", counts.display()));
    valgrind.arg(program).arg(kernel).args(lengths.map(|length| length.to_string()));
    let used = run(valgrind.env("DIFFQUANT_ISA", isa));
    assert_eq!(used.trim(), isa, "{kernel} ran on another instruction set than the one asked for");

    let text = fs::read_to_string(&counts).unwrap();
    let totals = text.lines().filter_map(|line| line.strip_prefix("totals: "));
    let totals: Vec<f64> = totals.map(|total| total.parse().unwrap()).collect();
    // The last total is of what came after the last call.
    let Some((0.0, totals)) = totals.split_last().map(|(last, totals)| (*last, totals)) else {
        panic!("{kernel}, {isa}: callgrind counted {totals:?}")
    };
    totals.try_into().unwrap_or_else(|_| panic!("{kernel}, {isa}: callgrind counted {totals:?}"))
}

/// Counts every kernel, each instruction set in a thread of its own.
fn count(program: &Path, kernels: &[&str], isas: &[&str]) -> BTreeMap<Line, Figures> {
    std::thread::scope(|scope| {
        let count = |isa: &str| -> Vec<(Line, Figures)> {
            let one = |kernel: &&str| ((kernel.to_string(), isa.to_owned()), figures(program, kernel, isa));
            kernels.iter().map(one).collect()
        };
        let threads: Vec<_> = isas.iter().map(|isa| scope.spawn(move || count(isa))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic))).collect()
    })
}

// ---- The table ------------------------------------------------------------------------------------------------------

/// What was counted once, and with which [`tools`].
#[derive(Debug, PartialEq)]
struct Table {
    tools: [String; 2],
    lines: BTreeMap<Line, Figures>,
}

impl Table {
    fn path() -> PathBuf {
        Path::new(ROOT).join("tests/instructions.txt")
    }

    fn parse(text: &str) -> Table {
        let mut lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        let tools = [lines.next(), lines.next()].map(|tool| tool.unwrap_or_default().to_owned());
        let lines = lines.map(|line| match line.split_whitespace().collect::<Vec<_>>()[..] {
            [kernel, isa, per_element, one_call] => {
                let number = |word: &str| word.parse().unwrap_or_else(|error| panic!("{line:?}: {error}"));
                ((kernel.to_owned(), isa.to_owned()), [number(per_element), number(one_call)])
            }
            _ => panic!("not a line of tests/instructions.txt: {line:?}"),
        });
        Table { tools, lines: lines.collect() }
    }

    fn text(&self) -> String {
        let mut text = String::from("# What tests/instructions.rs counted. It is written by:\n");
        writeln!(text, "# {BLESS}\n\n{}\n", self.tools.join("\n")).unwrap();
        writeln!(text, "{:<34}{:<10}{:>12}{:>12}", "# kernel", "isa", "per element", "one call").unwrap();
        for ((kernel, isa), [per_element, one_call]) in &self.lines {
            writeln!(text, "{kernel:<34}{isa:<10}{per_element:>12.3}{one_call:>12}").unwrap();
        }
        text
    }

    /// How far each figure may be from the recorded one: the C library works once a call, not for each element.
    fn margins(&self, counted: &Table) -> Figures {
        let margin = |same| if same { MARGIN } else { MARGIN_OF_OTHER_TOOLS };
        [margin(self.tools[0] == counted.tools[0]), margin(self.tools == counted.tools)]
    }

    /// Everything about `counted` that is not as the table says, in words; lines of instruction sets that this machine
    /// lacks are left aside.
    fn differences(&self, counted: &Table, lacking: &[&str]) -> Vec<String> {
        let margins = self.margins(counted);
        let mut differences = Vec::new();
        let lines = self.lines.keys().filter(|(_, isa)| !lacking.contains(&isa.as_str()));
        for line @ (kernel, isa) in lines.chain(counted.lines.keys()).collect::<BTreeSet<_>>() {
            let (Some(old), Some(new)) = (self.lines.get(line), counted.lines.get(line)) else {
                let place = if self.lines.contains_key(line) { "only in the table" } else { "not in the table" };
                differences.push(format!("{kernel}, {isa}: {place}"));
                continue;
            };
            for i in 0..2 {
                let change = new[i] / old[i] - 1.0;
                if change.abs() > margins[i] {
                    let (percent, unit) = (100.0 * change, UNITS[i]);
                    let [old, new] = [old[i], new[i]].map(|figure| format!("{figure:.3}").replace(".000", ""));
                    differences.push(format!("{kernel}, {isa}: {new} {unit}, recorded were {old} ({percent:+.1} %)"));
                }
            }
        }
        differences
    }
}

// ---- The tests ------------------------------------------------------------------------------------------------------

#[test]
fn kernels_take_the_recorded_number_of_instructions() {
    if !cfg!(target_arch = "x86_64") {
        return say("the table is for x86-64: NOT CHECKED here");
    }
    let (isas, lacking) = instruction_sets();
    if !lacking.is_empty() {
        say(&format!("this processor lacks {lacking:?}: NOT CHECKED"));
    }
    let program = program();
    let list = run(command(&program).arg("list"));
    let kernels: Vec<_> = list.lines().collect();
    assert_eq!(kernels.iter().collect::<BTreeSet<_>>().len(), kernels.len(), "two kernels of one name: {kernels:?}");
    let counted = Table { tools: tools(), lines: count(&program, &kernels, &isas) };
    println!("{}", counted.text());
    for isa in &isas {
        let of = |kernel: &str| counted.lines[&(kernel.to_owned(), isa.to_string())][0];
        for mse in ["init-scale-mse-blocks-of-32", "mse-groups-of-32-2-bits", "mse-groups-of-32-8-bits"] {
            println!("{mse}, {isa}: {:.1} times forward", of(mse) / of("forward"));
        }
        for (mse, most) in MOST_FORWARDS_OF_MSE {
            for (length, total) in WEIGHTS_OF_MSE.into_iter().zip(totals(&program, mse, isa, WEIGHTS_OF_MSE)) {
                let forwards = total / length as f64 / of("forward");
                println!("{mse}, {length} weights, {isa}: {forwards:.1} times forward");
                // What a few groups cost is chance.
                let within = forwards <= most || mse.starts_with("mse-groups") && length < LENGTHS[1];
                assert!(*isa == "baseline" || within, "{mse}, {length} weights, {isa}: {forwards:.1} times forward");
            }
        }
    }

    if std::env::var_os("DIFFQUANT_BLESS").is_some() {
        assert!(lacking.is_empty(), "the table is written where all of it can be counted: {lacking:?} cannot");
        fs::write(Table::path(), counted.text()).unwrap();
    }
    let text = fs::read_to_string(Table::path());
    let table = Table::parse(&text.unwrap_or_else(|error| panic!("{}: {error}: {BLESS}", Table::path().display())));
    for (i, margin) in table.margins(&counted).into_iter().enumerate().filter(|(_, margin)| *margin != MARGIN) {
        let (theirs, ours, percent) = (table.tools.join(", "), counted.tools.join(", "), 100.0 * margin);
        say(&format!("THE TABLE IS OF {theirs}, THIS IS {ours}: {percent} % more or less {} pass", UNITS[i]));
    }
    let differences = table.differences(&counted, &lacking);
    assert!(
        differences.is_empty(),
        "\n{}\nIf this is meant, record it, also where it is less: {BLESS}\n",
        differences.join("\n")
    );
}

#[test]
fn a_change_is_reported_when_it_is_beyond_the_margin() {
    let table = |rustc: &str, glibc: &str, lines: &[(&str, &str, Figures)]| {
        let line = |&(kernel, isa, figures): &(&str, &str, _)| ((kernel.to_owned(), isa.to_owned()), figures);
        Table { tools: [rustc.to_owned(), glibc.to_owned()], lines: lines.iter().map(line).collect() }
    };
    let old = table("rustc 1", "glibc 1", &[("a", "baseline", [2.0, 100.0]), ("a", "avx2", [1.0, 200.0])]);
    assert_eq!(Table::parse(&old.text()), old);

    let differences = |rustc, glibc, baseline, avx2| {
        old.differences(&table(rustc, glibc, &[("a", "baseline", baseline), ("a", "avx2", avx2)]), &[])
    };
    assert_eq!(differences("rustc 1", "glibc 1", [2.099, 104.0], [0.951, 191.0]), [""; 0]);
    let both_ways = [
        "a, avx2: 0.945 instructions per element, recorded were 1 (-5.5 %)",
        "a, baseline: 106 instructions of a call with one element, recorded were 100 (+6.0 %)",
    ];
    assert_eq!(differences("rustc 1", "glibc 1", [2.0, 106.0], [0.945, 200.0]), both_ways);
    assert_eq!(differences("rustc 1", "glibc 2", [2.0, 106.0], [0.945, 200.0]), both_ways[..1]);
    assert_eq!(differences("rustc 2", "glibc 1", [2.0, 106.0], [0.945, 200.0]), [""; 0]);
    let beyond = ["a, baseline: 2.520 instructions per element, recorded were 2 (+26.0 %)"];
    assert_eq!(differences("rustc 2", "glibc 2", [2.52, 100.0], [1.0, 200.0]), beyond);

    let other = table("rustc 1", "glibc 1", &[("b", "baseline", [1.0, 1.0])]);
    let in_one = ["a, avx2: only in the table", "a, baseline: only in the table", "b, baseline: not in the table"];
    assert_eq!(old.differences(&other, &[]), in_one);
    assert_eq!(old.differences(&other, &["avx2"]), in_one[1..]);
}
