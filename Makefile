# `make` alone tells what there is. Everything that needs a server starts a private one (see deploy/local).

# What `make run` is built as: release (about seven minutes on two cores at first), or dev (half of that, and slower answers).
PROFILE ?= release
N ?= 100000
TARGET := $(or $(CARGO_TARGET_DIR),target)
LOCAL := $(TARGET)/debug/local
# The contract as it was last written down, which `make buf` holds proto/ against.
CONTRACT := proto/contract.binpb
# What the product is made of, and what starts it.
PRODUCT := $(addprefix -p ,local identity opportunities analytics notifier gateway)
VERSION := $(shell sed -n '/^\[workspace.package\]/,/^$$/s/^version = "\(.*\)"/\1/p' Cargo.toml)
CARGO_TEST := $(if $(shell command -v cargo-nextest),cargo nextest run --workspace,cargo test --workspace --lib --bins --tests)

.DEFAULT_GOAL := help
.PHONY: help tools run test test-api test-paths test-replicas sdk docs lint fmt fmt-check clippy buf contract deny build prepare prepare-check bench bench-forecast bench-large bench-analytics seed clean-data manifests render images examples

help: ## what there is
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /make \1\t/' | expand -t 22

tools:
	@command -v cargo >/dev/null || { echo "Rust is missing; install it as https://rustup.rs says"; exit 1; }
	@command -v cc >/dev/null || { echo "a C compiler is missing; install it: sudo apt-get install build-essential"; exit 1; }

build: tools
	cargo build --workspace --bins

run: tools ## start everything on http://localhost:8000 (PORT=, REPLICAS=, PROFILE=dev)
	cargo build --profile $(PROFILE) --bins $(PRODUCT)
	@exec $(TARGET)/$(PROFILE:dev=debug)/local run

test: build ## everything that must pass
	$(LOCAL) with-servers -- $(CARGO_TEST)
	cargo test --quiet --workspace --doc
	@$(MAKE) --no-print-directory sdk
	@$(MAKE) --no-print-directory docs
	@$(MAKE) --no-print-directory manifests
	@echo "All tests passed. Before a commit: make lint; to see it run: make run"

test-api: build ## ask every operation of the API what nobody thought of (schemathesis, all checks)
	$(LOCAL) with-servers -- cargo test --package tests --test it -- --ignored --nocapture tried::

test-paths: build ## compare 5,000 random sequences of requests by every path with the rules (PATHS_CASES=, PATHS_SEED=)
	$(LOCAL) with-servers -- cargo test --package tests --test it -- --ignored --nocapture paths::

test-replicas: build ## the tests of the whole product, with two processes of each service
	TEST_REPLICAS=2 $(LOCAL) with-servers -- $(subst --workspace,--package tests,$(CARGO_TEST))

examples: build ## record the examples of the OpenAPI document anew, of a fresh product with its demonstration
	PYTHONPATH=deploy/local python3 gateway/examples/record.py $(LOCAL)

sdk: build ## check the Python SDK, against the running product too, and build its wheel
	$(LOCAL) with-servers -- sdk/python/check

docs: build ## run every command of the documents, and hold their reference pages against the code
	$(LOCAL) with-servers -- docs/check/run

manifests: build ## check what runs it in containers: Dockerfile, Compose, Kubernetes, alerts
	PROGRAMS=$(abspath $(TARGET))/debug deploy/check/check

render: ## write k8s/*.yaml anew, from k8s/overlays/dev
	deploy/check/check --render

images: ## build a container image for each program
	for program in identity opportunities analytics notifier gateway; do \
	    docker build --target $$program --tag sales-pipeline-$$program:$(VERSION) . || exit 1; \
	done

lint: fmt-check clippy buf deny prepare-check ## format, clippy, protobuf, licences, SQL

fmt: ## format the code
	cargo fmt --all

fmt-check: tools
	cargo fmt --all --check

clippy: tools
	cargo clippy --workspace --all-targets -- -D warnings

buf: build
	$(LOCAL) tool buf lint proto
	$(LOCAL) tool buf breaking proto --against $(CONTRACT)
	@$(LOCAL) tool buf breaking $(CONTRACT) --against proto || { echo "proto/ has grown by that: \`make contract\` writes it down, for good"; exit 1; }

contract: build ## write down what is new in proto/, so that it is kept from then on
	$(LOCAL) tool buf breaking proto --against $(CONTRACT)
	$(LOCAL) tool buf build proto --exclude-source-info --output $(CONTRACT)

deny: build
	$(LOCAL) tool cargo-deny check bans licenses sources

prepare: tools ## write down for builds what a database says of the SQL statements (.sqlx)
	cargo build -p local
	$(LOCAL) prepare

prepare-check: build
	$(LOCAL) prepare --check

bench: tools ## measure; results go to bench/RESULTS.md (ARGS=)
	cargo build --release --bins $(PRODUCT) -p bench
	$(TARGET)/release/local with-servers --durable -- $(TARGET)/release/bench $(ARGS)

bench-large: tools ## measure with a million opportunities, and imports and exports; prints a part of bench/RESULTS.md (ARGS=)
	cargo build --release --bins $(PRODUCT)
	python3 bench/large.py $(ARGS)

bench-analytics: tools ## measure reports, training, rebuilding and catching up with a million opportunities (ARGS=)
	cargo build --release --bins $(PRODUCT)
	python3 bench/analytics.py $(ARGS)

bench-forecast: tools ## how good the forecast is on histories whose truth is known
	cargo run --release --quiet --package forecast --example bench

seed: tools ## write N=100000 opportunities where `make run` finds them
	cargo build --profile $(PROFILE) --bins $(PRODUCT)
	@$(TARGET)/$(PROFILE:dev=debug)/local seed --count $(N)

clean-data: tools ## delete the data of `make run`
	@local=$$(ls -t $(TARGET)/release/local $(TARGET)/debug/local 2>/dev/null | head -n 1); \
	[ -n "$$local" ] || { cargo build -p local && local=$(LOCAL); }; "$$local" clean-data
