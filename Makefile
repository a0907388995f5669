# A fresh Debian or Ubuntu with Rust needs two of these: `make demo` and `make test`. What is missing is
# installed by apt.

TARGET := $(shell uname -m)-unknown-linux-gnu
TARGET_DIR := $(abspath $(or $(CARGO_TARGET_DIR),target))
XDPILOT := $(TARGET_DIR)/$(TARGET)/release/xdpilot
# Programs are loaded and namespaces made by root.
AS_ROOT := $(if $(filter-out 0,$(shell id -u)),sudo env "PATH=$$PATH")
RUNNER := CARGO_TARGET_$(shell uname -m | tr a-z A-Z)_UNKNOWN_LINUX_GNU_RUNNER
INPUTS ?= 1000000

.PHONY: demo test test-rust test-static test-vm static lint fuzz measure bench-policy bench-stack clean
.PHONY: packages-build packages-test

demo: static
	$(AS_ROOT) $(XDPILOT) demo

test: lint test-rust test-static test-vm
	$(AS_ROOT) $(XDPILOT) demo

# The workspace's tests. Each of them says what it needs; none is skipped.
test-rust: packages-test
	cargo fetch --locked
	$(if $(AS_ROOT),$(RUNNER)='$(AS_ROOT)') cargo test --workspace

# One static binary, which runs where nothing else is.
test-static: static packages-test
	$(AS_ROOT) tests/static-binary $(XDPILOT)

# Debian's kernels under qemu.
test-vm: static packages-test
	XDPILOT=$(XDPILOT) tests/vm/run

static: packages-build
	RUSTFLAGS="-C target-feature=+crt-static" cargo build --release --target $(TARGET)

lint: packages-build
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --document-private-items

# Mutated objects through the reader and all passes, INPUTS of them. (`test` tries fewer.)
fuzz: packages-build
	XDPILOT_FUZZ_INPUTS=$(INPUTS) cargo test -p xdpilot-core --test mutation -- --nocapture

# How long loading takes beside ip(8); how much memory.
measure: static packages-test
	$(AS_ROOT) tools/measure-load $(XDPILOT)

# What policies cost beside hand-written C, and how long changes take. CLASSBENCH may name rule files.
bench-policy: static packages-test
	$(AS_ROOT) tools/measure-policy $(XDPILOT)
	$(AS_ROOT) tools/measure-planner $(XDPILOT) $(CLASSBENCH)
	$(AS_ROOT) tools/measure-change $(XDPILOT) 40 $(CLASSBENCH)
	$(AS_ROOT) tools/measure-sets $(XDPILOT)

# Packets a second, beside the same rules in nftables and iptables, and new connections beside nftables.
bench-stack: static packages-test
	$(AS_ROOT) tools/measure-stack $(XDPILOT)
	$(AS_ROOT) tools/measure-route $(XDPILOT)

packages-build:
	@tools/install-packages build

packages-test:
	@tools/install-packages build test

clean:
	cargo clean
