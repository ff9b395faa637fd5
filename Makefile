# The only door: what people and CI type. Everything that is built or fetched lives in target/.
SHELL := /bin/bash
.DEFAULT_GOAL := help
cargo := scripts/cargo.sh

# Tests that need no server. The whole workspace is named with them: its features are those of every other build.
pure := tidy path canvas compression golden message props repr yaml json msgpack

.PHONY: help
help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | while IFS=$$'\t' read -r name text; do printf '  make %-14s %s\n' "$$name" "$$text"; done

.PHONY: run
run: build plugins ## Build everything, then watch tasks run in sandboxes on real input
	@scripts/demo.sh

.PHONY: build
build: setup ## Build target/release/umbel
	@scripts/build.sh

.PHONY: plugins
plugins: build ## Build the example plugins to target/plugins/*.wasm
	@scripts/build-plugins.sh

.PHONY: guests
guests: setup ## Build the hostile guests of the sandbox tests
	@scripts/build-guests.sh

.PHONY: setup
setup: ## Install what building needs and this machine lacks
	@scripts/setup.sh build

.PHONY: man
man: build ## Write the manual's pages to target/man
	@target/release/umbel man target/man

.PHONY: venv
venv: ## Make target/venv, the Python environment of the tests
	@scripts/setup.sh test

.PHONY: test
test: venv guests ## Run every test, against real brokers and real Celery
	@scripts/test-sdk.sh
	@scripts/build.sh tests
	@scripts/build-plugins.sh
	@scripts/test.sh

.PHONY: test-languages
test-languages: venv setup ## From `umbel new` to a result in Celery, in every language (LANGUAGES="c go" for some)
	@scripts/build.sh tests
	@scripts/build-plugins.sh
	@scripts/test-languages.sh

.PHONY: docs
docs: setup ## Make a book of docs/ in target/book, and check its links
	@scripts/docs.sh

.PHONY: check
check: setup ## Format, lints, layers, documentation, and the tests that need no broker
	@$(cargo) fmt --all --check
	@$(cargo) clippy --release --workspace --all-targets --locked -- -D warnings
	@RUSTDOCFLAGS=-Dwarnings $(cargo) doc --release --locked --quiet --workspace --no-deps
	@$(cargo) test --release --locked -q --workspace --lib $(addprefix --test ,$(pure))
	@scripts/test-sdk.sh check
	@scripts/deny.sh

.PHONY: deny
deny: setup ## Check licences, bans and sources with cargo-deny, built if it is missing
	@scripts/deny.sh

.PHONY: bench
bench: venv build plugins ## Measure: the engine, and whole workers beside Celery
	@scripts/bench.sh

.PHONY: bench-languages
bench-languages: venv build ## Measure one function in five languages: building it, its size, its calls
	@scripts/bench.sh languages

.PHONY: hostile
hostile: build plugins guests ## Measure every hostile behaviour: its ending, its lateness, its neighbours
	@scripts/bench.sh hostile

.PHONY: fuzz
fuzz: setup ## Feed mutated messages and components to their readers, ten minutes for each
	@scripts/fuzz.sh

.PHONY: hotswap
hotswap: build plugins ## Replace a plugin fifty times under load; load a thousand of them
	@UMBEL_SWAPS=50 UMBEL_MANY_PLUGINS=1000 scripts/test.sh --test reload -- --nocapture --test-threads 1 swapped many

.PHONY: soak
soak: build plugins ## Run two million tasks of all plugins (TASKS=n), and look at memory and files
	@UMBEL_SOAK=$${TASKS:-2000000} scripts/test.sh --test reload -- --nocapture a_long_run

.PHONY: clean
clean: ## Remove everything that was built or fetched
	rm -rf target
