"""From decided observations to the tables that an ecologist publishes: effort, histories, rates, models.

The functions of this room are its arrows, in Python as on the command line: `trapline ecology histories` is
`trapline.ecology.detection_histories`. Each number comes with its interval, and its source stands where it is
computed.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
