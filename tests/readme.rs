//! The README's commands and programs, as a reader would copy them.

#![cfg(target_os = "linux")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn readme() -> String {
    fs::read_to_string(Path::new(ROOT).join("README.md")).expect("README.md is there")
}

/// The one fenced block of a language.
fn block(language: &str) -> String {
    let readme = readme();
    let fence = format!("\n```{language}\n");
    let mut blocks = readme.split(&fence).skip(1);
    let block = blocks.next().unwrap_or_else(|| panic!("README.md has no block of {language}"));
    assert!(blocks.next().is_none(), "README.md has two blocks of {language}: which is meant?");
    block.split("\n```").next().expect("a block ends").to_owned() + "\n"
}

fn scratch(name: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("readme").join(name);
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).expect("the target directory is writable");
    dir
}

/// Runs a shell command of the README in the project's directory.
fn shell(command: &str) -> String {
    let mut shell = Command::new("sh");
    shell.args(["-ec", command]).current_dir(ROOT);
    for variable in ["MAKEFLAGS", "MAKELEVEL", "MFLAGS", "DESTDIR", "LD_LIBRARY_PATH"] {
        shell.env_remove(variable);
    }
    let output = shell.output().expect("sh starts");
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{command}\n{stdout}{}", String::from_utf8_lossy(&output.stderr));
    stdout
}

/// Asserts that the README says `command`, and gives it with a reader's choices made.
fn command(command: &str, choices: &[(&str, &str)]) -> String {
    assert!(readme().contains(command), "README.md no longer says: {command}");
    choices.iter().fold(command.to_owned(), |command, (from, to)| command.replace(from, to))
}

/// Builds the README's project against an installation and runs it.
fn example_project_works(prefix: &Path, name: &str) {
    let project = scratch(name);
    fs::write(project.join("CMakeLists.txt"), block("cmake")).expect("a file can be written");
    fs::write(project.join("main.c"), block("c")).expect("a file can be written");
    let (project, prefix) = (project.display(), prefix.display());
    shell(&format!(
        "cmake -S {project} -B {project}/build -DCMAKE_PREFIX_PATH={prefix} -DCMAKE_C_FLAGS='-Wall -Wextra -Werror'
         cmake --build {project}/build"
    ));
    let printed = shell(&format!("{project}/build/example"));
    // Row 1: scale 1.4 / 3.5 = 0.4; row 2: scale 0.07 / 3.5 = 0.02.
    let codes: Vec<&str> =
        printed.lines().filter_map(|line| line.split("code ").nth(1)).map(|rest| &rest[..2]).collect();
    assert_eq!(codes, [" 2", "-1", " 0", "-4", " 1", " 3", "-4", " 1"], "{printed}");
    assert!(printed.contains("gradients of the scales: "), "{printed}");
}

#[test]
fn make_install_and_the_example_project_work() {
    let prefix = scratch("make-install").join("prefix");
    shell(&command("make install PREFIX=/usr/local", &[("/usr/local", &prefix.display().to_string())]));
    example_project_works(&prefix, "after-make-install");
}

#[test]
fn the_plain_cmake_commands_and_the_example_project_work() {
    let dir = scratch("cmake-install");
    let build = dir.join("build").display().to_string();
    let install = command(
        "cmake -S . -B build && cmake --build build && cmake --install build --prefix /usr/local",
        &[("-B build", &format!("-B {build}")), ("--build build", &format!("--build {build}"))],
    );
    let install =
        install.replace("--install build --prefix /usr/local", &format!("--install {build} --prefix {build}/p"));
    // Built by the other test already: a reader's first build takes longer, and does the same.
    let built = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("cmake").join("cargo");
    let cached = format!("-B {build} -DDIFFQUANT_CARGO_TARGET_DIR={}", built.display());
    shell(&install.replace(&format!("-B {build}"), &cached));
    example_project_works(&Path::new(&build).join("p"), "after-cmake-install");
}

#[test]
fn the_example_is_short() {
    let lines = block("c").lines().filter(|line| !line.trim().is_empty()).count();
    assert!(lines <= 30, "the example has {lines} lines");
}
