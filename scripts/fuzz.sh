#!/bin/sh
# Runs the fuzz targets of fuzz/ with libFuzzer, each for a number of seconds; a finding fails, and says how to see it again.
#
#   scripts/fuzz.sh SECONDS [TARGET...]
#
# SEED in the environment makes a run that can be repeated: from the same corpus the same inputs, as many as there is time for.
#
# The compiler that builds diffquant is all it needs: libFuzzer comes with a crate, and is given the coverage that it
# asks for by flags. What was found worth keeping is in fuzz/corpus; what a run adds stays in target/fuzz/corpus.
set -eu
cd "$(dirname "$0")/.."

seconds=${1:?how many seconds for each target}
shift
# Names of targets are words.
# shellcheck disable=SC2046
[ $# -gt 0 ] || set -- $(sed -n 's/^name = "\(.*\)"$/\1/p' fuzz/Cargo.toml | grep -v '^diffquant-fuzz$')

host=$(rustc -vV | sed -n 's/^host: //p')
coverage='-Cpasses=sancov-module'
for flag in level=4 inline-8bit-counters pc-table trace-compares; do
    coverage="$coverage -Cllvm-args=-sanitizer-coverage-$flag"
done
# Sixteen units, or the loops of the kernels are compiled one after the other.
RUSTFLAGS="$coverage -Ccodegen-units=16" cargo build --locked --quiet --release --target "$host" \
    --manifest-path fuzz/Cargo.toml --target-dir target/fuzz

for target; do
    corpus=target/fuzz/corpus/$target
    log=target/fuzz/$target.log
    mkdir -p "$corpus" "fuzz/corpus/$target"
    if ! "target/fuzz/$host/release/$target" "$corpus" "fuzz/corpus/$target" -max_total_time="$seconds" \
        -seed="${SEED:-0}" -max_len=4096 -timeout=20 -print_final_stats=1 -artifact_prefix="target/fuzz/$target-" \
        >"$log" 2>&1; then
        tail -40 "$log"
        echo "fuzz: $target: FAILED, see $log; the input is in target/fuzz/$target-*" >&2
        exit 1
    fi
    executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    edges=$(grep -o 'cov: [0-9]*' "$log" | tail -1)
    echo "fuzz: $target: ${executions:?} executions in $seconds s, $edges, no finding"
done
