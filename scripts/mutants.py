#!/usr/bin/env python3
"""Breaks the library on purpose, in one place at a time, and counts how often the tests notice.

    scripts/mutants.py [COUNT] [--seed SEED] [--under PATH...] [--only NUMBER...] [--jobs JOBS]

One build holds every mutant (see mutants/), and a variable wakes one. Each test runs once without a mutant, and tells which it comes by;
then COUNT mutants, 200 unless told otherwise, are drawn by SEED, from the files under PATH where some are named, but none that
mutants/same.txt lists. Of each the tests that come by it run, the quickest first, until one fails or takes too long, which kills the mutant.
Survivors are printed, and the share that was killed for each part of the source. It fails when that is less than 95 % of them all.

The loops in src/kernels are left out: each is compared with a plain oracle, over every length and, in part, every float.
"""

import argparse
import collections
import dataclasses
import hashlib
import json
import os
import pathlib
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

ROOT = pathlib.Path(__file__).resolve().parent.parent
WORK = ROOT / "target/mutants"
SAME = ROOT / "mutants/same.txt"
PLANTED, TREE, BUILD = WORK / "planted", WORK / "tree", WORK / "build"
PARTS = ["quantizer", "calibrate", "capi", "json", "layout.rs", "ste.rs", "config.rs", "rotation.rs"]
# Of cargo's test programs each test is run by itself. Of some, what they build is: the programs in C.
PROGRAMS = ["allocation", "conformance", "defects", "fuzz_corpus", "incoherence", "isa", "methods", "state", "threads"]
BUILDERS = {"c_harness": "with_every_instruction_set", "argument_matrix": "every_length", "unload": "a_thousand_times"}
# Slow, about one part of the source, and come by all others.
ONLY_FOR = {"mse::": "src/calibrate/"}

SWITCH = """//! Which mutant is awake, or, where DIFFQUANT_REACHED names a file, which ones a test comes by.
#![allow(unsafe_code, missing_docs)]
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, Ordering::Relaxed};
static AWAKE: AtomicU32 = AtomicU32::new(UNKNOWN);
static FILE: AtomicI32 = AtomicI32::new(-1);
static REACHED: [AtomicBool; 1 << 14] = [const { AtomicBool::new(false) }; 1 << 14];
const UNKNOWN: u32 = u32::MAX;
const TELLING: u32 = u32::MAX - 1;
#[inline(always)]
pub fn on(number: u32) -> bool {
    let awake = AWAKE.load(Relaxed);
    if awake >= TELLING { slow(number) } else { awake == number }
}
/// Allocates nothing: some tests count.
#[cold]
#[inline(never)]
fn slow(number: u32) -> bool {
    if AWAKE.load(Relaxed) == UNKNOWN {
        let path = unsafe { libc::getenv(c"DIFFQUANT_REACHED".as_ptr()) };
        let text = unsafe { libc::getenv(c"DIFFQUANT_MUTANT".as_ptr()) };
        if path.is_null() {
            AWAKE.store(if text.is_null() { 0 } else { unsafe { libc::atoi(text) as u32 } }, Relaxed);
        } else {
            FILE.store(unsafe { libc::open(path, libc::O_WRONLY | libc::O_APPEND | libc::O_CREAT, 0o600) }, Relaxed);
            AWAKE.store(TELLING, Relaxed);
        }
    }
    if AWAKE.load(Relaxed) == TELLING && !REACHED[number as usize].swap(true, Relaxed) {
        unsafe { libc::write(FILE.load(Relaxed), number.to_ne_bytes().as_ptr().cast(), 4) };
    }
    AWAKE.load(Relaxed) == number
}
"""


@dataclasses.dataclass
class Test:
    program: str
    command: list
    only_for: str = ""
    takes: float = 0.0
    reaches: frozenset = frozenset()


def cargo(*arguments, **options):
    command = ["cargo", *arguments, "--locked", "--target-dir", BUILD]
    environment = os.environ | {"RUSTFLAGS": "-Awarnings"}
    return subprocess.run(command, cwd=TREE, env=environment, text=True, stdout=subprocess.PIPE, **options)


# ---- Planting -------------------------------------------------------------------------------------------------------


def copy(file, to):
    """Copies unless it is there already, as cargo builds what was written anew."""
    if not to.exists() or to.read_bytes() != file.read_bytes():
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, to)


def files():
    """What git knows or would take, relative to the root."""
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, check=True, text=True, stdout=subprocess.PIPE)
    return [file for file in listed.stdout.splitlines() if (ROOT / file).is_file()]


def sources():
    """The files whose code is broken, relative to the root."""
    found = []
    for part in PARTS:
        path = ROOT / "src" / part
        found += sorted(path.rglob("*.rs")) if path.is_dir() else [path]
    return [str(path.relative_to(ROOT)) for path in found if path.name != "tests.rs"]


