from .decision import Asked as Asked
from .decision import DecidedMedia as DecidedMedia
from .decision import Decision as Decision
from .decision import Sighting as Sighting
from .decision import Suggestion as Suggestion
from .decision import Verdict as Verdict
