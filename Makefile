# Every target has a line in `make help`, from the `##` comments here.

SHELL := /bin/bash
# The artefacts' paths are part of the project, so a target directory set elsewhere is ignored.
export CARGO_TARGET_DIR := $(CURDIR)/target
unexport CARGO_BUILD_TARGET
# The artefacts that the end-to-end tests use.
export SLUICEGATE := $(CURDIR)/target/release/sluicegate
export SLUICEGATE_WASM := $(CURDIR)/target/wasm32-wasip1/release/sluicegate.wasm
# The filter with a trap that a request can trigger, for tests of a failing VM.
export SLUICEGATE_TRAP_WASM := $(CURDIR)/target/trap/wasm32-wasip1/release/sluicegate.wasm
# The filter with counters of another form, for tests of an upgrade.
export SLUICEGATE_OTHER_WASM := $(CURDIR)/target/trap/other.wasm

# The end-to-end tests mostly wait, so at least four run at a time.
RUST_TEST_THREADS ?= $(shell n=$$(getconf _NPROCESSORS_ONLN); echo $$((n > 4 ? n : 4)))
export RUST_TEST_THREADS

# The policy and the image of the manifests in envoy/kubernetes.
MANIFESTS := --policy envoy/presets/enterprise-v2.yaml --image oci://registry.example/sluicegate:0.1.0

.NOTPARALLEL:
.PHONY: help build run reload test check unit soak phases e2e test-matrix test-docker advisories coverage bench micro micro-check micro-baseline fuzz-smoke reference manifests dist test-dist image push up down envoy-image clean trap

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build the filter (wasm) and the command line
	@scripts/need-rust
	cargo build --release --locked --lib --target wasm32-wasip1
	cargo build --release --locked --bin sluicegate

run: ## start the gateway and a demo upstream on 127.0.0.1:8080, until Ctrl-C
	@scripts/run

reload: ## apply an edited policy to the gateway of `make run` or `make up`
	@scripts/reload

test: ## run everything: check, unit, build, phases, e2e, and test-docker if docker is available
	@scripts/need-rust
	@scripts/test-docker --need
	@$(MAKE) --no-print-directory check unit build phases e2e test-docker

check: ## check format, lints (native and wasm32), documentation, spelling and licences; warnings are errors
	cargo fmt --check
	cargo fmt --check --manifest-path fuzz/Cargo.toml
	cargo clippy --locked --all-targets --all-features -- -D warnings
	cargo clippy --locked --lib --examples --target wasm32-wasip1 -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --locked --no-deps
	@scripts/check-envoy-version
	@scripts/check-spelling
	@scripts/check-dependencies licenses bans sources

unit: ## run the unit, property and simulation tests
	cargo test --locked

soak: ## run the simulations of shared limits GAMES (1,000,000) times, and the whole of their model
	GAMES=$${GAMES:-1000000} cargo test --locked --lib -- fleet leases --nocapture

phases: build ## run the built filter in a host that checks each of its calls
	@scripts/test-scenarios phases

trap:
	export CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 CARGO_TARGET_DIR=$(CURDIR)/target/trap && \
	  cargo build --quiet --release --locked --lib --target wasm32-wasip1 --features other-format && \
	  cp target/trap/wasm32-wasip1/release/sluicegate.wasm $(SLUICEGATE_OTHER_WASM) && \
	  cargo build --quiet --release --locked --lib --target wasm32-wasip1 --features trap

e2e: build trap ## run the scenarios against the built filter in an Envoy process, the script in a Redis, and the rules in a Prometheus
	@scripts/check-rules
	REDIS="$$(scripts/get-redis)" && ENVOY="$$(scripts/get-envoy)" && REGISTRY="$$(scripts/get-registry)" && \
	  ROTEL="$$(scripts/get-rotel || true)" && PROMETHEUS="$$(scripts/get-prometheus)" && \
	  export REDIS ENVOY REGISTRY ROTEL PROMETHEUS && \
	  $(CURDIR)/scripts/test-scenarios redis && $(CURDIR)/scripts/test-scenarios e2e

test-matrix: build trap ## run scenarios of presets, updates, Kubernetes and the engine on five versions of Envoy; VERSIONS="oldest 1.39.3 …" selects
	@scripts/test-matrix $(VERSIONS)

