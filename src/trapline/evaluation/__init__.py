"""How good predictions are and what is in a catalog: typed results, and reports a person reads."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
