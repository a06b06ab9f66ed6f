//! The choice of an instruction set: by call, by environment, and what the processor lacks.

#![allow(unsafe_code)]

#[path = "common/program.rs"]
mod program;

use diffquant::capi::isa::*;
use diffquant::capi::status::*;
use std::ffi::CStr;

fn name() -> String {
    // SAFETY: the library's string lives as long as the library.
    unsafe { CStr::from_ptr(diffquant_isa_name()) }.to_str().expect("a name is UTF-8").to_owned()
}

/// One test, because the choice is the process's.
#[test]
fn an_instruction_set_is_followed_or_refused_and_a_refusal_keeps_the_old_one() {
    let baseline = if cfg!(target_arch = "aarch64") { "neon" } else { "baseline" };
    assert_eq!(diffquant_set_isa(DIFFQUANT_ISA_FASTEST), DIFFQUANT_STATUS_OK);
    let fastest = name();
    // `make test` runs this on an emulated processor too, and says what that one must come to.
    if let Ok(expected) = std::env::var("DIFFQUANT_EXPECTED_ISA") {
        assert_eq!(fastest, expected);
    }

    assert_eq!(diffquant_set_isa(DIFFQUANT_ISA_BASELINE), DIFFQUANT_STATUS_OK);
    assert_eq!(name(), baseline);
    let mut followed = vec![name()];
    for (constant, its_name) in
        [(DIFFQUANT_ISA_NEON, "neon"), (DIFFQUANT_ISA_AVX2, "avx2"), (DIFFQUANT_ISA_AVX512, "avx512")]
    {
        let before = name();
        match diffquant_set_isa(constant) {
            DIFFQUANT_STATUS_OK => {
                assert_eq!(name(), its_name);
                followed.push(name());
            }
            status => {
                assert_eq!(status, DIFFQUANT_STATUS_UNSUPPORTED, "{its_name}");
                assert_eq!(name(), before);
            }
        }
    }
    assert_eq!(followed.last(), Some(&fastest), "the fastest is the last that was followed: {followed:?}");
    for unknown in [5, 99, u32::MAX] {
        assert_eq!(diffquant_set_isa(unknown), DIFFQUANT_STATUS_UNKNOWN_CONSTANT);
        assert_eq!(name(), fastest);
    }
}

/// What a new process comes to: this test program again, with the variable set, printing its instruction set.
fn name_in_a_process_with(value: &str) -> String {
    let output = program::program(std::env::current_exe().expect("a test is a program"))
        .args(["--exact", "print_the_name", "--nocapture"])
        .env("DIFFQUANT_ISA", value)
        .env("DIFFQUANT_PRINT_ISA", "1")
        .output()
        .expect("a test program starts");
    let printed = String::from_utf8(output.stdout).expect("a name is UTF-8");
    let line = printed.lines().find_map(|line| line.split_once("isa: "));
    line.unwrap_or_else(|| panic!("no name in {printed}")).1.to_owned()
}

/// Says what this process comes to, for the test below.
#[test]
fn print_the_name() {
    if std::env::var_os("DIFFQUANT_PRINT_ISA").is_some() {
        println!("isa: {}", name());
    }
}

#[test]
fn the_environment_chooses_unless_it_makes_no_sense() {
    let fastest = name_in_a_process_with("");
    let baseline = if cfg!(target_arch = "aarch64") { "neon" } else { "baseline" };
    assert_eq!(name_in_a_process_with("baseline"), baseline);
    assert_eq!(name_in_a_process_with("no such thing"), fastest);
    if fastest == "avx512" {
        assert_eq!(name_in_a_process_with("avx2"), "avx2");
    }
    if fastest == "neon" {
        assert_eq!(name_in_a_process_with("neon"), "neon");
    }
}
