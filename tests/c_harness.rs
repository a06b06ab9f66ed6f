//! The C ABI as a C program meets it: builds the harness in `c_tests`, runs it, and runs it again under valgrind and
//! the sanitizers.
//!
//! What is promised, and checked with numbers, stands in `c_tests/test_*.c`. Here is what runs it, and what makes sure
//! that nothing is left out: every test of every file runs, and every function of the header succeeds and is refused in
//! each way that its comment names.

#![cfg(all(target_os = "linux", target_env = "gnu"))]

mod common;

use common::build::{SANITIZERS, c_tests, compiler, helgrind, link, sanitized, scratch, valgrind};
use common::header::{Export, constants, exports, header, without_comments};
use common::{VERSION, built, output, run};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Far fewer checks than there are mean that a loop did not run.
const FEWEST_CHECKS: u64 = 500_000;

// ---- Sources --------------------------------------------------------------------------------------------------------

/// The files `c_tests/test_*.c`, found by their names, and what is in them without its comments.
fn test_files() -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(c_tests()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name.starts_with("test_") && name.ends_with(".c") {
            let source = fs::read_to_string(c_tests().join(&name)).unwrap();
            files.insert(name, without_comments(&source));
        }
    }
    files
}

/// The names in `TEST(name)` of a file. An unusual way to write one is refused, so that none can be overlooked.
fn tests_of(file: &str, code: &str) -> Vec<String> {
    let names: Vec<_> = code
        .lines()
        .filter_map(|line| line.strip_prefix("TEST(")?.strip_suffix(") {"))
        .filter(|name| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'))
        .map(str::to_owned)
        .collect();
    let written = code.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|word| *word == "TEST").count();
    assert_eq!(names.len(), written, "{file}: a test is a line `TEST(name) {{`; found only {names:?}");
    assert!(!names.is_empty(), "{file} has no test");
    names
}

/// The table that the driver runs.
fn registry(files: &BTreeMap<String, String>) -> String {
    let (mut declarations, mut rows) = (String::new(), String::new());
    for (file, code) in files {
        for name in tests_of(file, code) {
            writeln!(declarations, "void test_{name}(void);").unwrap();
            writeln!(rows, "    {{\"{file}\", \"{name}\", test_{name}}},").unwrap();
        }
    }
    rows.push_str("    {NULL, NULL, NULL},\n");
    format!("#include \"check.h\"\n\n{declarations}\nconst struct check_case check_cases[] = {{\n{rows}}};\n")
}

// ---- Building -------------------------------------------------------------------------------------------------------

/// Compiles every source of the harness into an object file each, in `dir`.
fn compile(dir: &Path, flags: &[&str]) -> Vec<PathBuf> {
    let files = test_files();
    assert!(files.len() > 10, "{files:?}");
    fs::write(dir.join("registry.c"), registry(&files)).unwrap();
    let tests = files.keys().map(String::as_str);
    let sources: Vec<_> = tests
        .chain(["main.c", "check.c", "support.c", "granular.c", "island.c", "alloc_probe_find.c"])
        .map(|name| c_tests().join(name))
        .collect();
    // NDEBUG, to which no check may listen.
    run(compiler(1).current_dir(dir).args(flags).args(["-DNDEBUG", "-c", "registry.c"]).args(&sources));
    let mut objects: Vec<_> =
        sources.iter().map(|source| dir.join(source.file_stem().unwrap()).with_extension("o")).collect();
    objects.push(dir.join("registry.o"));
    objects
}

/// The object files of the harness as users compile their programs.
fn objects() -> &'static [PathBuf] {
    static OBJECTS: OnceLock<Vec<PathBuf>> = OnceLock::new();
    OBJECTS.get_or_init(|| compile(&scratch("plain"), &[]))
}

fn harness() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let program = scratch("program").join("harness");
        link(objects(), &program, &[]);
        program
    })
}

