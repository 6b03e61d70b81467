"""Send a photo to a Lambda function's local address in each form of event; print answers and times."""

from __future__ import annotations

import base64
import json
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

PATH = "/2015-03-31/functions/function/invocations"


def main(address: str, photo: Path) -> None:
    """Ask four times: bare (cold, then warm), API Gateway REST (v1), HTTP (v2)."""
    text = base64.b64encode(photo.read_bytes()).decode()
    context: dict[str, Any] = {"http": {"method": "POST", "path": "/predict", "sourceIp": "127.0.0.1"}}
    proxied = {"headers": {"content-type": "image/jpeg"}, "body": text, "isBase64Encoded": True}
    http = proxied | {"version": "2.0", "rawQueryString": "top=1", "requestContext": context}
    rest = proxied | {
        "resource": "/predict",
        "path": "/predict",
        "httpMethod": "POST",
        "requestContext": {},
        "queryStringParameters": {"top": "1"},
    }
    events = {
        "bare, cold": {"image": text},
        "bare, warm": {"image": text},
        "REST API": rest,
        "HTTP API": http,
    }
    for name, event in events.items():
        started = time.perf_counter()
        request = urllib.request.Request(address + PATH, json.dumps(event).encode())
        with urllib.request.urlopen(request) as response:
            found = json.load(response)
        seconds = time.perf_counter() - started
        document = json.loads(found["body"]) if "body" in found else found
        top = document["answers"][0]["top"][0]
        print(f"{name:<11} {seconds:6.3f} s  {top['label']} {top['probability']:.3f}")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
