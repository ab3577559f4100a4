# flashduty-receiver: what there is to run. `make` alone prints this list.
#
# Rust, make and root or sudo are expected; everything else is installed when it is missing, with apt
# and without starting its services, and each target says what it installs.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# Some tests mount a file system, so the test binaries run as root; cargo itself does not. They find what the user
# finds, such as a compiler that is not root's, but leave nothing in his home: sudo has a PATH of its own, and -H another home.
AS_ROOT := $(shell [ "$$(id -u)" = 0 ] || printf '%s' "--config 'target.\"cfg(unix)\".runner = [" \
             '"sudo", "-nEH", "env", ' "\"CARGO_HOME=$${CARGO_HOME:-$$HOME/.cargo}\", \"PATH=$$PATH:/usr/sbin:/sbin\"]'")
# What `make test` and `make soak` need beside a compiler: each command and the package it is in.
TEST_TOOLS := strace:strace faketime:faketime sqlite3:sqlite3 ps:procps kill:procps mount:mount \
              mkfs.ext4:e2fsprogs xfs_io:xfsprogs eatmydata:eatmydata \
              setpriv:util-linux python3:python3 yaml.py:python3-yaml jsonschema.py:python3-jsonschema \
              nginx:nginx-light haproxy:haproxy systemd-analyze:systemd \
              redis-server:redis-server nats-server:nats-server openssl:openssl \
              postgres:postgresql pgbouncer:pgbouncer promtool:prometheus sslscan:sslscan git:git
# What the documents show, of all that the tests take of the console.
PICTURES := overview-light-en incidents-light-zh event-dark-en board-phone-light-en
# What the image's binary has beside the default ones: the sinks for brokers.
FEATURES := nats,redis,kafka
# How long each fuzzer runs, and which of them do; none named is all of them.
FUZZ_SECONDS ?= 1800
FUZZ_TARGETS ?=

.PHONY: help
help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: compiler ## build the release binary and play one incident's life into it; Ctrl-C ends it
	cargo build --release --locked
	@exec "$$(scripts/built.sh release)" demo

.PHONY: test
test: brokers ## every check there is, with small counts; what CI runs
	@scripts/install.sh $(TEST_TOOLS)
	@scripts/manifest-tools.sh
	@scripts/api-tools.sh
	@scripts/editor-tools.sh
	@scripts/browser-tools.sh
	cargo fmt --check
	cargo fmt --check --manifest-path fuzz/Cargo.toml
	cargo check --locked
	cargo clippy --all-targets --all-features --locked -- -D warnings
	@cargo fetch --quiet --locked || echo 'make: NO crates for other systems could be fetched to see their licences' >&2
	cargo test --all-features --locked $(AS_ROOT)
	RUSTDOCFLAGS=-Dwarnings cargo doc --no-deps --all-features --locked
	@scripts/fuzz.sh --where-possible 60

.PHONY: fuzz
fuzz: brokers ## look for input that breaks a reader: FUZZ_SECONDS (1800) for each, or for those in FUZZ_TARGETS
	@scripts/fuzz.sh $(FUZZ_SECONDS) $(FUZZ_TARGETS)

.PHONY: soak
soak: compiler ## the end-to-end tests with full counts, one by one, and their table; an hour or so
	@scripts/install.sh $(TEST_TOOLS)
	@scripts/api-tools.sh
	@scripts/editor-tools.sh
	@scripts/browser-tools.sh
	@mkdir -p target
	FLASHDUTY_SOAK=1 cargo test --release --locked --no-fail-fast $(AS_ROOT) --test it --test quiet --test replicas --test console \
		-- --test-threads=1 --nocapture \
		2>&1 | tee target/soak.log || failed=1; \
	echo; grep -o 'soak |.*' target/soak.log | sort -t '|' -k 2n; exit $${failed:-0}

.PHONY: screenshots
screenshots: compiler ## look at each page of the console in Chromium, and put the documents' pictures in place
	@scripts/browser-tools.sh
	cargo test --locked --test console every_page
	@from="$$(scripts/target.sh)/console/screenshots"; mkdir -p docs/images; \
	for picture in $(PICTURES); do cp "$$from/$$picture.png" docs/images/; done; \
	echo "all of them are in $$from; in docs/images now: $(PICTURES)"

.PHONY: bench
bench: compiler ## measure the receiver beside the limits of this machine
	@scripts/install.sh postgres:postgresql
	cargo bench --locked --bench throughput --bench delivery --bench postgres

.PHONY: image
image: ## build the image with a container engine (ENGINE, docker unless set), which knows what it is
	@scripts/image-build.sh --tag flashduty-receiver:latest

.PHONY: dist
dist: brokers ## build and pack the static binary of a release, for this machine's architecture
	@scripts/install.sh musl-gcc:musl-tools
	@FEATURES=$(FEATURES) scripts/dist.sh "$$(uname -m)-unknown-linux-musl"

.PHONY: sbom
sbom: ## write what a release is made of, with cargo-cyclonedx, which has to be there
	@FEATURES=$(FEATURES) scripts/sbom.sh

.PHONY: image-check
image-check: brokers ## carry out the Dockerfile without a container engine, and try the result; needs root
	cargo build --release --locked --features $(FEATURES)
	@export BINARY="$$(scripts/built.sh release)"; \
	sudo=; [ "$$(id -u)" = 0 ] || sudo="sudo -nE"; \
	$$sudo scripts/image-rootfs.sh; $$sudo scripts/image-try.sh

.PHONY: fresh-check
fresh-check: ## make a bare Debian and follow the README in it from top to bottom; needs root, and more than an hour
	@scripts/fresh-root.sh

.PHONY: compiler
compiler:
	@scripts/install.sh cc:gcc libc.h:libc6-dev

# librdkafka builds itself with make, and looks for a C++ compiler though nothing of the service needs it;
# the fuzzer is written in C++.
.PHONY: brokers
brokers: compiler
	@scripts/install.sh make:make c++:g++
