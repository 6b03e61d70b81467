"""Pure numbers: arrays in, figures and their intervals out. Shapes are given in `trapline.metrics.inputs`."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
