"""A small synthetic camera-trap world, drawn from numbers: for the quickstart, the examples and the tests.

Nothing in it is a photograph and nothing measured on it says anything of real animals.
"""

from trapline.synthetic.world import WorldSummary, make_world

__all__ = ["WorldSummary", "make_world"]
