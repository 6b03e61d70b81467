"""Trapline: from a card full of camera-trap photos to a species table one can defend.

Three nouns and the arrows between them: a `Catalog` of media, split by a splitter, trains a `ModelFile`,
which gives `Predictions`. Every arrow is a method of its noun and a function of `trapline.api`; those most
used are here too.

Each name is imported when it is first used, so that `import trapline` stays quick.
"""

import lazy_loader

__version__ = "0.1.0"

_find, _, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name):
    if name not in __all__:
        import difflib

        near = difflib.get_close_matches(name, __all__, 1)
        hint = f". Did you mean '{near[0]}'?" if near else "; its names are in trapline.__all__"
        raise AttributeError(f"module 'trapline' has no attribute '{name}'{hint}")
    return _find(name)


def __dir__():
    return [*__all__, "__version__"]
