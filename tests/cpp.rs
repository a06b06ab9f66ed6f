//! `include/diffquant.hpp`: it reaches all of the C header, compiles without a warning in every standard from C++17 on,
//! keeps its promises (`c_tests/cpp`), under the sanitizers too, and does not let misuse compile.
//!
//! g++ compiles everything; clang++ does too where this machine has it.

#![cfg(target_os = "linux")]

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const TMP: &str = env!("CARGO_TARGET_TMPDIR");
const VERSION: &str = env!("CARGO_PKG_VERSION");
const STANDARDS: [&str; 3] = ["c++17", "c++20", "c++2b"];
const WARNINGS: [&str; 10] = [
    "-Wall",
    "-Wextra",
    "-Wpedantic",
    "-Wshadow",
    "-Wconversion",
    "-Wsign-conversion",
    "-Wundef",
    "-Wnon-virtual-dtor",
    "-Wold-style-cast",
    "-Werror",
];

// ---- Helpers --------------------------------------------------------------------------------------------------------

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(ROOT).join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// What remains of C or C++ when the comments are gone.
fn without_comments(source: &str) -> String {
    let mut code = String::new();
    let mut rest = source;
    while let Some(start) = rest.find('/') {
        let (before, comment) = rest.split_at(start);
        code.push_str(before);
        rest = if comment.starts_with("//") {
            comment.find('\n').map_or("", |end| &comment[end..])
        } else if comment.starts_with("/*") {
            &comment[comment.find("*/").expect("comments end") + 2..]
        } else {
            code.push('/');
            &comment[1..]
        };
    }
    code + rest
}

fn identifiers(code: &str) -> impl Iterator<Item = &str> {
    code.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
}

fn output(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| {
        panic!("{:?} does not start ({error}); `make test` installs what is missing", command.get_program())
    })
}

fn compilers() -> Vec<&'static str> {
    let has_clang = Command::new("clang++").arg("--version").output().is_ok_and(|output| output.status.success());
    if has_clang { vec!["g++", "clang++"] } else { vec!["g++"] }
}

fn compiler(name: &str, standard: &str, flags: &[&str]) -> Command {
    let mut compiler = Command::new(name);
    compiler.arg(format!("-std={standard}")).args(WARNINGS).args(flags).arg("-I").arg(Path::new(ROOT).join("include"));
    compiler
}

/// A directory with the library that cargo put beside this test, under the names that linker and loader look for.
fn library_dir() -> &'static Path {
    static DIR: OnceLock<PathBuf> = OnceLock::new();
    DIR.get_or_init(|| {
        let library = std::env::current_exe().unwrap().with_file_name("libdiffquant.so");
        assert!(library.is_file(), "{} is missing", library.display());
        let dir = Path::new(TMP).join("cpp/lib");
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        for name in ["libdiffquant.so", concat!("libdiffquant.so.", env!("CARGO_PKG_VERSION_MAJOR"))] {
            symlink(&library, dir.join(name)).unwrap();
        }
        dir
    })
}

/// Compiles the sources into one program, runs it, and gives what it printed.
fn build_and_run(name: &str, standard: &str, flags: &[&str], sources: &[impl AsRef<str>]) -> String {
    let file = [&[name, standard], flags, &[sources[0].as_ref()]].concat().join("_").replace('/', "-");
    let program = Path::new(TMP).join("cpp").join(file);
    let mut compile = compiler(name, standard, flags);
    compile.args(sources.iter().map(|source| Path::new(ROOT).join(source.as_ref())));
    compile.arg("-o").arg(&program).arg("-L").arg(library_dir()).arg("-ldiffquant");
    let compiled = output(&mut compile);
    assert!(compiled.status.success(), "{compile:?}:\n{}", String::from_utf8_lossy(&compiled.stderr));

    let mut run = Command::new(&program);
    run.env("LD_LIBRARY_PATH", library_dir()).env("ASAN_OPTIONS", "detect_leaks=1");
    let ran = output(&mut run);
    assert!(ran.status.success(), "{compile:?}\n{}:\n{}", ran.status, String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).unwrap()
}