/// The library that lets memory run out; see `c_tests/alloc_probe.c`.
fn alloc_probe() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let library = scratch("probe").join("alloc_probe.so");
        let flags = ["-shared", "-fPIC", "-ftls-model=initial-exec", "-fno-builtin", "-o"];
        run(compiler(1).args(flags).arg(&library).arg(c_tests().join("alloc_probe.c")));
        library
    })
}

/// A C file that stands between the harness and the library (by the linker's `--wrap`), and prints at the end which
/// function gave which status.
fn tracer(exports: &[Export]) -> String {
    let (mut names, mut wrappers) = (String::new(), String::new());
    for (i, Export { returns, name, parameters, arguments, .. }) in exports.iter().enumerate() {
        let (result, status, give_back) = match returns.as_str() {
            "void" => ("", "0", ""),
            "diffquant_status" => ("diffquant_status result = ", "result", "return result;"),
            "uint32_t" => ("uint32_t result = ", "0", "return result;"),
            _ => ("const char *result = ", "0", "return result;"),
        };
        writeln!(names, "    \"{name}\",").unwrap();
        write!(
            wrappers,
            "
{returns} __real_{name}({parameters});
{returns} __wrap_{name}({parameters});
{returns} __wrap_{name}({parameters}) {{
    {result}__real_{name}({arguments});
    note({i}, {status});
    {give_back}
}}
"
        )
        .unwrap();
    }
    let head = "#include \"diffquant.h\"\n\nstatic const char *const names[] = {\n";
    format!("{head}{names}}};\n\n#include \"tracer.h\"\n{wrappers}")
}

// ---- What the harness says ------------------------------------------------------------------------------------------

/// Tests run, tests skipped and checks made, from the harness's last line.
fn counts(stdout: &str) -> [u64; 3] {
    let line = stdout.lines().rev().find(|line| line.starts_with("diffquant ")).expect("the harness sums up");
    let words: Vec<_> = line.split([' ', ',', ':']).filter(|word| !word.is_empty()).collect();
    let ["diffquant", VERSION, tests, "tests", skipped, "skipped", checks, "checks", "0", "failed"] = words[..] else {
        panic!("the harness says {line:?}, of version {VERSION}")
    };
    [tests, skipped, checks].map(|number| number.parse().unwrap())
}

/// Whether a run did everything that there is to do, but for `skipped` tests; prints how much that was.
fn assert_complete(how: &str, stdout: &str, skipped: u64) {
    let files = test_files();
    let written: usize = files.iter().map(|(file, code)| tests_of(file, code).len()).sum();
    let [tests, skipped_tests, checks] = counts(stdout);
    println!("{how}: {checks} checks in {tests} tests of {} files, {skipped_tests} skipped", files.len());
    assert_eq!(tests, written as u64, "{stdout}");
    assert_eq!(skipped_tests, skipped, "{stdout}");
    assert!(checks >= FEWEST_CHECKS, "only {checks} checks:\n{stdout}");
}

/// Tests that need the allocator probe, which valgrind and the address sanitizer do not go with.
fn tests_with_probe() -> u64 {
    let code = test_files().into_values().collect::<String>();
    code.matches("alloc_probe_find()").count() as u64
}

// ---- The tests ------------------------------------------------------------------------------------------------------

#[test]
fn the_harness_passes_with_every_instruction_set() {
    // One that this machine lacks is as if none were asked for.
    let sets: &[&str] = if cfg!(target_arch = "aarch64") { &["", "neon"] } else { &["", "baseline", "avx2", "avx512"] };
    for isa in sets {
        let stdout = run(built(harness()).env("LD_PRELOAD", alloc_probe()).env("DIFFQUANT_ISA", isa));
        assert_complete(&format!("plain {isa}"), &stdout, 0);
    }
}

#[test]
fn the_harness_passes_under_valgrind_without_an_error_or_a_leak() {
    let stdout = run(&mut valgrind(harness()));
    assert_complete("valgrind", &stdout, tests_with_probe());
}

/// Those of the harness's tests that start threads of their own, with the library's const handles and with others. Rust's
/// own threads are left out: helgrind knows nothing of how they wait for each other.
#[test]
fn threads_that_share_a_quantizer_do_not_race() {
    for test in ["many_threads_on_one_const", "threads_with_objects", "each_thread_has_its_own"] {
        let stdout = run(helgrind(harness()).arg(test));
        assert_eq!(counts(&stdout)[..2], [1, 0], "{stdout}");
    }
}

