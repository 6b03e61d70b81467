from .world import WorldSummary as WorldSummary
from .world import make_world as make_world
