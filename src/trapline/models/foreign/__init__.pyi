from .description import Description as Description
from .description import describe as describe
from .description import label_lines as label_lines
from .description import read_labels as read_labels
from .description import read_manifest as read_manifest
from .description import sides_of as sides_of
from .importing import Imported as Imported
from .importing import import_model as import_model
