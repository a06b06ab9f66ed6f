# Short names for what cargo and CMake do; each target first installs the tools that it lacks (scripts/setup.sh).
PREFIX ?= /usr/local
BUILD := target/cmake
DEMO := target/demo

MAKEFLAGS += --no-print-directory
export PATH := $(CURDIR)/target/tools/bin:$(PATH)

.PHONY: build install demo demo-mpi study pictures test test-deep test-other-machines differential fuzz mutants deny bench bench-peers lint doc clean help
.DEFAULT_GOAL := build

build: ## build libdiffquant in release (the default target)
	scripts/setup.sh build
	cmake -S . -B $(BUILD) -DCMAKE_INSTALL_PREFIX='$(abspath $(PREFIX))' -DCMAKE_INSTALL_MESSAGE=LAZY
	+cmake --build $(BUILD)

install: build ## install into PREFIX=/usr/local; DESTDIR is honoured
	cmake --install $(BUILD)

$(DEMO)/train_digits: build
	cmake --install $(BUILD) --prefix $(DEMO)/prefix
	cmake -S examples/c -B $(DEMO) -DCMAKE_BUILD_TYPE=Release -DCMAKE_PREFIX_PATH='$(CURDIR)/$(DEMO)/prefix'
	+cmake --build $(DEMO)

demo: $(DEMO)/train_digits ## train the digits classifier of examples/c against an installed libdiffquant; draws target/demo/digits.svg
	$(DEMO)/train_digits examples/data/digits.csv $(DEMO)/digits.svg

# One after the other, and 4 ranks on fewer cores too: the number of ranks is not to matter.
demo-mpi: build ## train the digits over MPI on 1, 2 and 4 ranks, and check that all reach the same bits
	scripts/setup.sh mpi
	cmake --install $(BUILD) --prefix $(DEMO)/prefix
	cmake -S examples/mpi -B $(DEMO)/mpi -DCMAKE_BUILD_TYPE=Release -DCMAKE_PREFIX_PATH='$(CURDIR)/$(DEMO)/prefix'
	+cmake --build $(DEMO)/mpi
	for ranks in 1 2 4; do \
		scripts/mpirun.sh -n $$ranks $(DEMO)/mpi/train_digits_mpi examples/data/digits.csv || exit 1; \
	done

study: $(DEMO)/train_digits ## the demo's methods over 12 seeds, from random weights too; some minutes
	$(DEMO)/train_digits --study examples/data/digits.csv $(DEMO)/study.svg > $(DEMO)/study.txt
	cat $(DEMO)/study.txt

pictures: build ## measure and draw what docs/methods.md shows; takes the last `make study` with it
	python3 scripts/methods_pictures.py

# Nothing here builds the crates beside the library, whose lock files would go stale when a dependency of it changes.
# The second run is on a processor without AVX, emulated: whatever computes, by the baseline's code.
test: ## run every test
	scripts/setup.sh test
	for crate in fuzz mutants; do \
		cargo metadata --locked --format-version 1 --manifest-path $$crate/Cargo.toml >/dev/null || exit 1; \
	done
	cargo test --locked
	CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER='qemu-x86_64 -cpu Nehalem' \
		DIFFQUANT_RUNNER='qemu-x86_64 -cpu Nehalem' DIFFQUANT_EXPECTED_ISA=baseline \
		cargo test --locked --lib --test isa --test conformance --test defects

test-deep: ## run what takes longer too, and print one table of it
	scripts/setup.sh test
	cargo build --locked --release
	scripts/test_deep.sh

test-other-machines: ## test on an emulated aarch64, compile for wasm32 and Windows, or say what was NOT RUN
	scripts/other_machines.sh

differential: ## compare 10,000 random cases with onnxruntime, and gradients with PyTorch's formulas
	cargo build --locked --release
	python3 scripts/differential.py

SECONDS ?= 60
fuzz: ## run each fuzz target for SECONDS=60
	scripts/setup.sh test
	scripts/fuzz.sh $(SECONDS)

COUNT ?= 200
mutants: ## break COUNT=200 places of the library, one at a time, and count how often the tests notice; half an hour or so
	scripts/setup.sh test
	python3 scripts/mutants.py $(COUNT)

deny: ## check licences, duplicates, sources and, where their list can be had, advisories of the dependencies
	scripts/setup.sh deny
	scripts/deny.sh

bench: ## run the benchmarks
	cargo bench --locked

bench-peers: ## time numba and onnxruntime beside diffquant; PEERS=torch adds PyTorch
	cargo build --locked --release
	python3 scripts/bench_peers.py $(PEERS)

lint: ## check format, clippy and shell scripts
	scripts/setup.sh lint
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	shellcheck scripts/*.sh .ci/run

doc: ## the C and C++ reference, in target/doc
	scripts/setup.sh doc
	mkdir -p target/doc
	DIFFQUANT_VERSION=$$(cargo pkgid | sed 's/.*[@#]//') doxygen docs/Doxyfile

clean: ## remove target/
	cargo clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /make \1	/p' Makefile | expand -t 15
