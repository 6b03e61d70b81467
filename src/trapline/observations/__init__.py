"""Who says what of which media: a model, people, a detector; one table, and whose word stands in it."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
