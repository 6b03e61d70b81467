"""A page where a person decides: what to ask next, the audit, and what is learnt."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
