"""`python -m trapline.serving.ready [PORT]`: status 0 if this machine's server is ready; for health checks.

An image that holds no curl can be asked by this; nothing but the standard library is imported.
"""

from __future__ import annotations

import sys
import urllib.request


def is_ready(port: int, seconds: float = 2.0) -> bool:
    """Whether the server at this port of this machine says that it can answer."""
    try:
        address = f"http://127.0.0.1:{port}/health/ready"
        with urllib.request.urlopen(address, timeout=seconds) as response:
            return bool(response.status == 200)
    except OSError:
        return False


if __name__ == "__main__":
    sys.exit(0 if is_ready(int(sys.argv[1]) if len(sys.argv) > 1 else 8080) else 1)
