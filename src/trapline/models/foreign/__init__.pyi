from .description import Description as Description
from .description import describe as describe
from .description import read_labels as read_labels
from .description import read_manifest as read_manifest
from .importing import Imported as Imported
from .importing import import_model as import_model
