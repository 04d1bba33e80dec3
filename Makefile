# `make demo` and `make test` set up all that they need; ci/setup.sh says what it installs and why.
.DEFAULT_GOAL := help
.PHONY: help demo test check nightly format setup clean

help: ## show these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## a real model on an emulated Cortex-M4, checked bit by bit, and updated while it runs
	@ci/setup.sh demo
	@.venv/bin/tinyops demo
	@.venv/bin/tinyops demo --update

test: ## linters, type checker and all tests
	@ci/setup.sh test
	@ci/test.sh

check: ## linters, type checker and the fast tests, in under three minutes
	@ci/setup.sh test
	@ci/test.sh fast

nightly: ## hours of what make test does briefly: power cuts, fuzzing, random examples
	@ci/setup.sh test
	@ci/nightly.sh

format: ## format Python and C
	@ci/setup.sh test
	@ci/format.sh

setup: ## only the set-up for development: .venv, cross compilers, emulators
	@ci/setup.sh test

clean: ## remove the environment, caches and builds
	rm -rf .venv .cache build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find tinyops tests -name __pycache__ -type d -prune -exec rm -rf {} +
