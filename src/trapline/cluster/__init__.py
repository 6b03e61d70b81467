"""Work on many machines: a plan of shards, the shards done by anybody, one table of them in the end."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
