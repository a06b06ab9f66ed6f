//! The installed package, as a stranger meets it: built and installed by CMake, moved to another place, and then found
//! and used by the projects in `c_tests/consumer`, which check numbers.
//!
//! The library is built once, in release, where `make demo` builds it too; every test then has a directory of its own.
//! What the tests call (cmake, ninja, pkg-config, readelf, compilers) `make test` installs.

#![cfg(target_os = "linux")]

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

const VERSION: &str = env!("CARGO_PKG_VERSION");
const SONAME: &str = concat!("libdiffquant.so.", env!("CARGO_PKG_VERSION_MAJOR"));
const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const TMP: &str = env!("CARGO_TARGET_TMPDIR");

// ---- Helpers --------------------------------------------------------------------------------------------------------

/// A command that sees nothing of what cargo, make or a developer's shell has set for itself.
fn command(program: impl AsRef<Path>) -> Command {
    let mut command = Command::new(program.as_ref());
    for variable in ["LD_LIBRARY_PATH", "DESTDIR", "MAKEFLAGS", "MAKELEVEL", "MFLAGS", "PKG_CONFIG_PATH"] {
        command.env_remove(variable);
    }
    command
}

fn output(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| match error.kind() {
        ErrorKind::NotFound => panic!("{:?} is not there: `make test` installs it first", command.get_program()),
        _ => panic!("{command:?}: {error}"),
    })
}

/// Runs a command that must succeed; gives its standard output.
fn run(command: &mut Command) -> String {
    let output = output(command);
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{stdout}\n{stderr}", output.status);
    stdout
}

/// An empty directory for one test.
fn scratch(name: &str) -> PathBuf {
    let dir = Path::new(TMP).join("package").join(name);
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).unwrap();
    dir
}

/// Where `make` lets CMake let cargo build: what is built there is not built again here.
fn cargo_target_dir() -> PathBuf {
    Path::new(TMP).parent().unwrap().join("cmake/cargo")
}

fn cmake_configure(source: impl AsRef<Path>, build: &Path) -> Command {
    let mut cmake = command("cmake");
    cmake.arg("-S").arg(source.as_ref()).arg("-B").arg(build);
    cmake
}

fn cmake_build(build: &Path) {
    run(command("cmake").arg("--build").arg(build).args(["--parallel", "2"]));
}

fn configure_diffquant(build: &Path) -> Command {
    let mut cmake = cmake_configure(ROOT, build);
    cmake.arg(format!("-DDIFFQUANT_CARGO_TARGET_DIR={}", cargo_target_dir().display()));
    cmake
}

/// The prefix of a package that was installed, then moved away from where it was installed.
fn moved_prefix() -> &'static Path {
    static PREFIX: OnceLock<PathBuf> = OnceLock::new();
    PREFIX.get_or_init(|| {
        let dir = scratch("install");
        let build = dir.join("build");
        run(&mut configure_diffquant(&build));
        cmake_build(&build);
        run(command("cmake").arg("--install").arg(&build).arg("--prefix").arg(dir.join("prefix")));
        fs::rename(dir.join("prefix"), dir.join("moved")).unwrap();
        dir.join("moved")
    })
}

fn pkg_config(pkgconfigdir: &Path, flags: &[&str]) -> Vec<String> {
    let mut pkg_config = command("pkg-config");
    let words = run(pkg_config.env("PKG_CONFIG_PATH", pkgconfigdir).args(flags).arg("diffquant"));
    words.split_whitespace().map(String::from).collect()
}

fn consumer(path: &str) -> PathBuf {
    Path::new(ROOT).join("c_tests/consumer").join(path)
}

fn assert_runs(program: &Path) {
    assert_eq!(run(&mut command(program)), format!("diffquant {VERSION}: ok\n"), "{}", program.display());
}

