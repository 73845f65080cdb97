# Every target is one line in `make help`, which reads the `##` comments here.

SHELL := /bin/bash
# The artefacts' paths are part of the project, so a target directory set elsewhere does not count.
export CARGO_TARGET_DIR := $(CURDIR)/target
unexport CARGO_BUILD_TARGET
# Where the end-to-end tests find what they test.
export SLUICEGATE := $(CURDIR)/target/release/sluicegate
export SLUICEGATE_WASM := $(CURDIR)/target/wasm32-wasip1/release/sluicegate.wasm
# The filter that a request can bring down, on purpose.
export SLUICEGATE_TRAP_WASM := $(CURDIR)/target/trap/wasm32-wasip1/release/sluicegate.wasm

# The end-to-end tests wait more than they compute: at least four at a time.
RUST_TEST_THREADS ?= $(shell n=$$(getconf _NPROCESSORS_ONLN); echo $$((n > 4 ? n : 4)))
export RUST_TEST_THREADS

.NOTPARALLEL:
.PHONY: help build run reload test check unit e2e test-docker advisories coverage bench micro fuzz-smoke schema up down envoy-image clean trap

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build the filter (wasm) and the command line, and nothing else
	@scripts/need-rust
	cargo build --release --locked --lib --target wasm32-wasip1
	cargo build --release --locked --bin sluicegate

run: ## start the gateway before a demo upstream on 127.0.0.1:8080, until Ctrl-C
	@scripts/run

reload: ## apply an edited policy to the gateway of `make run` or `make up`
	@scripts/reload

test: ## everything: check, unit, build, e2e, and test-docker where docker answers
	@scripts/need-rust
	@scripts/test-docker --need
	@$(MAKE) --no-print-directory check unit build e2e test-docker

check: ## format, lints for native and wasm32, documentation, spelling, licences of dependencies; warnings are errors
	cargo fmt --check
	cargo fmt --check --manifest-path fuzz/Cargo.toml
	cargo clippy --locked --all-targets --all-features -- -D warnings
	cargo clippy --locked --lib --examples --target wasm32-wasip1 -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --locked --no-deps
	@scripts/check-envoy-version
	@scripts/check-spelling
	@scripts/check-dependencies licenses bans sources

unit: ## unit, property and simulation tests
	cargo test --locked

trap:
	CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 CARGO_TARGET_DIR=$(CURDIR)/target/trap \
	  cargo build --quiet --release --locked --lib --target wasm32-wasip1 --features trap

e2e: build trap ## the built filter in a real Envoy process
	ENVOY="$$(scripts/get-envoy)" && export ENVOY && cargo test --locked --features e2e --test e2e

test-docker: build trap ## the same scenarios in containers, and what only containers can show
	@scripts/test-docker

advisories: ## look for known vulnerabilities of the dependencies; needs github.com
	@scripts/check-dependencies advisories

coverage: ## measure which lines the unit tests reach: a sum, and target/coverage/html/index.html
	@scripts/coverage

bench: build ## measure cost in Envoy beside other filters: PART="requests bodies …" for some (all)
	cargo build --release --locked --example noop --example floor --example calls --target wasm32-wasip1
	ENVOY="$$(scripts/get-envoy)" && export ENVOY && \
	  SLUICEGATE_NOOP=$(CURDIR)/target/wasm32-wasip1/release/examples/noop.wasm \
	  SLUICEGATE_FLOOR=$(CURDIR)/target/wasm32-wasip1/release/examples/floor.wasm \
	  SLUICEGATE_CALLS=$(CURDIR)/target/wasm32-wasip1/release/examples/calls.wasm \
	  cargo bench --locked --bench bench -- $(PART)

micro: ## tell what the steps of the request path cost natively: time, instructions, allocations, host calls; JSON=FILE
	@scripts/need-rust
	cargo bench --locked --profile micro --bench micro$(if $(JSON), -- --json $(JSON))

fuzz-smoke: ## feed random bytes to the payload meters and the policy readers, for SECONDS_EACH (10) seconds to each of seven
	@scripts/need-rust
	@scripts/fuzz-smoke

schema: ## write docs/policy.schema.json anew, after the policy language has changed
	cargo run --quiet --locked --bin sluicegate -- schema > docs/policy.schema.json.new
	mv docs/policy.schema.json.new docs/policy.schema.json

up: ## the same as run under docker, on 127.0.0.1:$SLUICEGATE_PORT (8080)
	@scripts/up

down: ## remove what up started
	@scripts/down

envoy-image: ## build an Envoy image here, for machines that can pull none
	@scripts/envoy-image

clean: ## remove target/ and .venv/
	rm -rf target .venv
