//! The committed header is what the source says, compiles everywhere a C or C++ user would include it, and lists exactly
//! what the library exports.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn header() -> String {
    std::fs::read_to_string(root().join("include/diffquant.h")).expect("include/diffquant.h is committed")
}

#[test]
fn the_committed_header_is_what_cbindgen_makes_of_the_source() {
    let mut made = Vec::new();
    cbindgen::generate(root()).expect("cbindgen reads the crate").write(&mut made);
    let made = String::from_utf8(made).expect("the header is UTF-8");
    let path = root().join("include/diffquant.h");
    if std::env::var_os("DIFFQUANT_BLESS").is_some() {
        std::fs::write(&path, &made).expect("the header can be written");
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    if committed != made {
        let line = committed.lines().zip(made.lines()).position(|(old, new)| old != new);
        panic!("include/diffquant.h is stale from line {line:?} on; run DIFFQUANT_BLESS=1 cargo test --test header");
    }
}

/// Compiles a file that includes only `include` with warnings as errors.
fn compile(compiler: &str, language: &str, standard: &str, include: &str) {
    let source = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("include_{}", include.replace('.', "_")));
    std::fs::write(&source, format!("#include <{include}>\n#include <{include}>\nint main(void) {{ return 0; }}\n"))
        .expect("the target directory is writable");
    let flags = ["-Wall", "-Wextra", "-Wpedantic", "-Wundef", "-Werror", "-fsyntax-only"];
    let output = Command::new(compiler)
        .args(flags)
        .arg(format!("-std={standard}"))
        .arg("-I")
        .arg(root().join("include"))
        .args(["-x", language])
        .arg(&source)
        .output()
        .unwrap_or_else(|error| panic!("{compiler} does not start ({error}); `make test` installs it"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{compiler} -std={standard} on {include}:\n{errors}");
}

/// gcc always, clang when this machine has it.
fn compilers() -> Vec<(&'static str, &'static str)> {
    let mut all = vec![("gcc", "g++")];
    if Command::new("clang").arg("--version").output().is_ok_and(|output| output.status.success()) {
        all.push(("clang", "clang++"));
    } else {
        println!("clang is not installed: gcc alone was tried");
    }
    all
}

#[test]
fn the_c_header_compiles_without_a_warning_in_every_standard() {
    for (c, cxx) in compilers() {
        for standard in ["c99", "c11", "c17", "c2x"] {
            compile(c, "c", standard, "diffquant.h");
        }
        for standard in ["c++11", "c++14", "c++17", "c++20"] {
            compile(cxx, "c++", standard, "diffquant.h");
        }
    }
}

/// Every `diffquant_*` name that the header follows with a parenthesis at its start of a declaration.
fn declared() -> BTreeSet<String> {
    let header = header();
    let code: String = strip_comments(&header);
    let mut names = BTreeSet::new();
    for (at, _) in code.match_indices("diffquant_") {
        let name: String = code[at..].chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
        if code[at + name.len()..].starts_with('(') {
            names.insert(name);
        }
    }
    names
}

fn strip_comments(source: &str) -> String {
    let mut code = String::new();
    let mut rest = source;
    while let Some(start) = rest.find("/*") {
        code.push_str(&rest[..start]);
        let end = rest[start..].find("*/").expect("comments end") + start + 2;
        rest = &rest[end..];
    }
    code + rest
}

#[test]
fn the_library_exports_exactly_the_functions_of_the_header() {
    // Cargo puts the shared library beside the test programs.
    let library = std::env::current_exe().unwrap().with_file_name("libdiffquant.so");
    let output = Command::new("nm").args(["-D", "--defined-only"]).arg(&library).output().expect("nm starts");
    assert!(output.status.success(), "nm {}: {}", library.display(), String::from_utf8_lossy(&output.stderr));
    let symbols = String::from_utf8(output.stdout).unwrap();
    let exported: BTreeSet<String> =
        symbols.lines().filter_map(|line| line.split_whitespace().last()).map(str::to_owned).collect();
    assert!(exported.len() > 60, "nm printed only {exported:?}");
    assert_eq!(exported, declared());
}

#[test]
fn every_function_of_the_header_documents_itself() {
    let header = header();
    for name in declared() {
        let at = header.find(&format!("{name}(")).map(|at| {
            // The declaration, not a mention in a comment.
            header.match_indices(&format!("{name}(")).find(|(at, _)| !in_comment(&header, *at)).map_or(at, |(at, _)| at)
        });
        let before = &header[..at.unwrap()];
        let comment = before.trim_end_matches(|c: char| c != ';' && c != '/').trim_end();
        assert!(comment.ends_with("*/"), "{name} has no comment");
    }
}

fn in_comment(source: &str, at: usize) -> bool {
    let before = &source[..at];
    before.rfind("/*") > before.rfind("*/")
}
