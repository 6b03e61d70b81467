"""Recipes: what makes a training run repeatable; the five kinds, the named ones, and how one is changed."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
