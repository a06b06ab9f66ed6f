//! C programs, built against the shared library that cargo put beside the test programs.

use super::{ROOT, TMP, command, run};
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

/// A run of a program under memcheck. Blocks that are still reachable at the end count as leaks, too: the library keeps
/// none, but for the one that `c_tests/valgrind.supp` explains.
pub fn valgrind(program: &Path) -> Command {
    let mut valgrind = command("valgrind");
    valgrind.args(["--quiet", "--error-exitcode=99", "--leak-check=full"]);
    valgrind.args(["--show-leak-kinds=all", "--errors-for-leak-kinds=all"]);
    valgrind.arg(format!("--suppressions={}", c_tests().join("valgrind.supp").display())).arg(program);
    valgrind
}

/// A run under helgrind, which finds data races. It does not know atomic operations.
pub fn helgrind(program: &Path) -> Command {
    let mut helgrind = command("valgrind");
    helgrind.args(["--quiet", "--tool=helgrind", "--error-exitcode=99"]).arg(program);
    helgrind
}

/// A run of a program built with [`SANITIZERS`].
pub fn sanitized(program: &Path) -> Command {
    let mut run = command(program);
    // Requests for more than there is are among the tests: they get NULL, as from any allocator.
    run.env("ASAN_OPTIONS", "allocator_may_return_null=1:detect_leaks=1:detect_stack_use_after_return=1");
    run
}

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
