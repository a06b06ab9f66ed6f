#!/usr/bin/env python3
"""Breaks the library on purpose, in one place at a time, and counts how often the tests notice.

    scripts/mutants.py [COUNT] [--seed SEED] [--only NUMBER...] [--jobs JOBS]

One build holds every mutant (see mutants/), and a variable wakes one. COUNT of them, 200 unless told otherwise, are drawn by SEED; of
each, the tests below run one after the other until one fails or takes too long, which kills the mutant. Survivors are printed, and the
share that was killed for each part of the source. It fails when that is less than 95 % of them all.

The loops in src/kernels are left out: each is compared with a plain oracle, over every length and, in part, every float.
"""

import argparse
import collections
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

ROOT = pathlib.Path(__file__).resolve().parent.parent
WORK = ROOT / "target/mutants"
TREE, BUILD = WORK / "tree", WORK / "build"
PARTS = ["quantizer", "calibrate", "capi", "json", "layout.rs", "ste.rs", "config.rs", "rotation.rs"]
# The quickest that notice most come first.
TESTS = ["defects", "state", "conformance", "methods", "threads", "incoherence", "argument_matrix"]

SWITCH = """//! Which mutant is awake.
#![allow(unsafe_code, missing_docs)]
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
static AWAKE: AtomicU32 = AtomicU32::new(u32::MAX);
#[inline(always)]
pub fn on(number: u32) -> bool {
    let awake = AWAKE.load(Relaxed);
    if awake == u32::MAX { first(number) } else { awake == number }
}
/// Reads the variable without allocating: some tests count.
#[cold]
fn first(number: u32) -> bool {
    let text = unsafe { libc::getenv(c"DIFFQUANT_MUTANT".as_ptr()) };
    let awake = if text.is_null() { 0 } else { unsafe { libc::atoi(text) as u32 } };
    AWAKE.store(awake, Relaxed);
    awake == number
}
"""


def cargo(*arguments, **options):
    command = ["cargo", *arguments, "--locked", "--target-dir", BUILD]
    environment = os.environ | {"RUSTFLAGS": "-Awarnings"}
    return subprocess.run(command, cwd=TREE, env=environment, text=True, stdout=subprocess.PIPE, **options)


def sources():
    """The files whose code is broken, relative to the tree."""
    files = []
    for part in PARTS:
        path = ROOT / "src" / part
        files += sorted(path.rglob("*.rs")) if path.is_dir() else [path]
    return [str(path.relative_to(ROOT)) for path in files if path.name != "tests.rs"]


def plant(excluded):
    """Puts the mutants into a fresh copy of the sources; gives a list of them."""
    shutil.rmtree(TREE / "src", ignore_errors=True)
    shutil.copytree(ROOT / "src", TREE / "src")
    (TREE / "src/mutants.rs").write_text(SWITCH)
    library = TREE / "src/lib.rs"
    library.write_text(library.read_text().replace("mod calibrate;", "mod calibrate;\nmod mutants;", 1))
    (WORK / "excluded").write_text(" ".join(map(str, sorted(excluded))))
    tool = ["cargo", "run", "--quiet", "--locked", "--release", "--manifest-path", ROOT / "mutants/Cargo.toml"]
    tool += ["--target-dir", WORK / "tool", "--", TREE, WORK / "excluded", *sources()]
    lines = subprocess.run(tool, check=True, text=True, stdout=subprocess.PIPE).stdout.splitlines()
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
        whole = [(spans[0][0], min(span[1] for span in spans), max(span[2] for span in spans))]
        found |= awake_in(spans) or awake_in(whole)
    if errors and not found:
        sys.exit("mutants: the compiler refuses the library for another reason:\n" + "\n".join(errors))
    return found


def build():
    """Copies and builds; gives the mutants and the tests to run, a name and a command each."""
    TREE.mkdir(parents=True, exist_ok=True)
    files = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, check=True, text=True,
                           stdout=subprocess.PIPE).stdout.split("\n")
    for file in filter(None, files):
        (TREE / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / file, TREE / file)
    excluded, refused = set(), None
    while refused != set():
        mutants = plant(excluded)
        refused = unviable()
        excluded |= refused
    print(f"{len(mutants)} mutants, {len(excluded)} more that do not compile or share a line with one that does not", flush=True)
    chosen = [word for test in ["c_harness", *TESTS] for word in ("--test", test)]
    result = cargo("test", "--no-run", "--message-format=json", "--lib", *chosen, check=True)
    programs = {}
    for line in result.stdout.splitlines():
        artifact = json.loads(line)
        if artifact.get("executable") and artifact["profile"]["test"]:
            programs[artifact["target"]["name"]] = artifact["executable"]
    # Builds the program that the tests in C are.
    run([programs["c_harness"], "with_every_instruction_set"], 0, 600, check=True)
    harness = BUILD / "tmp/c_harness"
    preload = f"LD_PRELOAD={harness / 'probe/alloc_probe.so'}"
    tests = [("unit tests", [programs["diffquant"], "--skip", "kernels::"]),
             ("harness", ["env", preload, harness / "program/harness"])]
    return mutants, tests + [(name, [programs[name]]) for name in TESTS]


def run(command, mutant, limit, check=False):
    """Whether it passes, within a number of seconds."""
    environment = os.environ | {"DIFFQUANT_MUTANT": str(mutant)}
    try:
        done = subprocess.run(command, cwd=TREE, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=limit, check=False)
    except subprocess.TimeoutExpired:
        done = None
    if check and (done is None or done.returncode):
        sys.exit(f"mutants: {command[0]} fails without a mutant\n" + (done.stdout.decode() if done else "too slow"))
    return done is not None and done.returncode == 0


def main():
    options = argparse.ArgumentParser()
    options.add_argument("count", nargs="?", type=int, default=200)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--only", type=int, nargs="+", help="these mutants, by their numbers")
    options.add_argument("--jobs", type=int, default=os.cpu_count())
    options = options.parse_args()

    mutants, tests = build()
    limits = {}
    for name, command in tests:
        start = time.monotonic()
        run(command, 0, 1200, check=True)
        took = time.monotonic() - start
        limits[name] = 20 + 10 * took
        print(f"{name}: {took:.1f} s without a mutant", flush=True)
    drawn = options.only or random.Random(options.seed).sample(sorted(mutants), min(options.count, len(mutants)))

    def killer(mutant):
        for name, command in tests:
            if not run(command, mutant, limits[name]):
                return name
        return None

    killers, parts, survivors = collections.Counter(), collections.defaultdict(collections.Counter), []
    with ThreadPoolExecutor(options.jobs) as pool:
        for mutant, by in zip(drawn, pool.map(killer, drawn)):
            file, place, function, what = mutants[mutant]
            part = file.split("/")[1]
            parts[part][by is not None] += 1
            killers[by] += 1
            if by is None:
                survivors.append(mutant)
                print(f"survives: {mutant}: {place}, {function}: {what}", flush=True)
    for name, count in killers.most_common():
        print(f"{count:5} killed by {name}" if name else f"{count:5} survive")
    for part, of in sorted(parts.items()):
        print(f"{part:14} {of[True]:4} of {of[True] + of[False]:4} killed")
    share = 1 - len(survivors) / len(drawn)
    print(f"mutants: {len(drawn)} drawn with seed {options.seed}, {len(drawn) - len(survivors)} killed, {100 * share:.1f} %")
    sys.exit(share < 0.95)


main()
