from .api import card as card
from .api import combine as combine
from .api import compare as compare
from .api import detect as detect
from .api import evaluate as evaluate
from .api import explore as explore
from .api import export as export
from .api import predict as predict
from .api import read as read
from .api import run as run
from .api import split as split
from .api import submit as submit
from .api import train as train
from .api import tune as tune
from .api import write as write
from .catalog import AtRandom as AtRandom
from .catalog import ByColumn as ByColumn
from .catalog import ByDate as ByDate
from .catalog import ByEvent as ByEvent
from .catalog import ByLocation as ByLocation
from .catalog import BySeason as BySeason
from .catalog import Catalog as Catalog
from .errors import TraplineError as TraplineError
from .evaluation import Evaluation as Evaluation
from .models import ModelFile as ModelFile
from .prediction import Predictions as Predictions

__version__: str