/// The values of one tag (NEEDED, SONAME, RUNPATH) in a file's dynamic section.
fn dynamic(file: &Path, tag: &str) -> Vec<String> {
    let tag = format!("({tag})");
    let section = run(command("readelf").env("LC_ALL", "C").args(["--wide", "--dynamic"]).arg(file));
    let values = section.lines().filter(|line| line.contains(&tag));
    values.map(|line| line[line.find('[').unwrap() + 1..line.rfind(']').unwrap()].to_owned()).collect()
}

fn assert_needs(program: &Path, shared: bool) {
    let needed = dynamic(program, "NEEDED");
    assert!(needed.iter().all(|name| !name.contains('/')), "{}: {needed:?}", program.display());
    let ours: Vec<_> = needed.iter().filter(|name| name.contains("diffquant")).collect();
    assert_eq!(ours, if shared { vec![SONAME] } else { vec![] }, "{}: {needed:?}", program.display());
}

/// One program for each target of the package, built in `build`.
fn assert_programs_work(build: &Path) {
    for (target, shared) in [("shared", true), ("static", false), ("diffquant", true)] {
        let program = build.join(format!("use_{target}"));
        assert_runs(&program);
        assert_needs(&program, shared);
    }
}

fn files_below(dir: &Path) -> BTreeSet<String> {
    fn visit(root: &Path, dir: &Path, files: &mut BTreeSet<String>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                visit(root, &path, files);
            } else {
                files.insert(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    let mut files = BTreeSet::new();
    visit(dir, dir, &mut files);
    files
}

// ---- What is installed ----------------------------------------------------------------------------------------------

#[test]
fn an_installation_has_the_files_that_c_developers_expect_and_no_others() {
    let mut expected: BTreeSet<String> = [
        "include/diffquant.h",
        "include/diffquant.hpp",
        "lib/cmake/diffquant/diffquant-config-version.cmake",
        "lib/cmake/diffquant/diffquant-config.cmake",
        "lib/cmake/diffquant/diffquant-targets.cmake",
        "lib/libdiffquant.a",
        "lib/libdiffquant.so",
        "lib/pkgconfig/diffquant.pc",
        "share/licenses/diffquant/LICENSE-APACHE",
        "share/licenses/diffquant/LICENSE-MIT",
    ]
    .map(String::from)
    .into();
    expected.insert(format!("lib/{SONAME}"));
    expected.insert(format!("lib/libdiffquant.so.{VERSION}"));
    assert_eq!(files_below(moved_prefix()), expected);
}

#[test]
fn the_shared_library_has_a_versioned_name_and_links_to_it() {
    let lib = moved_prefix().join("lib");
    let library = lib.join(format!("libdiffquant.so.{VERSION}"));
    assert!(library.symlink_metadata().unwrap().is_file());
    for link in [SONAME, "libdiffquant.so"] {
        let target = lib.join(link).read_link().unwrap_or_else(|error| panic!("{link}: {error}"));
        assert_eq!(lib.join(&target).canonicalize().unwrap(), library.canonicalize().unwrap(), "{link}");
        assert!(target.is_relative(), "{link} -> {}", target.display());
    }
    assert_eq!(dynamic(&library, "SONAME"), [SONAME]);
    assert_eq!(dynamic(&library, "RUNPATH"), [""; 0]);
    assert_eq!(dynamic(&library, "RPATH"), [""; 0]);
    assert_needs(&library, false);
}

#[test]
fn what_cmake_and_pkg_config_read_names_no_place_of_the_build() {
    let files = files_below(moved_prefix());
    let texts: Vec<_> = files.iter().filter(|name| name.ends_with(".cmake") || name.ends_with(".pc")).collect();
    assert_eq!(texts.len(), 4);
    for name in texts {
        let text = fs::read_to_string(moved_prefix().join(name)).unwrap();
        for place in [ROOT, TMP, "/usr", "/home"] {
            assert!(!text.contains(place), "{name} names {place}:\n{text}");
        }
    }
}

#[test]
fn the_system_libraries_of_the_static_library_are_those_that_rustc_names() {
    // The answer does not depend on the profile, and this one is the quickest to build.
    let mut cargo = command(env!("CARGO"));
    cargo.args(["rustc", "--color", "never", "--locked", "--lib", "--crate-type", "staticlib"]);
    cargo.arg("--target-dir").arg(cargo_target_dir());
    let output = output(cargo.args(["--", "--print", "native-static-libs"]).current_dir(ROOT));
    let notes = String::from_utf8_lossy(&output.stderr);
    let answer = notes.lines().find_map(|line| line.strip_prefix("note: native-static-libs: "));
    let rustc: Vec<_> = answer.unwrap_or_else(|| panic!("no answer in:\n{notes}")).split_whitespace().collect();

    let flags = pkg_config(&moved_prefix().join("lib/pkgconfig"), &["--static", "--libs"]);
    let ours = flags.iter().position(|flag| flag == "-ldiffquant").unwrap();
    assert_eq!(flags[ours + 1..], rustc);
}

// ---- Finding it with CMake ------------------------------------------------------------------------------------------

fn build_with_cmake(language: &str, options: &[&str]) -> PathBuf {
    let build = scratch(&format!("cmake-{language}{}", options.concat()));
    let prefix = format!("-DCMAKE_PREFIX_PATH={}", moved_prefix().display());
    run(cmake_configure(consumer(language), &build).arg(prefix).args(options));
    cmake_build(&build);
    build
}

#[test]
fn a_c_project_finds_the_moved_package_with_cmake() {
    assert_programs_work(&build_with_cmake("c", &[]));
}

#[test]
fn a_cpp_project_finds_the_moved_package_with_cmake() {
    assert_programs_work(&build_with_cmake("cpp", &[]));
}

#[test]
fn a_project_chooses_which_library_the_plain_target_means() {
    for (options, shared) in [
        (&["-DDIFFQUANT_USE_STATIC_LIBS=ON"][..], false),
        (&["-DBUILD_SHARED_LIBS=OFF"], false),
        (&["-DBUILD_SHARED_LIBS=OFF", "-DDIFFQUANT_USE_STATIC_LIBS=OFF"], true),
    ] {
        let program = build_with_cmake("c", options).join("use_diffquant");
        assert_runs(&program);
        assert_needs(&program, shared);
    }
}

/// Asks a CMake project which of the requests (arguments of `find_package`) are granted.
fn granted<'a>(name: &str, prefix: &Path, requests: &[&'a str]) -> Vec<&'a str> {
    let dir = scratch(name);
    let mut script = String::from("cmake_minimum_required(VERSION 3.16)\nproject(requests LANGUAGES C)\n");
    for (i, request) in requests.iter().enumerate() {
        script += &format!("find_package(diffquant {request} QUIET)\nmessage(\"{i}: ${{diffquant_FOUND}}\")\n");
    }
    fs::write(dir.join("CMakeLists.txt"), script).unwrap();
    let mut cmake = cmake_configure(&dir, &dir.join("build"));
    let output = output(cmake.arg(format!("-DCMAKE_PREFIX_PATH={}", prefix.display())));
    let answers = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{answers}");
    let is_granted = |i: usize| {
        let answer = answers.lines().find_map(|line| line.strip_prefix(&format!("{i}: ")));
        answer.unwrap_or_else(|| panic!("no answer {i} in:\n{answers}")) == "1"
    };
    (0..requests.len()).filter(|&i| is_granted(i)).map(|i| requests[i]).collect()
}

