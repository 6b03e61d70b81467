"""A small synthetic camera-trap world, drawn from numbers: for the quickstart, the examples and the tests.

Nothing in it is a photograph and nothing measured on it says anything of real animals.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