/// The sources of the tests, `c_tests/cpp/*.cpp`, found by their names.
fn cpp_tests() -> Vec<String> {
    let entries = fs::read_dir(Path::new(ROOT).join("c_tests/cpp")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut sources: Vec<_> =
        names.filter(|name| name.ends_with(".cpp")).map(|name| format!("c_tests/cpp/{name}")).collect();
    sources.sort();
    assert!(sources.len() > 5, "{sources:?}");
    sources
}

fn run_the_tests(name: &str, standard: &str, flags: &[&str]) {
    let printed = build_and_run(name, standard, flags, &cpp_tests());
    let count =
        printed.strip_prefix(&format!("diffquant {VERSION}: ")).and_then(|rest| rest.strip_suffix(" tests passed\n"));
    let count: u32 = count.and_then(|count| count.parse().ok()).unwrap_or_else(|| panic!("it printed {printed:?}"));
    assert!(count > 40, "{printed}");
}

// ---- The text -------------------------------------------------------------------------------------------------------

#[test]
fn every_function_and_constant_of_the_c_header_is_used() {
    let c_header = without_comments(&read("include/diffquant.h"));
    let is_function = |name: &&str| name.starts_with("diffquant_") && c_header.contains(&format!("{name}("));
    let is_constant = |name: &&str| name.starts_with("DIFFQUANT_") && c_header.contains(&format!("#define {name} "));
    let functions: BTreeSet<&str> = identifiers(&c_header).filter(is_function).collect();
    let constants: BTreeSet<&str> = identifiers(&c_header).filter(is_constant).collect();
    assert!(functions.len() > 60 && constants.len() > 30, "{functions:?} {constants:?}");

    let header = without_comments(&read("include/diffquant.hpp"));
    let used: BTreeSet<&str> = identifiers(&header).collect();
    let missing: Vec<_> = functions.union(&constants).filter(|name| !used.contains(*name)).collect();
    assert!(missing.is_empty(), "diffquant.hpp has no way to {missing:?}");
}

/// `CodeRange` as `CODE_RANGE`.
fn upper_snake(name: &str) -> String {
    let mut snake = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.push(c.to_ascii_uppercase());
    }
    snake
}

#[test]
fn every_enumerator_has_the_name_of_its_constant() {
    let header = without_comments(&read("include/diffquant.hpp"));
    let mut checked = 0;
    for (class, body) in header.split("enum class ").skip(1).map(|text| text.split_once(" : diffquant_").unwrap()) {
        let body = &body[..body.find("};").unwrap()];
        for (enumerator, constant) in
            body.lines().filter_map(|line| line.trim().trim_end_matches(',').split_once(" = "))
        {
            let name = constant.strip_prefix(&format!("DIFFQUANT_{}_", upper_snake(class)));
            let name = name.unwrap_or_else(|| panic!("{constant} in {class}"));
            assert_eq!(enumerator.to_uppercase(), name.replace('_', ""), "{class}");
            checked += 1;
        }
    }
    assert!(checked > 30, "{checked} enumerators were found");
}

#[test]
fn the_header_defines_no_macro_but_its_guard() {
    let header = without_comments(&read("include/diffquant.hpp"));
    let macros: Vec<_> = header.lines().filter(|line| line.trim_start().starts_with("#define")).collect();
    assert_eq!(macros, ["#define DIFFQUANT_HPP"]);
}

// ---- The promises ---------------------------------------------------------------------------------------------------

#[test]
fn it_keeps_its_promises_in_every_standard() {
    for name in compilers() {
        for standard in STANDARDS {
            run_the_tests(name, standard, &["-O2"]);
        }
    }
}

#[test]
fn it_keeps_its_promises_without_rtti() {
    for name in compilers() {
        run_the_tests(name, "c++17", &["-fno-rtti"]);
    }
}

