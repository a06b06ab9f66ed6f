//! What was released stays: each header in `tests/abi` is that of a release, and a program built with it must go on
//! working with the library of today (until the soname changes, see CONTRIBUTING.md).
//!
//! Two readings. Of the headers' text: every function with its parameters, every constant with its number is still there.
//! Of what compilers make of them: libraries of stubs, built from the old and from the new header, are compared by
//! abidiff, which sees the sizes and the members of structs and what typedefs stand for. Additions pass.

#![cfg(all(target_os = "linux", target_env = "gnu"))]

mod common;

use common::build::{compiler, scratch};
use common::header::{Export, constants, exports, header};
use common::{ROOT, command, output, run};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

/// The header of each release.
fn releases() -> BTreeMap<String, String> {
    let entries = fs::read_dir(Path::new(ROOT).join("tests/abi")).unwrap().map(|entry| entry.unwrap());
    let releases: BTreeMap<String, String> = entries
        .map(|entry| {
            let name = entry.file_name().into_string().unwrap();
            (name, fs::read_to_string(entry.path().join("diffquant.h")).unwrap())
        })
        .collect();
    assert!(!releases.is_empty());
    releases
}

/// A function as a caller's compiler sees it: its types, without the names of its parameters.
fn signature(export: &Export) -> String {
    let types = export.parameters.split(',').map(|parameter| {
        let words = parameter.split_whitespace().collect::<Vec<_>>().join(" ");
        let name_start = words.rfind([' ', '*']).map_or(words.len(), |at| at + 1);
        if words == "void" { words } else { words[..name_start].trim().to_owned() }
    });
    format!("{} ({})", export.returns, types.collect::<Vec<_>>().join(", "))
}

/// What is no longer as it was, a line each.
fn broken(old: &str, new: &str) -> String {
    let mut broken = String::new();
    let signatures = |header: &str| -> BTreeMap<String, String> {
        exports(header).iter().map(|export| (export.name.clone(), signature(export))).collect()
    };
    let now = signatures(new);
    for (name, signature) in signatures(old) {
        if now.get(&name) != Some(&signature) {
            writeln!(broken, "{name}: was {signature}, is {:?}", now.get(&name)).unwrap();
        }
    }
    let now = constants(new);
    // A version is what changes from release to release.
    for (name, number) in constants(old).iter().filter(|(name, _)| !name.starts_with("DIFFQUANT_VERSION_")) {
        if now.get(name) != Some(number) {
            writeln!(broken, "{name}: was {number}, is {:?}", now.get(name)).unwrap();
        }
    }
    broken
}

/// A library of functions that do nothing, as a header declares them.
fn stubs(dir: &Path, name: &str, header: &str) -> PathBuf {
    let (source, library) = (dir.join(format!("{name}.c")), dir.join(format!("{name}.so")));
    let include = dir.join(name);
    fs::create_dir_all(&include).unwrap();
    fs::write(include.join("diffquant.h"), header).unwrap();
    let mut code = format!("#include \"{}\"\n", include.join("diffquant.h").display());
    for export in exports(header) {
        let body = if export.returns == "void" { "" } else { "return 0;" };
        writeln!(code, "{} {}({}) {{ {body} }}", export.returns, export.name, export.parameters).unwrap();
    }
    fs::write(&source, code).unwrap();
    let flags = ["-shared", "-fPIC", "-g", "-Wno-unused-parameter", "-o"];
    run(compiler(0).args(flags).arg(&library).arg(&source));
    library
}

/// What abidiff says of two libraries; nothing if the new one has all that the old one had.
fn difference(old: &Path, new: &Path) -> String {
    let output = output(command("abidiff").args(["--no-added-syms", "--no-show-locs"]).args([old, new]));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let code = output.status.code().unwrap_or(1);
    // The lowest two bits: abidiff itself failed.
    assert!(code & 3 == 0, "abidiff: {code}\n{text}{}", String::from_utf8_lossy(&output.stderr));
    if code == 0 { String::new() } else { text }
}

#[test]
fn what_was_released_is_still_there() {
    let dir = scratch("releases");
    let now = header();
    let library = stubs(&dir, "now", &now);
    for (release, old) in releases() {
        let broken = broken(&old, &now) + &difference(&stubs(&dir, &release, &old), &library);
        assert!(broken.is_empty(), "since {release}:\n{broken}");
    }
}

#[test]
fn a_change_that_is_not_an_addition_is_found() {
    let dir = scratch("changes");
    let header = header();
    let library = stubs(&dir, "now", &header);
    let added = header.replace(
        "const char *diffquant_isa_name(void);",
        "const char *diffquant_isa_name(void);\n\n/** New. */\nint32_t diffquant_added(void);",
    );
    let cases = [
        ("function", "diffquant_quantizer_bits(", "diffquant_quantizer_width(", true),
        ("parameter", "const float *grad_out,", "const double *grad_out,", true),
        ("constant", "#define DIFFQUANT_STE_LSQ 5", "#define DIFFQUANT_STE_LSQ 15", true),
        ("typedef", "typedef uint32_t diffquant_ste;", "typedef uint64_t diffquant_ste;", true),
        ("name", "const float *grad_out,", "const float *gradient,", false),
    ];
    for (name, from, to, breaks) in cases {
        let changed = header.replace(from, to);
        assert_ne!(changed, header, "{name}: {from} is not in the header");
        let found = broken(&header, &changed) + &difference(&library, &stubs(&dir, name, &changed));
        assert_eq!(!found.is_empty(), breaks, "{name}: {found}");
    }
    assert_ne!(added, header);
    assert_eq!(broken(&header, &added) + &difference(&library, &stubs(&dir, "added", &added)), "");
}
