# Shortcuts; everything is plain cargo. `make` lists them.

CARGO ?= cargo
PORT ?= 60001
ID ?= 1

.DEFAULT_GOAL := help
.PHONY: help cargo build demo run-servers run-clients client test check bench doc clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

cargo:
	@command -v $(CARGO) >/dev/null 2>&1 || { \
	  echo "This needs Rust's cargo, which is not here. Get it from https://rustup.rs, then try again." >&2; \
	  exit 1; }

build: cargo
	@$(CARGO) build --quiet --bins

demo: build ## three servers, two clients, a late update: does causal order hold?
	@mkdir -p target
	@$(CARGO) run --quiet --bin causal-lab -- demo -o target/demo.html

run-servers: build ## West, Central and East in this terminal, until Ctrl-C
	@$(CARGO) run --quiet --bin causal-lab -- servers

run-clients: build ## Alice and Bob play the demo's scenario against them
	@$(CARGO) run --quiet --bin causal-lab -- clients

client: build ## a prompt: make client PORT=60001 ID=1
	@$(CARGO) run --quiet --bin causal-client -- --server $(PORT) --id $(ID)

test: cargo ## all tests
	$(CARGO) test

check: cargo ## format, clippy, docs, tests
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --no-deps
	$(CARGO) test

bench: cargo ## what causality costs, and the store beside Redis (5 to 10 minutes)
	@$(CARGO) build --release --quiet --bins
	@mkdir -p target
	@$(CARGO) run --release --quiet --bin causal-lab -- bench --redis -o target/bench.md

doc: cargo ## the tour of the source, as web pages
	$(CARGO) doc --no-deps

clean: cargo ## remove what was built
	$(CARGO) clean