#[test]
fn the_harness_passes_under_the_address_and_undefined_behaviour_sanitizers() {
    let dir = scratch("sanitized");
    let program = dir.join("harness");
    let objects = compile(&dir, &SANITIZERS);
    link(&objects, &program, &SANITIZERS);
    let stdout = run(&mut sanitized(&program));
    assert_complete("sanitizers", &stdout, tests_with_probe());
}

/// A harness of one test, after what comes `before` it, linked in `dir`.
fn harness_of_one(dir: &Path, name: &str, body: &str, before: &str, flags: &[&str]) -> PathBuf {
    let source = dir.join(format!("{name}.c"));
    let head = "#include \"check.h\"\n#include <stdlib.h>\n#include <string.h>\n";
    let table = format!("{{\"{name}.c\", \"{name}\", test_{name}}}, {{NULL, NULL, NULL}}");
    let code =
        format!("{head}{before}TEST({name}) {{ {body} }}\nconst struct check_case check_cases[] = {{{table}}};\n");
    fs::write(&source, code).unwrap();
    let program = dir.join(name);
    link(&[source, c_tests().join("main.c"), c_tests().join("check.c")], &program, flags);
    program
}

#[test]
fn a_check_that_fails_fails_the_harness_even_without_assertions() {
    let dir = scratch("failing");
    for (name, body, says) in [
        ("check", "CHECK(1 == 2);", "check.c:4: FAILED: 1 == 2"),
        ("required", "REQUIRE(1 == 2);", "required.c:4: FAILED: 1 == 2"),
        ("bits", "CHECK_FLOAT(-0.0f, 0.0f);", "bits.c:4: FAILED"),
        ("status", "CHECK_OK(diffquant_config_new(NULL));", "DIFFQUANT_STATUS_NULL_POINTER"),
        ("accepted", "CHECK_REFUSED(0, DIFFQUANT_STATUS_OVERLAP, \"w\");", "accepted.c:4: FAILED"),
        ("no_message", "CHECK_REFUSED(6, DIFFQUANT_STATUS_OVERLAP, \"w\");", "without a message"),
        ("word", "CHECK_REFUSED(diffquant_config_new(NULL), DIFFQUANT_STATUS_NULL_POINTER, \"w\");", "without naming"),
        ("nothing", "", "the test makes a check"),
    ] {
        let program = harness_of_one(&dir, name, body, "", &["-DNDEBUG", "-O2"]);
        let output = output(&mut built(&program));
        let stdout = String::from_utf8_lossy(&output.stdout);
        assert!(!output.status.success() && stdout.contains(says), "{name}:\n{stdout}");
    }
}

