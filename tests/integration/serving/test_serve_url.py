"""Photos by address: from the allowed host, and never from inside the network."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from serving_process import PictureHost, Running

from trapline import ModelFile
from trapline.serving import fetch
from trapline.serving.answers import answer, as_flat
from trapline.serving.body import Body, Held
from trapline.serving.fetch import Fetcher, is_public
from trapline.serving.lambda_handler import build_handler, settings_from
from trapline.serving.refusals import RefusedError

pytestmark = pytest.mark.slow

JPEG = {"content-type": "image/jpeg"}

_INSIDE = """
127.0.0.1 127.1.2.3 10.0.0.1 172.16.3.4 192.168.1.1 169.254.169.254 100.64.0.1 0.0.0.0 224.0.0.1
255.255.255.255 192.0.2.1 198.18.0.1 240.0.0.1 ::1 :: fe80::1 fe80::1%eth0 fd00:ec2::254 ff02::1
::ffff:127.0.0.1 ::ffff:10.0.0.1 64:ff9b::a00:1 2002:7f00:1:: 2001:db8::1 fec0::1 localhost
"""


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.215.14", True),
        ("2606:2800:21f:cb07:6820:80da:af6b:8b2c", True),
        ("64:ff9b::5db8:d70e", True),
        *[(address, False) for address in _INSIDE.split()],
    ],
)
def test_only_addresses_of_the_public_internet_are_public(address: str, public: bool) -> None:
    assert is_public(address) is public


def test_the_published_clients_request_gets_the_documented_flat_answer(
    server: Running, picture_host: PictureHost, photos: list[bytes]
) -> None:
    picture_host.answers["/a.jpg"] = (200, JPEG, photos[0])
    picture_host.answers["/moved.jpg"] = (302, {"location": "/a.jpg"}, b"")
    for path in ("/a.jpg", "/moved.jpg"):
        url = f"https://species.example:{picture_host.port}{path}"
        status, found = server.json("POST", "/predict", {"url": url})
        assert status == 200, found
        assert list(found) == ["blank", "hare", "lynx"]
        assert sum(found.values()) == pytest.approx(1, abs=1e-5)


def flat(model: Path, photo: bytes) -> dict[str, float]:
    """What the model in this process says of a photo."""
    opened = ModelFile(model)
    return as_flat(answer(opened, [photo])[0], opened.card)


def test_the_published_gateways_request_is_answered_by_the_model_server_behind(
    start: Callable[..., Running],
    server: Running,
    models: dict[str, Path],
    picture_host: PictureHost,
    photos: list[bytes],
) -> None:
    picture_host.answers["/behind.jpg"] = (200, JPEG, photos[1])
    name = f"species.example:{picture_host.port}"
    front = start(
        *(f"species={models['species']}", "--no-grpc", "--allow-url", name),
        *("--backend", f"grpc://127.0.0.1:{server.grpc_port}"),
        SSL_CERT_FILE=str(picture_host.certificate),
    )
    status, found = front.json("POST", "/predict", {"url": f"https://{name}/behind.jpg"})
    assert status == 200, found
    assert found == pytest.approx(flat(models["species"], photos[1]), abs=1e-6)
    assert list(found) == ["blank", "hare", "lynx"]
    front.stop()


def test_the_published_functions_event_is_answered_flat_by_lambda(
    allowed: Any, models: dict[str, Path], photos: list[bytes]
) -> None:
    _, host, _ = allowed
    host.answers["/lambda.jpg"] = (200, JPEG, photos[2])
    name = f"species.example:{host.port}"
    environment = {"TRAPLINE_MODEL": f"species={models['species']}", "TRAPLINE_ALLOW_URL": name}
    handler = build_handler(settings_from(environment))
    found = handler({"url": f"https://{name}/lambda.jpg"}, None)
    assert found == pytest.approx(flat(models["species"], photos[2]), abs=1e-6)
    body = json.dumps({"url": f"https://{name}/lambda.jpg"})
    http = {"method": "POST", "path": "/predict", "sourceIp": "192.0.2.1"}
    event = {"version": "2.0", "rawQueryString": "", "requestContext": {"http": http}, "body": body}
    answered = handler({**event, "headers": {"content-type": "application/json"}}, None)
    assert answered["statusCode"] == 200
    assert json.loads(answered["body"]) == found
    assert handler({"url": "https://elsewhere.example/a.jpg"}, None)["code"] == "forbidden"


@pytest.fixture
def allowed(
    picture_host: PictureHost, monkeypatch: pytest.MonkeyPatch
) -> tuple[Fetcher, PictureHost, list[str]]:
    """A fetcher, its host, and the addresses to which every name resolves (changed by tests)."""
    addresses = ["127.0.0.1"]

    async def resolve(host: str, port: int) -> list[str]:
        return addresses

    monkeypatch.setenv("SSL_CERT_FILE", str(picture_host.certificate))
    monkeypatch.setattr(fetch, "resolve", resolve)
    monkeypatch.setattr(fetch, "is_public", lambda address: address == "127.0.0.1" or is_public(address))
    return Fetcher([f"species.example:{picture_host.port}"]), picture_host, addresses


def refused(fetcher: Fetcher, url: str, seconds: float = 5) -> str:
    with pytest.raises(RefusedError) as found:
        asyncio.run(fetcher.fetch(url, seconds))
    return str(found.value)


def test_addresses_that_are_not_allowed_are_never_asked(allowed: Any) -> None:
    fetcher, host, _ = allowed
    name = f"species.example:{host.port}"
    assert "fetches nothing" in refused(Fetcher(), f"https://{name}/a.jpg")
    for url in (
        f"http://{name}/a.jpg",
        f"https://user@{name}/a.jpg",
        "https://species.example/a.jpg",
        "https://other.example/a.jpg",
        f"https://species.example.evil.example:{host.port}/",
        f"https://evil.example\\@{name}/a.jpg",
        "https://127.0.0.1/a.jpg",
        "file:///etc/passwd",
        "https://",
        "",
    ):
        assert "https addresses" in refused(fetcher, url) or "not fetch from that host" in refused(
            fetcher, url
        )
    assert "not the address" in refused(fetcher, f"https://{name}/a b.jpg")
    assert "not the address" in refused(fetcher, "https://[::1/a.jpg")


def test_a_name_that_points_inside_is_refused_whatever_else_it_points_to(allowed: Any) -> None:
    fetcher, host, addresses = allowed
    for inside in (["10.0.0.1"], ["93.184.215.14", "169.254.169.254"], []):
        addresses[:] = inside
        assert "public internet" in refused(fetcher, f"https://species.example:{host.port}/a.jpg")


def test_redirects_go_through_the_same_checks(allowed: Any) -> None:
    fetcher, host, _ = allowed
    base = f"https://species.example:{host.port}"
    for place, target in enumerate(
        ("http://species.example/", "https://169.254.169.254/", "file:///etc/passwd")
    ):
        host.answers[f"/{place}"] = (302, {"location": target}, b"")
        said = refused(fetcher, f"{base}/{place}")
        assert "https addresses" in said or "that host" in said
    host.answers["/round"] = (302, {"location": "/round"}, b"")
    assert "redirects more than 3 times" in refused(fetcher, f"{base}/round")


def test_what_is_no_photo_or_too_much_or_too_slow_is_refused(allowed: Any, photos: list[bytes]) -> None:
    fetcher, host, _ = allowed
    base = f"https://species.example:{host.port}"
    host.answers |= {
        "/page": (200, {"content-type": "text/html"}, b"<html>"),
        "/packed": (200, JPEG | {"content-encoding": "gzip"}, b"x"),
        "/said": (200, JPEG | {"content-length": str(10**10)}, b"x"),
        "/long": (200, JPEG, b"\0" * (33 * 2**20)),
        "/slow.jpg": (200, JPEG | {"content-length": "1000"}, b"x"),
    }
    assert "status 404" in refused(fetcher, f"{base}/none")
    assert "no photo" in refused(fetcher, f"{base}/page")
    assert "no photo" in refused(fetcher, f"{base}/packed")
    assert "more than 33554432 bytes" in refused(fetcher, f"{base}/said")
    assert "more than 33554432 bytes" in refused(fetcher, f"{base}/long")
    with pytest.raises(RefusedError, match="in time") as late:  # the request's own deadline, not the host's
        asyncio.run(fetcher.fetch(f"{base}/slow.jpg", 0.5))
    assert late.value.kind.http == 504


def test_what_is_fetched_counts_among_the_bytes_in_memory(allowed: Any) -> None:
    fetcher, host, _ = allowed
    host.answers["/large"] = (200, JPEG, b"\0" * 300_000)
    body = Body(Held(most=400_000))
    url = f"https://species.example:{host.port}/large"
    with body:
        assert len(asyncio.run(fetcher.fetch(url, 5, body.hold))) == body.held.bytes == 300_000
        with pytest.raises(RefusedError, match="Try again"):
            asyncio.run(fetcher.fetch(url, 5, body.hold))
    assert body.held.bytes == 0


def test_a_certificate_that_nobody_vouches_for_is_refused(
    allowed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetcher, host, _ = allowed
    monkeypatch.delenv("SSL_CERT_FILE")
    assert "could not be fetched" in refused(fetcher, f"https://species.example:{host.port}/a.jpg")
