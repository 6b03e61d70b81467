"""The streaming engine, its journal, and the predictions table.

All of it is imported when it is first used: a server that answers photos needs `frames` and `ranks` only,
which are numbers without tables.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