def plant(excluded):
    """Puts the mutants into a copy of the sources, and these into the tree; gives a list of them."""
    shutil.rmtree(PLANTED, ignore_errors=True)
    shutil.copytree(ROOT / "src", PLANTED / "src")
    (PLANTED / "src/mutants.rs").write_text(SWITCH)
    library = PLANTED / "src/lib.rs"
    library.write_text(library.read_text().replace("mod calibrate;", "mod calibrate;\nmod mutants;", 1))
    (WORK / "excluded").write_text(" ".join(map(str, sorted(excluded))))
    tool = ["cargo", "run", "--quiet", "--locked", "--release", "--manifest-path", ROOT / "mutants/Cargo.toml"]
    tool += ["--target-dir", WORK / "tool", "--", PLANTED, WORK / "excluded", *sources()]
    lines = subprocess.run(tool, check=True, text=True, stdout=subprocess.PIPE).stdout.splitlines()
    for file in PLANTED.rglob("*.rs"):
        copy(file, TREE / file.relative_to(PLANTED))
    mutants = {}
    for line in lines:
        number, file, at, function, what = line.split("\t")
        mutants[int(number)] = (file, f"{file}:{at}", function, what)
    return mutants


def awake_in(spans):
    """The numbers of the mutants on some lines of files."""
    found = set()
    for file, first, last in spans:
        text = "\n".join((TREE / file).read_text().splitlines()[first - 1 : last])
        found |= {int(piece.split(")")[0]) for piece in text.split("crate::mutants::on(")[1:]}
    return found


def unviable():
    """The numbers of mutants on lines that the compiler refuses."""
    found, errors = set(), []
    for line in cargo("check", "--lib", "--message-format=json", stderr=subprocess.DEVNULL).stdout.splitlines():
        message = json.loads(line).get("message")
        if not isinstance(message, dict) or message.get("level") != "error":
            continue
        errors.append(message["rendered"])
        spans = [(span["file_name"], span["line_start"], span["line_end"]) for span in message["spans"]]
        # What is between the lines that a message names may be the reason, too.
        whole = [(spans[0][0], min(span[1] for span in spans), max(span[2] for span in spans))] if spans else []
        found |= awake_in(spans) or awake_in(whole)
    if errors and not found:
        sys.exit("mutants: the compiler refuses the library for another reason:\n" + "\n".join(errors))
    return found


def plant_what_compiles():
    """Gives the mutants. What did not compile is remembered for as long as neither the sources nor the tool change."""
    for file in files():
        if not file.startswith("src/"):
            copy(ROOT / file, TREE / file)
    read = sorted(file for file in files() if file.startswith(("src/", "mutants/")))
    state = hashlib.sha256(b"\0".join((ROOT / file).read_bytes() for file in read)).hexdigest()
    known = WORK / f"refused-{state[:16]}"
    excluded = set(map(int, known.read_text().split())) if known.exists() else set()
    while True:
        mutants = plant(excluded)
        refused = unviable()
        if not refused:
            break
        excluded |= refused
    known.write_text(" ".join(map(str, excluded)))
    print(f"{len(mutants)} mutants, {len(excluded)} more that do not compile or share a line with one that does not", flush=True)
    return mutants


def listed_as_same(mutants):
    """The numbers of those that mutants/same.txt lists. What it lists and is there no more is said, for it is to be taken out."""
    listed = {tuple(line.split("\t")) for line in SAME.read_text().splitlines() if line and not line.startswith("#")}
    found, there = set(), set()
    for number, (file, place, function, what) in mutants.items():
        line = (ROOT / file).read_text().splitlines()[int(place.rsplit(":", 1)[1]) - 1]
        entry = (file, function, what, line.strip())
        if entry in listed:
            found.add(number)
            there.add(entry)
    for entry in sorted(listed - there):
        print("not there any more:", *entry, flush=True)
    print(f"{len(found)} of them are listed in {SAME.relative_to(ROOT)}, and not drawn", flush=True)
    return found


# ---- Testing --------------------------------------------------------------------------------------------------------


def build():
    """Builds the tests; gives them, each as a command."""
    chosen = [word for test in [*BUILDERS, *PROGRAMS] for word in ("--test", test)]
    result = cargo("test", "--no-run", "--message-format=json", "--lib", *chosen, check=True)
    programs = {}
    for line in result.stdout.splitlines():
        artifact = json.loads(line)
        if artifact.get("executable") and artifact["profile"]["test"]:
            programs[artifact["target"]["name"]] = artifact["executable"]
    tests = []
    for name in ["diffquant", *PROGRAMS]:
        listed = run([programs[name], "--list", "--format", "terse"])
        for line in listed.splitlines():
            test = line.removesuffix(": test")
            if test != line and not test.startswith("kernels::"):
                only_for = next((part for start, part in ONLY_FOR.items() if test.startswith(start)), "")
                tests.append(Test(name, [programs[name], "--exact", test], only_for))
    for name, test in BUILDERS.items():
        run([programs[name], test])
    probe = f"LD_PRELOAD={BUILD / 'tmp/c_harness/probe/alloc_probe.so'}"
    for file in sorted((TREE / "c_tests").glob("test_*.c")):
        for test in re.findall(r"^TEST\((\w+)\) \{", file.read_text(), re.MULTILINE):
            tests.append(Test("c_harness", ["env", probe, BUILD / "tmp/c_harness/program/harness", test]))
    # Of the matrix every eleventh call, as all of them take long.
    for mode in (["lengths"], ["combinations", "11"]):
        tests.append(Test("argument_matrix", [BUILD / "tmp/argument_matrix/program/matrix", *mode]))
    unload = [BUILD / "tmp/unload/program/unload", BUILD / "tmp/unload/lib/libdiffquant.so"]
    tests.append(Test("unload", unload, "src/capi/"))
    return tests


