#!/bin/sh
# What `make test` leaves out because it takes long or needs more tools, and one table of it all: check, cases, failures.
#
#   scripts/test_deep.sh [FUZZ_SECONDS]
#
# A check that this machine cannot do is a row that says NOT RUN and why; a check that fails is a row, and the others
# still run.
set -u
cd "$(dirname "$0")/.." || exit
seconds=${1:-60}
logs=target/deep
mkdir -p "$logs"
table=$logs/table.txt
: >"$table"
failed=0

# row CHECK CASES FAILURES
row() { printf '%-46s  %16s  %s\n' "$1" "$2" "$3" | tee -a "$table"; }

# check NAME CASES COMMAND...: runs it; CASES is a program for sed that finds the number of cases in what it prints.
check() {
    name=$1 cases=$2
    shift 2
    log=$logs/$(echo "$name" | tr -cs 'A-Za-z0-9\n' '-').log
    if "$@" >"$log" 2>&1; then
        found=$(sed -n "$cases" "$log" | awk '{ sum += $1 } END { printf "%.0f", sum }')
        missing=$(sed -n 's/.*\(NOT RUN: .*\)/, \1/p' "$log" | tr -d '\n')
        if [ "$found" = 0 ] && [ -n "$missing" ]; then
            row "$name" - "${missing#, }"
        elif [ "$found" = 0 ]; then
            row "$name" 0 "FAILED: nothing was tried, see $log"
            failed=1
        else
            row "$name" "$found" "0$missing"
        fi
    else
        row "$name" - "FAILED, see $log"
        failed=1
    fi
}

tests='s/^test result: ok\. \([0-9]*\) passed; 0 failed.*/\1/p'
row check cases failures
check 'tests' "$tests" cargo test --locked
check 'every float, every step (exhaustive)' 's/^\([0-9][0-9]*\) \(roundings\|quotients\) .*/\1/p' \
    cargo test --locked --release --test exhaustive -- --nocapture
check 'onnxruntime and PyTorch formulas' 's/^differential: .* \([0-9]*\) cases, 0 failed$/\1/p' \
    python3 scripts/differential.py
check "fuzzing, $seconds s each target" 's/^fuzz: .*: \([0-9]*\) executions.*/\1/p' scripts/fuzz.sh "$seconds"
check 'aarch64, emulated' 's/^aarch64.*  \([0-9][0-9]*\)  passed$/\1/p' scripts/other_machines.sh

oldest=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml).0
if cargo "+$oldest" --version >/dev/null 2>&1; then
    check "the library with Rust $oldest" 's/.*Finished .*/1/p' cargo "+$oldest" check --locked --target-dir target/oldest
else
    row "the library with Rust $oldest" - "NOT RUN: rustup has no toolchain $oldest"
fi
check 'dependencies (cargo-deny)' 's/^deny: \([0-9]*\) packages.*/\1/p' make deny

# The Rust side under AddressSanitizer: its runtime comes with the compiler, the flag is not yet a stable one.
host=$(rustc -vV | sed -n 's/^host: //p')
if ls "$(rustc --print sysroot)/lib/rustlib/$host/lib/"librustc*rt.asan.a >/dev/null 2>&1; then
    check 'Rust tests under AddressSanitizer' "$tests" env RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=address \
        cargo test --locked --target "$host" --target-dir target/asan \
        --lib --test methods --test conformance --test defects --test threads --test isa
else
    row 'Rust tests under AddressSanitizer' - 'NOT RUN: this compiler has no runtime for it'
fi
exit $failed
