# Needs rustup (the toolchain is pinned in rust-toolchain.toml), a C compiler, npm and python3 with venv; `make setup`
# fetches the rest.
.DEFAULT_GOAL := help
.PHONY: help compiler setup build run test test-long check bench bench-flood bench-levels bench-log fuzz deps docs

FUZZ_SECONDS ?= 60

help:       ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1	/p' $(MAKEFILE_LIST) | expand -t 12

# Rust links with it, and the cryptography of TLS is partly C. Without this, cargo says so only after it has compiled for
# a while, and in other words.
setup build run test test-long check bench bench-flood bench-levels bench-log: compiler
compiler:
	@command -v cc >/dev/null || { echo "make: there is no C compiler (cc); on Debian and Ubuntu: apt install build-essential," \
	  "on Fedora: dnf install gcc, on macOS: xcode-select --install" >&2; exit 1; }

setup:      ## fetch what the tests need besides the Rust toolchain (into .tools/)
	@bash tests/tools/setup.sh

build:      ## the program, as released: target/release/bartizan
	cargo build --release -p bartizan-cli

# Not a release build: that takes several times as long, and here nothing waits for the program.
run:        ## build, then show a gateway at work between a client, an honest server and a hostile one
	cargo run -p bartizan-cli -- demo

test:       ## every suite; ends with "N passed, N failed, N skipped"
	@python3 tests/run.py

test-long:  ## every suite in its long version, ignored tests included
	@python3 tests/run.py --long

check:      ## format, lints and unit tests only, for while you work
	@python3 tests/run.py format clippy tests doctests

bench:      ## direct, through a bare proxy and through Bartizan, and what each stage of a call costs, in one run
	cargo build --release -p bartizan-cli -p bartizan-bench
	@python3 bench/run.py target/release

bench-flood: ## what a good client notices of 10,000 idle connections, of streams, and of bad keys
	cargo build --release -p bartizan-cli -p bartizan-bench
	@python3 bench/flood.py target/release

bench-levels: ## what confining a server costs at each level, calls and starts
	cargo build --release -p bartizan-cli -p bartizan-bench
	cargo build --release -p bartizan-sandbox --example spawn_cost
	@python3 bench/levels.py target/release
	@target/release/examples/spawn_cost

bench-log:  ## what the log costs beside a bare file and SQLite on the same disk, in about three minutes
	cargo run --release -p bartizan-audit --example durable_rate -- .
	cargo run --release -p bartizan-audit --example append_rate

fuzz:       ## every fuzz target for FUZZ_SECONDS (needs a C++ compiler)
	@bash fuzz/run.sh $(FUZZ_SECONDS)

deps:       ## licences, duplicates, sources and known holes of all crates, if cargo-deny is installed
	cargo deny check

docs:       ## the operator's book, if mdbook is installed: docs/book/
	mdbook build docs
