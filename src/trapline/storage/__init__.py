"""Where bytes come from and go to: files fetched, archives taken apart, one writer at a time."""

from trapline.storage.http import MOST_BYTES, Downloaded, download
from trapline.storage.lock import lock
from trapline.storage.unpack import safe_unzip, unpack, zip_names

__all__ = ["MOST_BYTES", "Downloaded", "download", "lock", "safe_unzip", "unpack", "zip_names"]
