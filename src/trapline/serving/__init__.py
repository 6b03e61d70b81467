"""Running a model for others: thin, each part decodes a request, asks `answers`, encodes the answer."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
