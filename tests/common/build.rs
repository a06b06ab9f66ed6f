//! C programs, built against the shared library that cargo put beside the test programs.

use super::{ROOT, TMP, run};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

const SONAME: &str = concat!("libdiffquant.so.", env!("CARGO_PKG_VERSION_MAJOR"));

const STRICT: [&str; 10] = [
    "-std=c11",
    "-Wall",
    "-Wextra",
    "-Wpedantic",
    "-Wundef",
    "-Wshadow",
    "-Wconversion",
    "-Wstrict-prototypes",
    "-Wmissing-prototypes",
    "-Werror",
];

/// What instruments a program with the address and undefined-behaviour sanitizers.
pub const SANITIZERS: [&str; 3] =
    ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer"];

/// An empty directory of this test program's own.
pub fn scratch(name: &str) -> PathBuf {
    let dir = Path::new(TMP).join(env!("CARGO_CRATE_NAME")).join(name);
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).unwrap();
    dir
}

/// Where the C sources are.
pub fn c_tests() -> PathBuf {
    Path::new(ROOT).join("c_tests")
}

/// The compiler that `CC` or the system names, told everything that a build script would have told it.
pub fn compiler(opt_level: u32) -> Command {
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let mut build = cc::Build::new();
    build.cargo_metadata(false).target(&target).host(&target).opt_level(opt_level).debug(true);
    let mut compiler = build.get_compiler().to_command();
    compiler.args(STRICT).arg("-I").arg(Path::new(ROOT).join("include")).arg("-I").arg(c_tests());
    compiler
}

/// A directory in which the linker finds the library as `-ldiffquant`, and the loader under its soname.
pub fn library_dir() -> &'static Path {
    static DIR: OnceLock<PathBuf> = OnceLock::new();
    DIR.get_or_init(|| {
        let library = std::env::current_exe().unwrap().with_file_name("libdiffquant.so");
        assert!(library.is_file(), "{} is missing", library.display());
        let dir = scratch("lib");
        for name in ["libdiffquant.so", SONAME] {
            symlink(&library, dir.join(name)).unwrap();
        }
        dir
    })
}

/// Links objects, or compiles sources, into a program that uses the library.
pub fn link(objects: &[PathBuf], program: &Path, flags: &[&str]) {
    let dir = library_dir();
    let mut linker = compiler(1);
    linker.args(objects).args(flags).arg("-L").arg(dir).arg(format!("-Wl,-rpath,{}", dir.display()));
    run(linker.args(["-ldiffquant", "-lm", "-lpthread", "-ldl", "-o"]).arg(program));
}