def start(command, seconds, **variables):
    """Runs a command; gives its exit status, None when it took too long, and what it printed."""
    environment = os.environ | variables
    with subprocess.Popen(command, cwd=TREE, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          process_group=0) as process:
        try:
            printed, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            # What it started, too.
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            return None, b""
        return process.returncode, printed


def run(command, **variables):
    """Runs a command that must succeed without a mutant; gives what it prints."""
    status, printed = start(command, 1200, **variables)
    if status != 0:
        sys.exit(f"mutants: {command} fails without a mutant\n{printed.decode(errors='replace')}")
    return printed.decode(errors="replace")


def measure(test, number):
    """Finds how long a test takes, and which mutants it comes by."""
    reached = WORK / "reached" / str(number)
    reached.unlink(missing_ok=True)
    since = time.monotonic()
    run(test.command, DIFFQUANT_REACHED=str(reached))
    test.takes = time.monotonic() - since
    numbers = reached.read_bytes() if reached.exists() else b""
    test.reaches = frozenset(memoryview(numbers).cast("I"))


def killer(mutant, file, tests):
    """The test that notices a mutant, and whether by taking too long; None for none."""
    for test in tests:
        if mutant in test.reaches and file.startswith(test.only_for):
            status, _ = start(test.command, 10 + 10 * test.takes, DIFFQUANT_MUTANT=str(mutant))
            if status != 0:
                return test, status is None
    return None


def main():
    options = argparse.ArgumentParser()
    options.add_argument("count", nargs="?", type=int, default=200)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--under", nargs="+", default=["src"], metavar="PATH", help="files or folders to draw from, such as src/capi")
    options.add_argument("--only", type=int, nargs="+", help="these mutants, by their numbers")
    options.add_argument("--jobs", type=int, default=os.cpu_count())
    options = options.parse_args()

    mutants = plant_what_compiles()
    under = [pathlib.Path(path) for path in options.under]
    same = listed_as_same(mutants)
    places = [number for number, (file, *_) in sorted(mutants.items())
              if number not in same and any(pathlib.Path(file).is_relative_to(path) for path in under)]
    if not places:
        sys.exit(f"mutants: nothing to break under {' '.join(options.under)}")
    tests = build()
    # A mutant that wants all the memory there is does not get it, and leaves no core.
    resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    (WORK / "reached").mkdir(exist_ok=True)
    with ThreadPoolExecutor(options.jobs) as pool:
        list(pool.map(measure, tests, range(len(tests))))
    tests.sort(key=lambda test: test.takes)
    print(f"{len(tests)} tests, {sum(test.takes for test in tests):.0f} s without a mutant; the slowest:", flush=True)
    for test in tests[-5:]:
        print(f"{test.takes:5.1f} s  {test.program} {test.command[-1]}", flush=True)
    drawn = options.only or random.Random(options.seed).sample(places, min(options.count, len(places)))

    killers, parts, survivors, slow = collections.Counter(), collections.defaultdict(collections.Counter), [], 0
    with ThreadPoolExecutor(options.jobs) as pool:
        for mutant, found in zip(drawn, pool.map(lambda mutant: killer(mutant, mutants[mutant][0], tests), drawn)):
            file, place, function, what = mutants[mutant]
            parts[file.split("/")[1]][found is not None] += 1
            tried = sum(of.total() for of in parts.values())
            if tried % 50 == 0:
                print(f"{tried} tried", flush=True)
            if found is not None:
                killers[found[0].program] += 1
                slow += found[1]
                if options.only:
                    print(f"killed: {mutant}: {place}, {function}: {what}: by {' '.join(map(str, found[0].command))}", flush=True)
                continue
            survivors.append(mutant)
            reached = sum(mutant in test.reaches for test in tests)
            print(f"survives: {mutant}: {place}, {function}: {what}; {reached} tests come by", flush=True)
    for name, count in killers.most_common():
        print(f"{count:5} killed by {name}")
    print(f"{slow:5} of these by taking too long")
    for part, of in sorted(parts.items()):
        print(f"{part:14} {of[True]:4} of {of[True] + of[False]:4} killed")
    share = 1 - len(survivors) / len(drawn)
    print(f"mutants: {len(drawn)} drawn with seed {options.seed}, {len(drawn) - len(survivors)} killed, {100 * share:.1f} %")
    sys.exit(share < 0.95)


main()
