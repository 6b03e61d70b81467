"""From predictions to predictions: tables combined, probabilities weighed by what lives near."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
