from .http import MOST_BYTES as MOST_BYTES
from .http import Downloaded as Downloaded
from .http import download as download
from .lock import lock as lock
from .unpack import safe_unzip as safe_unzip
from .unpack import unpack as unpack
from .unpack import zip_names as zip_names