#[test]
fn it_keeps_its_promises_under_the_sanitizers() {
    for standard in STANDARDS {
        run_the_tests("g++", standard, &["-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]);
    }
}

#[test]
fn the_example_trains() {
    let printed = build_and_run("g++", "c++17", &["-O2", "-ffp-contract=off"], &["examples/cpp/fit_linear.cpp"]);
    let losses: Vec<f64> = printed.lines().filter_map(|line| line.split("loss ").nth(1)?.parse().ok()).collect();
    assert_eq!(losses.len(), 14, "{printed}");
    assert!(losses[13] < losses[7] / 100.0, "{printed}");
}

// ---- What must not compile ------------------------------------------------------------------------------------------

/// What is right, what is wrong, and a word of the error that g++ must give for it.
const MISUSES: [(&str, &str, &str); 12] = [
    ("Quantizer other(quantizer.clone());", "Quantizer other(quantizer);", "use of deleted function"),
    ("quantizer = Quantizer::pi(3, 4);", "quantizer = shared;", "use of deleted function"),
    ("Config other = config.clone();", "Config other = config;", "use of deleted function"),
    ("Config other; other.set_bits(3);", "Config other = Config().set_bits(3);", "use of deleted function"),
    ("Quantizer other(config);", "Quantizer other = config;", "conversion from"),
    ("(void)quantizer.clone();", "quantizer.clone();", "nodiscard"),
    ("quantizer.set_scale(0, 1.0f);", "shared.set_scale(0, 1.0f);", "discards qualifiers"),
    (
        "const diffquant_quantizer *handle = shared.native_handle(); (void)handle;",
        "diffquant_quantizer *handle = shared.native_handle(); (void)handle;",
        "invalid conversion from",
    ),
    (
        "shared.forward(fixed, std::nullopt, floats);",
        "shared.forward(floats, std::nullopt, fixed);",
        "no matching function",
    ),
    ("shared.dequantize(codes, floats);", "shared.dequantize(codes, fixed);", "no matching function"),
    ("shared.dequantize(codes, floats);", "shared.dequantize(codes, Floats(2));", "no matching function"),
    ("shared.scales(floats);", "shared.scales(doubles);", "no matching function"),
];

/// Compiles each line as a function of its own, among the same declarations; gives what the compiler complained of.
fn compile_lines(name: &str, lines: &[&str]) -> Result<(), String> {
    let mut program = String::from(
        "#include <diffquant.hpp>\n\
         using diffquant::Config;\n\
         using diffquant::Quantizer;\n\
         using Floats = std::vector<float>;\n\
         struct Objects {\n\
         \x20   Quantizer quantizer = Quantizer::uniform(3);\n\
         \x20   const Quantizer shared = Quantizer::uniform(3);\n\
         \x20   Config config;\n\
         \x20   Floats floats;\n\
         \x20   const Floats fixed;\n\
         \x20   std::vector<double> doubles;\n\
         \x20   std::vector<std::int8_t> codes;\n",
    );
    for (i, line) in lines.iter().enumerate() {
        program += &format!("    void line_{i}() {{ {line} }}\n");
    }
    program += "};\n";
    let source = Path::new(TMP).join("cpp").join(format!("{name}.cpp"));
    fs::create_dir_all(source.parent().unwrap()).unwrap();
    fs::write(&source, program).unwrap();
    let compiled = output(compiler("g++", "c++17", &["-fsyntax-only"]).env("LC_ALL", "C").arg(&source));
    if compiled.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&compiled.stderr).into_owned()) }
}

#[test]
fn misuse_does_not_compile() {
    let right = MISUSES.map(|(right, _, _)| right);
    compile_lines("right", &right).unwrap_or_else(|errors| panic!("the right lines do not compile:\n{errors}"));
    for (right, wrong, words) in MISUSES {
        let errors = compile_lines("wrong", &[wrong]).expect_err(&format!("this compiles: {wrong}"));
        assert!(errors.contains(words), "{wrong} (instead of {right}) gave another error than {words:?}:\n{errors}");
    }
}
