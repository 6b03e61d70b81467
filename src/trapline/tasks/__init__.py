"""Tasks in processes of their own, here or on the machines of a Ray cluster; what died is tried again."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
