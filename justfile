# Every check of this house has its command here and nowhere else: the hooks, .ci/run and the public workflow call
# these. `uv run just` lists them; with just of your own (`uv tool install rust-just`) it is `just`.

set windows-shell := ["powershell.exe", "-NoLogo", "-Command"]

run := "uv run --quiet --locked --all-extras"

# what there is
[private]
default:
    @just --list --unsorted

# all that a change must pass
ci: format-check lint types layers forms docs build test

# the whole suite
test *arguments:
    {{ run }} pytest -q -n 2 --dist worksteal {{ arguments }}

# the unit tests that train nothing and start few processes, in about a minute
unit *arguments:
    {{ run }} pytest -q -n 2 --dist worksteal tests/unit -m "not slow" {{ arguments }}

# put the code into its form
format:
    {{ run }} ruff format .

# whether it is in its form
format-check:
    {{ run }} ruff format --check .

# what ruff finds
lint:
    {{ run }} ruff check .

# mypy, strict
types:
    {{ run }} mypy

# no room imports from a room above it
layers:
    {{ run }} lint-imports

# the files that a host reads: schemas, and what would make the workflow unsafe
forms:
    {{ run }} check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/ci.yml
    {{ run }} check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml
    {{ run }} check-jsonschema --builtin-schema vendor.github-issue-config .github/ISSUE_TEMPLATE/config.yml
    {{ run }} check-jsonschema --builtin-schema vendor.github-issue-forms .github/ISSUE_TEMPLATE/wrong.yml .github/ISSUE_TEMPLATE/wish.yml
    {{ run }} check-jsonschema --builtin-schema vendor.citation-file-format CITATION.cff
    {{ run }} pre-commit validate-config .pre-commit-config.yaml
    {{ run }} zizmor --offline --quiet .github

# the site of the documentation, into build/site
docs:
    {{ run }} --group docs python scripts/stage_docs.py build
    {{ run }} --group docs zensical build --strict --clean --config-file build/mkdocs.yml

# the site, at http://localhost:8000
docs-serve: docs
    {{ run }} python -m http.server --bind 127.0.0.1 --directory build/site 8000

# run the notebooks of examples/ again, each in place
notebooks:
    {{ run }} python scripts/run_notebooks.py examples

# change the code where honesty lives, bit by bit, and see what the tests notice; `just mutants --score`
mutants *arguments:
    {{ run }} python scripts/mutation.py {{ arguments }}

# one benchmark with its arguments (`just bench memory.py PHOTOS`), or all in their smallest form
bench *arguments:
    {{ run }} {{ if arguments == "" { "pytest -q tests/integration/test_benchmarks.py" } else { "python benchmarks/" + arguments } }}

# wheel and sdist into dist/, looked through, and used in an environment that has never seen this folder
build:
    uv build --quiet --clear
    {{ run }} twine check --strict dist/*
    {{ run }} check-wheel-contents dist
    {{ run }} python scripts/try_wheel.py dist
