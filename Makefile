.DEFAULT_GOAL := help
.PHONY: help demo serve studio test-studio bench-studio frontends test-frontends test test-server test-browser test-all test-bounds test-ecosystem test-ray test-deep test-chaos package check check-quick bench bench-quick bench-server beside docs format

FILE ?= README.md
export FILE PYTHON

help:
	@echo "make demo        watch a graph summarise README.md (FILE=any.txt make demo)"
	@echo "make serve       serve the graphs of examples/ on http://127.0.0.1:2024 (PORT=2025)"
	@echo "make studio      build the page to watch runs into the package; served at /studio"
	@echo "make test        run the tests on the default CPython, in about four minutes"
	@echo "make test-all    run what takes longer, and the tests on every other CPython 3.10-3.14"
	@echo "make test-bounds  run the tests with the lowest and the newest packages allowed"
	@echo "make test-ecosystem  run LangChain's packages on langgraph and on millstream"
	@echo "make test-ray    run nodes on a Ray cluster of this machine, in an environment of its own"
	@echo "make test-server  run the tests of the server alone"
	@echo "make test-studio check the studio and test it in a real browser"
	@echo "make frontends   serve a page for each kind of front end, all of one graph (ALL=1)"
	@echo "make test-frontends  use these pages in a real browser (ALL=1: that of CopilotKit as well)"
	@echo "make test-browser  run LangChain's hooks for React in a real browser, against the server"
	@echo "make test-chaos  disturb three replicas for ten minutes while clients talk to them (SECONDS=90)"
	@echo "make test-deep   compare many more random graphs with langgraph"
	@echo "make package     build sdist and wheel twice, and try them in empty environments"
	@echo "make check       ruff, mypy, import contracts, branch coverage of core and channels"
	@echo "make check-quick what a commit needs of it, in less than a minute"
	@echo "make bench       measure side by side with other engines; writes benchmarks/RESULTS.md"
	@echo "make bench-quick the same in two minutes, for a look; writes nothing"
	@echo "make bench-server  measure the server beside langgraph dev and aegra; writes benchmarks/SERVER.md"
	@echo "make bench-studio  measure how quick the studio is in a real browser"
	@echo "make beside      ask langgraph dev and millstream the same, and tell what differs"
	@echo "make docs        make the site of the documentation, build/site"
	@echo "make format      let ruff format and fix"

demo:
	@scripts/setup-env .venv run
	@.venv/bin/python scripts/demo.py

serve:
	@scripts/setup-env .venv server
	@.venv/bin/millstream dev --config examples/langgraph.json $(if $(PORT),--port $(PORT))

studio:
	@scripts/studio build

test-studio:
	@scripts/setup-env .venv dev
	@scripts/setup-programs chromium
	@scripts/studio test

frontends:
	@scripts/setup-env .venv server
	@scripts/frontends serve $(if $(PORT),--port $(PORT))

test-frontends:
	@scripts/setup-env .venv dev
	@scripts/setup-programs chromium
	@scripts/frontends test

bench-studio:
	@scripts/setup-env .venv dev
	@scripts/setup-programs chromium
	@scripts/studio bench

test:
	@scripts/services.sh run -- scripts/test

test-all:
	@scripts/services.sh run -- scripts/test all

test-bounds:
	@scripts/services.sh run -- scripts/bounds

test-ecosystem:
	@scripts/services.sh run -- scripts/ecosystem

test-ray:
	@scripts/setup-env build/ray test,ray
	@build/ray/bin/python -m pytest -q -rfERs $(if $(LONG),,-m "not long") tests/cluster

test-server:
	@scripts/setup-env .venv dev
	@.venv/bin/python -m pytest -q tests/server

test-browser:
	@scripts/setup-env .venv dev
	@scripts/setup-programs chromium
	@MILLSTREAM_BROWSER=1 .venv/bin/python -m pytest -q -m long tests/server/test_browser.py

test-chaos:
	@scripts/setup-env .venv dev
	@ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null || scripts/install-debian postgresql
	@PYTHONPATH=tests .venv/bin/python -m chaos --seconds $(or $(SECONDS),600) $(if $(SEED),--seed $(SEED))

test-deep:
	@scripts/setup-env .venv dev
	HYPOTHESIS_PROFILE=deep .venv/bin/python -m pytest -q --timeout=7200 tests/differential

package:
	@scripts/release --draft

check:
	@scripts/setup-env .venv dev
	@scripts/check

check-quick:
	@scripts/setup-env .venv dev
	@scripts/check quick

bench:
	@scripts/setup-env .venv dev
	@scripts/setup-bench
	@scripts/setup-env build/ray test,ray || echo "measuring without a Ray cluster"
	@scripts/services.sh run -- .venv/bin/python -m benchmarks

bench-quick:
	@scripts/setup-env .venv dev
	@scripts/setup-bench
	@scripts/setup-env build/ray test,ray || echo "measuring without a Ray cluster"
	@scripts/services.sh run -- .venv/bin/python -m benchmarks --quick

bench-server:
	@scripts/setup-env .venv dev
	@scripts/setup-bench-server
	@scripts/services.sh run -- .venv/bin/python -m benchmarks.servers

beside:
	@scripts/beside

docs:
	@scripts/docs

format:
	@scripts/setup-env .venv dev
	@.venv/bin/ruff check --fix
	@.venv/bin/ruff format
