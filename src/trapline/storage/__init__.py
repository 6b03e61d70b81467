"""Where bytes come from and go to: files fetched or written whole, archives opened, one writer at a time."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
