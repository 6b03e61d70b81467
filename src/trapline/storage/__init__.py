"""Where bytes come from and go to: files fetched or written whole, archives unpacked, one writer at once."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