#[test]
fn the_tools_that_run_the_harness_find_what_they_are_run_for() {
    // The compiler: what it only warns about does not compile.
    let dir = scratch("faulty");
    fs::write(dir.join("warned.c"), "void f(int);\nvoid f(int unused) { unsigned char c = 300 + 1; }\n").unwrap();
    let refused = output(compiler(1).current_dir(&dir).args(["-c", "warned.c"]));
    let stderr = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && stderr.contains("unused") && stderr.contains("overflow"), "{stderr}");

    // Helgrind, which sees what two threads do.
    let race = "pthread_t t; CHECK(pthread_create(&t, NULL, count, NULL) == 0); counter++; \
                pthread_join(t, NULL); CHECK(counter == 2);";
    let before = "#include <pthread.h>\nstatic int counter; static void *count(void *p) { counter++; return p; }\n";
    let racing = harness_of_one(&dir, "race", race, before, &[]);
    let found = output(&mut helgrind(&racing));
    let stderr = String::from_utf8_lossy(&found.stderr);
    assert!(!found.status.success() && stderr.contains("Possible data race"), "{stderr}");

    // Valgrind, which sees into the library, and the sanitizers, which see the stack and arithmetic of C.
    let read_by_the_library = "float *w = calloc(8, 4); diffquant_quantizer *q = NULL; \
                               CHECK_OK(diffquant_quantizer_new_uniform(4, 0, 0.0f, &q)); \
                               diffquant_quantizer_init_scale(q, w, 9); diffquant_quantizer_free(q); free(w);";
    for (name, body, valgrind_says, sanitizers_say) in [
        (
            "leaked_handle",
            "diffquant_config *c = NULL; CHECK_OK(diffquant_config_new(&c));",
            Some("definitely lost"),
            Some("LeakSanitizer"),
        ),
        ("read_past_the_end", read_by_the_library, Some("Invalid read"), None),
        (
            "written_past_the_end",
            "char *p = calloc(8, 1); memset(p, 1, (size_t)atoi(\"9\")); CHECK(p[0] == 1); free(p);",
            Some("Invalid write"),
            Some("heap-buffer-overflow"),
        ),
        ("overflow", "volatile int i = INT32_MAX; i += 1; CHECK(i < 0);", None, Some("signed integer overflow")),
    ] {
        let find = |says: Option<&str>, run: &mut Command| {
            let Some(says) = says else { return };
            let output = output(run);
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert!(!output.status.success() && stderr.contains(says), "{name}: {run:?}: {stderr}");
        };
        find(valgrind_says, &mut valgrind(&harness_of_one(&dir, name, body, "", &[])));
        find(sanitizers_say, &mut sanitized(&harness_of_one(&dir, name, body, "", &SANITIZERS)));
    }
}

#[test]
fn every_function_and_constant_of_the_header_is_in_a_test_file() {
    let code = test_files().into_values().collect::<String>();
    let words: BTreeSet<_> = code.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
    let header = header();
    let functions = exports(&header).into_iter().map(|export| export.name);
    let names: Vec<_> = functions.chain(constants(&header).into_keys()).collect();
    assert!(names.len() > 100, "{names:?}");
    let missing: Vec<_> = names.iter().filter(|name| !words.contains(name.as_str())).collect();
    assert!(missing.is_empty(), "not in c_tests/test_*.c: {missing:?}");
}

#[test]
fn every_function_gives_each_status_that_its_comment_names_and_no_other() {
    let exports = exports(&header());
    let dir = scratch("traced");
    fs::write(dir.join("tracer.c"), tracer(&exports)).unwrap();
    run(compiler(1).current_dir(&dir).args(["-c", "tracer.c"]));
    let wraps: Vec<_> = exports.iter().map(|export| format!("-Wl,--wrap={}", export.name)).collect();
    let wraps: Vec<_> = wraps.iter().map(String::as_str).collect();
    let program = dir.join("harness");
    link(&objects().iter().cloned().chain([dir.join("tracer.o")]).collect::<Vec<_>>(), &program, &wraps);
    let stdout = run(built(&program).env("LD_PRELOAD", alloc_probe()));

    let mut seen: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for line in stdout.lines().filter_map(|line| line.strip_prefix("seen ")) {
        let (name, status) = line.split_once(" DIFFQUANT_STATUS_").expect(line);
        seen.entry(name).or_default().insert(status.to_owned());
    }
    println!("{} ways for {} functions to end", seen.values().map(BTreeSet::len).sum::<usize>(), seen.len());
    let mut wrong = String::new();
    for export in &exports {
        let seen = seen.remove(export.name.as_str()).unwrap_or_default();
        if export.returns != "diffquant_status" {
            if seen.is_empty() {
                writeln!(wrong, "{}: never called", export.name).unwrap();
            }
            continue;
        }
        for status in export.documented.difference(&seen) {
            writeln!(wrong, "{}: {status} is documented and was not seen", export.name).unwrap();
        }
        for status in seen.difference(&export.documented) {
            // The header's conventions promise these for every pointer and every handle of every function.
            if !["MISALIGNED", "INVALID_HANDLE"].contains(&status.as_str()) {
                writeln!(wrong, "{}: {status} was seen and is not documented", export.name).unwrap();
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}
