#!/bin/sh
# The library on machines other than this one: tests it on an emulated aarch64, and compiles it for wasm32 and for Windows.
# The last lines say, for each, what ran, how many tests passed, and the result.
#
#   scripts/other_machines.sh
#
# Beside cargo, all comes from Debian's packages: a Rust compiler (rustc-web) with the standard library of aarch64 and its
# sources, a C compiler for aarch64, a tool for Windows' libraries, and qemu-user. All but the last are unpacked in
# target/other_machines: nothing is installed, and no right of root is needed.
# What cannot be had here is NOT RUN, with the reason, and is no failure; what ran and failed is one.
set -u
cd "$(dirname "$0")/.." || exit
here=$PWD/target/other_machines
root=$here/root
logs=$here/logs
mkdir -p "$logs" "$here/bin"
failed=0

# row MACHINE WHAT TESTS RESULT
row() { printf '%-26s  %-38s  %6s  %s\n' "$@" >>"$logs/table"; }
: >"$logs/table"
row machine what tests result

# Unpacks the packages; gives the reason where it cannot.
unpack() {
    [ -e "$root/complete" ] && return
    for tool in apt-get dpkg dpkg-deb; do
        command -v $tool >/dev/null || { echo "$tool is missing: the packages are Debian's"; return 1; }
    done
    [ "$(dpkg --print-architecture)" = amd64 ] || { echo 'only an amd64 machine is known to have the packages'; return 1; }

    # Lists of packages of two architectures, beside the system's own.
    apt=$here/apt
    rm -rf "$apt" "$root"
    mkdir -p "$apt/lists/partial" "$apt/archives/partial" "$apt/packages" "$root"
    cp /var/lib/dpkg/status "$apt/status"
    cat >"$apt/apt.conf" <<END
APT::Architectures { "amd64"; "arm64"; };
APT::Sandbox::User "";
Dir::State::lists "$apt/lists";
Dir::State::status "$apt/status";
Dir::Cache "$apt";
Debug::NoLocking "true";
END
    export APT_CONFIG="$apt/apt.conf"
    apt-get -q update >"$logs/packages.log" 2>&1 || { echo "apt-get update failed, see $logs/packages.log"; return 1; }
    # What the system lacks of them and of what they depend on; for arm64 the standard library is enough.
    apt-get -s --no-install-recommends install \
        rustc-web rust-web-src libstd-rust-web-dev:arm64 gcc-aarch64-linux-gnu libc6-dev-arm64-cross \
        binutils-mingw-w64-x86-64 \
        >"$apt/plan" 2>>"$logs/packages.log" || { echo "Debian's rustc-web is not to be had, see $logs/packages.log"; return 1; }
    packages=$(sed -n 's/^Inst \([^ ]*\) .*\[\([a-z0-9]*\)\]).*/\1 \2/p' "$apt/plan" |
        awk '$2 != "arm64" || $1 ~ /^libstd-rust-web-dev/ { print $1 }')
    # A list of words, to be split.
    # shellcheck disable=SC2086
    (cd "$apt/packages" && apt-get -q download $packages) >>"$logs/packages.log" 2>&1 ||
        { echo "the packages cannot be downloaded, see $logs/packages.log"; return 1; }
    for package in "$apt"/packages/*.deb; do
        dpkg-deb -x "$package" "$root" || { echo "$package cannot be unpacked"; return 1; }
    done
    rm -rf "$apt"
    # It names the C library where it would be if it were installed.
    sed -i 's,/usr/aarch64-linux-gnu/lib/,,g' "$root/usr/aarch64-linux-gnu/lib/libc.so"
    for tool in rustc aarch64-linux-gnu-gcc aarch64-linux-gnu-ar x86_64-w64-mingw32-dlltool; do
        cat >"$here/bin/$tool" <<END
#!/bin/sh
LD_LIBRARY_PATH=$root/usr/lib/x86_64-linux-gnu exec $root/usr/bin/$tool "\$@"
END
        chmod +x "$here/bin/$tool"
    done
    "$here/bin/rustc" --version >/dev/null || { echo 'the compiler does not start'; return 1; }
    touch "$root/complete"
}

# Gives the reason where the compiler is older than the oldest that the crate names.
recent_enough() {
    oldest=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)
    found=$("$here/bin/rustc" --version | cut -d ' ' -f 2)
    [ "$(printf '%s\n%s\n' "$oldest" "$found" | sort -V | head -n 1)" = "$oldest" ] ||
        { echo "Debian's rustc is $found, and the crate needs $oldest"; return 1; }
}

# On aarch64: the tests of the library's inside (every kernel against the oracle), those of the C ABI from Rust, and the
# harness in C, but for what needs valgrind or a sanitizer.
test_aarch64() {
    machine=aarch64-unknown-linux-gnu
    if ! command -v qemu-aarch64 >/dev/null; then
        row $machine 'tests, emulated' - 'NOT RUN: qemu-aarch64 is missing (Debian: qemu-user)'
        return
    fi
    export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER="$here/bin/aarch64-linux-gnu-gcc"
    export CC_aarch64_unknown_linux_gnu="$here/bin/aarch64-linux-gnu-gcc"
    export AR_aarch64_unknown_linux_gnu="$here/bin/aarch64-linux-gnu-ar"
    # For cargo, and for the programs that tests start.
    export DIFFQUANT_RUNNER="qemu-aarch64 -L $root/usr/aarch64-linux-gnu"
    export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="$DIFFQUANT_RUNNER"
    test_part 'every kernel against the oracle' --lib
    test_part 'the C ABI, from Rust' --test isa --test conformance --test defects
    test_part 'the harness in C' --test c_harness -- --skip valgrind --skip sanitizers --skip do_not_race --skip tools
}

# test_part WHAT ARGUMENTS...: with little optimisation, which builds faster, and emulated takes not much longer.
test_part() {
    what=$1 log=$logs/$(echo "aarch64 $1" | tr -cs 'A-Za-z0-9\n' '-').log
    shift
    echo "== aarch64: $what"
    DIFFQUANT_EXPECTED_ISA=neon CARGO_PROFILE_TEST_OPT_LEVEL=1 \
        cargo test --locked --no-fail-fast --target aarch64-unknown-linux-gnu "$@" >"$log" 2>&1
    status=$?
    passed=$(awk '/^test result:/ { sum += $4 } END { print sum + 0 }' "$log")
    if [ $status = 0 ] && [ "$passed" -gt 0 ]; then
        row aarch64-unknown-linux-gnu "$what" "$passed" passed
    else
        row aarch64-unknown-linux-gnu "$what" "$passed" "FAILED, see $log"
        tail -n 40 "$log"
        failed=1
    fi
}

# The standard library is compiled with the library, from its sources: Debian has none of this compiler for them.
compile() {
    machine=$1 log=$logs/$1.log
    echo "== $machine: compile"
    # The compiler looks for the tool for Windows' libraries on the path.
    if PATH=$here/bin:$PATH RUSTC_BOOTSTRAP=1 cargo check --locked --lib -Zbuild-std=std,panic_abort --target "$machine" >"$log" 2>&1; then
        row "$machine" compiles - passed
    else
        row "$machine" compiles - "FAILED, see $log"
        tail -n 40 "$log"
        failed=1
    fi
}

if reason=$(unpack && recent_enough); then
    export RUSTC="$here/bin/rustc" CARGO_TARGET_DIR="$here/cargo"
    "$RUSTC" --version
    test_aarch64
    compile wasm32-unknown-unknown
    compile x86_64-pc-windows-gnu
else
    for machine in aarch64-unknown-linux-gnu wasm32-unknown-unknown x86_64-pc-windows-gnu; do
        row $machine - - "NOT RUN: $reason"
    done
fi
echo
cat "$logs/table"
exit $failed
