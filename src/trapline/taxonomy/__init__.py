"""The tree of taxa, the labels that map onto it, and probabilities summed up it."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
