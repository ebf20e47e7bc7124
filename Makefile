# The one front door for commands; `.ci/run` comes in by it, too. `make` alone lists the targets.

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
EXAMPLE := examples/words.py
VSIX := editors/vscode/dist/infill.vsix

.PHONY: help demo test check wheel bench editors vscode

help: ## list these targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/\1	\2/p' $(MAKEFILE_LIST) | expand -t 8

demo: .venv/.local ## fill the holes of a shipped example and watch the canvas resolve
	$(BIN)/infill-lsp fill $(EXAMPLE) --watch

test: .venv/.dev editors check ## run every check and test that this machine can run
	OMP_NUM_THREADS=1 PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

check: .venv/.dev wheel ## lint, format, types, contents of the wheel
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright

wheel: .venv/.dev ## build the wheel into dist/ and look what is in it
	rm -rf dist
	$(BIN)/python -m build --wheel --outdir dist >dist.log 2>&1 || { cat dist.log; exit 1; }
	@rm dist.log
	$(BIN)/check-wheel-contents dist

bench: .venv/.local ## measure speed and quality on this machine
	$(BIN)/infill-lsp bench

# Without an editor its tests are left out, by name; in CI that would hide a break, so it ends there.
editors: .venv/.dev vscode
	@PATH="$(CURDIR)/$(BIN):$$PATH" editors/bring.sh --helix \
	|| { echo "left out: Neovim or Helix (it could not be brought, see above)"; [ "$$CI" != true ]; }

# Where the extension cannot be packaged, an old one is taken away, so that it is not driven instead.
vscode: ## bring VS Code and package its extension for the tests; INFILL_VSCODE=0 leaves it out
	@[ "$$INFILL_VSCODE" = 0 ] || { editors/vscode/bring.sh && $(MAKE) --no-print-directory $(VSIX); } \
	|| { echo "left out: VS Code (it could not be brought, see above)"; rm -f $(VSIX); [ "$$CI" != true ]; }

$(VSIX): $(wildcard editors/vscode/src/*.ts editors/vscode/*.json editors/vscode/*.md editors/vscode/walkthrough/*)
	cd editors/vscode && npm ci --no-audit --no-fund --loglevel=error && npm run --silent package >package.log 2>&1 \
	|| { cat package.log; rm -f dist/infill.vsix; false; }
	@rm editors/vscode/package.log; touch $@

# What is installed, one stamp a stage: it is done anew only when what it was made from changes.

.venv/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "infill-lsp needs Python 3.11 or newer, and $(PYTHON) is: $$($(PYTHON) --version 2>&1)."; \
	  echo "Name a newer one, for instance: make PYTHON=python3.12 demo"; exit 1; }
	$(PYTHON) -m venv .venv
	$(PIP) install --quiet --upgrade 'pip>=25.1' # --group came with 25.1
	touch $@

# torch goes first and alone, named exactly so: then the machine's own index decides which build it
# is, and no resolver trades it for one that brings gigabytes of CUDA along.
.venv/.local: .venv/.made pyproject.toml constraints.txt
	$(PIP) install "$$(grep '^torch==' constraints.txt)"
	$(PIP) install --quiet --constraint constraints.txt --editable '.[local]'
	touch $@

.venv/.dev: .venv/.local
	$(PIP) install --quiet --constraint constraints.txt --editable '.[train,ray]' --group dev
	touch $@
