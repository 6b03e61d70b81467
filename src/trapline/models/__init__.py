"""Networks, backbones and their weights; the model file.

What needs tables or onnx is imported when it is first used: a server that answers photos needs neither.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