#[test]
fn find_package_refuses_versions_that_it_is_not_compatible_with_and_components_that_it_does_not_have() {
    let numbers: Vec<u32> = VERSION.split('.').map(|number| number.parse().unwrap()).collect();
    let [major, minor, patch] = numbers[..] else { panic!("{VERSION}") };
    let good = [
        String::new(),
        format!("{major}.{minor}"),
        VERSION.to_owned(),
        format!("{VERSION} EXACT"),
        "COMPONENTS shared static".to_owned(),
    ];
    let mut bad = vec![
        format!("{major}.{minor}.{}", patch + 1),
        format!("{major}.{}", minor + 1),
        format!("{}.0", major + 1),
        "COMPONENTS cuda".to_owned(),
    ];
    if let (0, Some(earlier)) = (major, minor.checked_sub(1)) {
        bad.push(format!("0.{earlier}")); // below 1.0 each minor version is another interface
    }
    let good: Vec<_> = good.iter().map(String::as_str).collect();
    let requests: Vec<_> = bad.iter().map(String::as_str).chain(good.iter().copied()).collect();
    assert_eq!(granted("requests", moved_prefix(), &requests), good);
}

#[test]
fn find_package_grants_a_component_only_when_its_library_is_installed() {
    let prefix = scratch("shared-only");
    for name in files_below(moved_prefix()).iter().filter(|name| !name.ends_with(".a")) {
        fs::create_dir_all(prefix.join(name).parent().unwrap()).unwrap();
        symlink(moved_prefix().join(name), prefix.join(name)).unwrap();
    }
    let requests = ["", "COMPONENTS shared", "COMPONENTS static", "OPTIONAL_COMPONENTS static"];
    let expected = ["", "COMPONENTS shared", "OPTIONAL_COMPONENTS static"];
    assert_eq!(granted("shared-only-requests", &prefix, &requests), expected);
}

