"""What competitions ask for: submission files, and packages of code with their trial (`code_execution`)."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
