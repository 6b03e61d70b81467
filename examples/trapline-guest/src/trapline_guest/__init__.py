"""A package that extends Trapline; each module is named by an entry point in pyproject.toml."""
