# Two commands matter: `make demo` and `make test`. Each sets up everything it needs and is quick the second time.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# Processes that run tests at once, 0: none but pytest's own. See tests/parallel.py.
JOBS ?= 2
PARALLEL = $(shell $(BIN)/python -c 'import xdist' 2>/dev/null && echo --numprocesses $(JOBS))

.PHONY: demo test lint format bench image notebooks lock clean

demo: $(READY)  ## A scripted model, a real kernel in a real sandbox: writes demo.ipynb
	@$(BIN)/cell-gateway demo

test: lint image  ## Lint, types and all tests
	@$(BIN)/python -m pytest $(PARALLEL) $(PYTEST)

lint: $(READY)
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/pyright

format: $(READY)
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: image  ## One table: ours beside a bare kernel, nbclient and jupyter_kernel_gateway
	@$(BIN)/python -m benchmarks

image: $(READY)
	@$(BIN)/cell-gateway image build

notebooks: image  ## Run the example notebooks anew
	@$(BIN)/python -m notebooks.make

lock:
	$(BIN)/uv pip compile pyproject.toml --all-extras --group test --group lint --universal --python-version 3.10 \
	  --generate-hashes --no-emit-index-url --no-annotate --upgrade --custom-compile-command "make lock" -o requirements.lock

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .ruff_cache .hypothesis

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { echo "Python 3.10 or newer is needed: make PYTHON=python3.12"; exit 2; }
	@test -x $(BIN)/pip || { echo "Making a virtual environment in $(VENV)"; $(PYTHON) -m venv $(VENV) || \
	  { echo "python3 -m venv does not work here; on Debian and Ubuntu: apt-get install python3-venv"; exit 2; }; }
	@test -x $(BIN)/uv || { echo "Installing uv"; $(BIN)/python -m pip install --quiet uv; }
	@echo "Installing the locked dependencies"
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps -e .
	@touch $(READY)
