//! The library can be loaded and unloaded a thousand times, with calls and threads of its own in between, and leaves
//! nothing behind: `c_tests/unload.c`.

#![cfg(all(target_os = "linux", target_env = "gnu"))]

mod common;

use common::build::{c_tests, compiler, library_dir, scratch};
use common::{built, run};

#[test]
fn a_thousand_times_loaded_called_and_unloaded() {
    let program = scratch("program").join("unload");
    // Not linked with the library: it is to be loaded by dlopen alone. `__typeof__` is no ISO C.
    let flags = ["-Wno-pedantic", "-o"];
    run(compiler(1).args(flags).arg(&program).arg(c_tests().join("unload.c")).args(["-lpthread", "-ldl"]));
    let stdout = run(built(&program).arg(library_dir().join("libdiffquant.so")));
    print!("{stdout}");
    assert!(stdout.contains("loaded 1000 times"), "{stdout}");
}