test-docker: build trap ## run the same scenarios in containers, and those that need containers
	@scripts/test-docker

advisories: ## check dependencies for known vulnerabilities; needs github.com
	@scripts/check-dependencies advisories

coverage: ## measure the line coverage of the unit tests; report in target/coverage/html/index.html
	@scripts/coverage

bench: build ## measure the cost in Envoy and compare with other filters; PART="requests bodies …" selects parts
	cargo build --release --locked --example noop --example floor --example calls --target wasm32-wasip1
	ENVOY="$$(scripts/get-envoy)" && REDIS="$$(scripts/get-redis)" && export ENVOY REDIS && \
	  SLUICEGATE_NOOP=$(CURDIR)/target/wasm32-wasip1/release/examples/noop.wasm \
	  SLUICEGATE_FLOOR=$(CURDIR)/target/wasm32-wasip1/release/examples/floor.wasm \
	  SLUICEGATE_CALLS=$(CURDIR)/target/wasm32-wasip1/release/examples/calls.wasm \
	  cargo bench --locked --bench bench -- $(PART)

micro: ## run the native micro-benchmarks: time, instructions, allocations, host calls; JSON=FILE
	@scripts/need-rust
	cargo bench --locked --profile micro --bench micro$(if $(JSON), -- --json $(JSON))

micro-check: ## compare instructions, allocations and host calls with the accepted ones (2 %)
	@scripts/need-rust
	@scripts/need-valgrind
	cargo bench --locked --profile micro --bench micro -- --check $(CURDIR)/benches/micro/baseline.json

micro-baseline: ## accept the present instructions, allocations and host calls
	@scripts/need-rust
	@scripts/need-valgrind
	cargo bench --locked --profile micro --bench micro -- --accept $(CURDIR)/benches/micro/baseline.json

fuzz-smoke: ## run the nine fuzz targets (payload meters, policy readers, templates, answers of Redis), each for SECONDS_EACH (10) seconds
	@scripts/need-rust
	@scripts/fuzz-smoke

reference: ## write docs/policy.md and docs/policy.schema.json after a change to the policy language
	cargo run --quiet --locked --bin sluicegate -- schema > docs/policy.schema.json.new
	mv docs/policy.schema.json.new docs/policy.schema.json
	cargo run --quiet --locked --bin sluicegate -- reference > docs/policy.md.new
	mv docs/policy.md.new docs/policy.md

manifests: ## write the manifests of envoy/kubernetes after a change to `render` or to their preset
	cargo run --quiet --locked --bin sluicegate -- render istio $(MANIFESTS) > envoy/kubernetes/istio/sluicegate.yaml.new
	mv envoy/kubernetes/istio/sluicegate.yaml.new envoy/kubernetes/istio/sluicegate.yaml
	cargo run --quiet --locked --bin sluicegate -- render envoy-gateway $(MANIFESTS) --gateway eg > envoy/kubernetes/envoy-gateway/sluicegate.yaml.new
	mv envoy/kubernetes/envoy-gateway/sluicegate.yaml.new envoy/kubernetes/envoy-gateway/sluicegate.yaml

dist: ## build dist/: an archive per machine, SBOM and SHA256SUMS, the same bytes from the same commit
	@scripts/dist

test-dist: ## build dist/ in two directories, compare the bytes, and try the archive with Envoy and docker
	@scripts/test-dist

image: ## write the filter as OCI images to target/image, for Istio and Envoy Gateway; WASM=FILE takes a built one
	@scripts/image

push: ## push these images to a registry, without docker: IMAGE=HOST/NAME:TAG
	@scripts/push "$(IMAGE)"

up: ## as `make run`, in docker, on 127.0.0.1:$SLUICEGATE_PORT (8080); with shared limits also on SLUICEGATE_PORT_2 (8082), with OBSERVE=1 also Prometheus on PROMETHEUS_PORT (9090)
	@scripts/up

down: ## remove the containers of `make up`, and the counters of its engine
	@scripts/down

envoy-image: ## build an Envoy image for machines that cannot pull one
	@scripts/envoy-image

clean: ## remove target/, dist/ and .venv/
	rm -rf target dist .venv
