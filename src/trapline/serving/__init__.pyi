from .server import Ports as Ports
from .server import configure_log as configure_log
from .server import serve as serve
from .settings import Settings as Settings
from .settings import name_models as name_models