/// The MPI example, built as its reader would; gives the program.
fn mpi_example() -> PathBuf {
    let build = scratch("mpi");
    let prefix = format!("-DCMAKE_PREFIX_PATH={}", moved_prefix().display());
    let strict = "-DCMAKE_C_FLAGS=-Werror";
    run(cmake_configure(Path::new(ROOT).join("examples/mpi"), &build).args([&prefix, strict]));
    cmake_build(&build);
    build.join("train_digits_mpi")
}

fn mpirun(ranks: usize, program: &Path, options: &[&str]) -> Output {
    let mut mpirun = command(Path::new(ROOT).join("scripts/mpirun.sh"));
    mpirun.args(["-n", &ranks.to_string()]).arg(program).args(options).arg("--quick");
    output(mpirun.arg("examples/data/digits.csv").current_dir(ROOT))
}

#[test]
fn the_mpi_example_reaches_the_same_bits_on_any_number_of_ranks() {
    let program = mpi_example();
    let mut accuracies = BTreeSet::new();
    for ranks in [1, 2, 3, 4] {
        let output = mpirun(ranks, &program, &[]);
        let [printed, errors] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned());
        assert!(output.status.success(), "{ranks} ranks: {printed}{errors}");
        assert!(printed.contains("sums exact: every weight, bias and scale has the bits"), "{ranks} ranks: {printed}");
        let merged = if ranks == 1 { 0 } else { 2 };
        assert_eq!(printed.matches(": the text of one process").count(), merged, "{ranks} ranks: {printed}");
        let accuracy = printed.lines().find_map(|line| line.strip_prefix(&format!("{ranks} rank"))?.split_once(": "));
        accuracies.insert(accuracy.unwrap_or_else(|| panic!("{printed}")).1.trim().to_owned());
    }
    assert_eq!(accuracies.len(), 1, "{accuracies:?}");

    // That the comparison can tell: sums of f32 depend on who adds what.
    let output = mpirun(4, &program, &["--sum=f32"]);
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(printed.contains("differs from one process's by up to"), "{printed}");

    let output = mpirun(9, &program, &[]);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "a batch has work for 8 ranks");
    assert!(errors.contains("9 ranks: a batch of 32 images has work for 8"), "{errors}");
}

// ---- Finding it with pkg-config -------------------------------------------------------------------------------------

