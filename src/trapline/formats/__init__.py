"""Foreign formats: `readers` into a catalog, `writers` out of predictions, and what both share."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