fn compile_with_pkg_config(language: &str, link_static: bool) {
    let (compiler, standard, source) = match language {
        "c" => ("cc", "-std=c99", "c/main.c"),
        _ => ("c++", "-std=c++17", "cpp/main.cpp"),
    };
    let kind = if link_static { "static" } else { "shared" };
    let program = scratch(&format!("pkg-config-{language}-{kind}")).join("program");
    let lib = moved_prefix().join("lib");
    let mut flags =
        pkg_config(&lib.join("pkgconfig"), if link_static { &["--static", "--libs"][..] } else { &["--libs"] });
    if link_static {
        // Both libraries are there, and -ldiffquant would take the shared one.
        let ours = flags.iter_mut().find(|flag| *flag == "-ldiffquant").unwrap();
        *ours = "-l:libdiffquant.a".to_owned();
    }
    let mut compile = command(compiler);
    compile.args([standard, "-Wall", "-Wextra", "-Werror", "-pedantic"]).arg(consumer(source)).arg("-o").arg(&program);
    run(compile.args(pkg_config(&lib.join("pkgconfig"), &["--cflags"])).args(flags));

    let mut program_command = command(&program);
    if !link_static {
        program_command.env("LD_LIBRARY_PATH", &lib);
    }
    assert_eq!(run(&mut program_command), format!("diffquant {VERSION}: ok\n"));
    assert_needs(&program, !link_static);
}

#[test]
fn a_c_program_is_built_with_pkg_config() {
    compile_with_pkg_config("c", false);
}

#[test]
fn a_c_program_is_built_with_pkg_config_static() {
    compile_with_pkg_config("c", true);
}

#[test]
fn a_cpp_program_is_built_with_pkg_config() {
    compile_with_pkg_config("cpp", false);
}

#[test]
fn a_cpp_program_is_built_with_pkg_config_static() {
    compile_with_pkg_config("cpp", true);
}

#[test]
fn pkg_config_gives_the_version() {
    assert_eq!(pkg_config(&moved_prefix().join("lib/pkgconfig"), &["--modversion"]), [VERSION]);
}

// ---- Other ways in --------------------------------------------------------------------------------------------------

#[test]
fn a_distribution_installs_below_destdir_into_a_library_directory_of_its_own() {
    moved_prefix(); // builds the library, once
    let dir = scratch("distribution");
    let mut configure = configure_diffquant(&dir.join("build"));
    run(configure.args(["-DCMAKE_INSTALL_PREFIX=/usr", "-DCMAKE_INSTALL_LIBDIR=lib/some-arch"]));
    cmake_build(&dir.join("build"));
    run(command("cmake").arg("--install").arg(dir.join("build")).env("DESTDIR", dir.join("root")));

    let lib = dir.join("root/usr/lib/some-arch");
    assert!(lib.join(SONAME).is_file());
    assert_eq!(pkg_config(&lib.join("pkgconfig"), &["--variable=prefix"]).len(), 1);
    let include = pkg_config(&lib.join("pkgconfig"), &["--variable=includedir"]).concat();
    assert!(Path::new(&include).join("diffquant.h").is_file(), "{include}");

    let build = dir.join("consumer");
    let config = format!("-Ddiffquant_DIR={}", lib.join("cmake/diffquant").display());
    run(cmake_configure(consumer("c"), &build).arg(config));
    cmake_build(&build);
    assert_programs_work(&build);
}

fn build_inside_another_project(generator: &str) {
    moved_prefix(); // builds the library, once
    let dir = scratch(&format!("subdirectory-{}", generator.replace(' ', "-")));
    let build = dir.join("build");
    let mut configure = cmake_configure(consumer("subdirectory"), &build);
    configure.args(["-G", generator, &format!("-DDIFFQUANT_SOURCE_DIR={ROOT}")]);
    run(configure.arg(format!("-DDIFFQUANT_CARGO_TARGET_DIR={}", cargo_target_dir().display())));
    cmake_build(&build);
    assert_programs_work(&build);

    let prefix = dir.join("prefix");
    run(command("cmake").arg("--install").arg(&build).arg("--prefix").arg(&prefix));
    assert_eq!(files_below(&prefix), ["bin/use_diffquant".to_owned()].into());
}

#[test]
fn another_project_builds_it_as_a_subdirectory_with_make_and_does_not_install_it() {
    build_inside_another_project("Unix Makefiles");
}

#[test]
fn another_project_builds_it_as_a_subdirectory_with_ninja_and_does_not_install_it() {
    build_inside_another_project("Ninja");
}
