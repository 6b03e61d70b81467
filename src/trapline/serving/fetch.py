"""Fetching a photo from an address that a client names, but never one inside our own network.

Only https, only hosts that the operator allowed, only public addresses. The name is resolved once, the
address is checked, and that very address is connected to, so that a name cannot point elsewhere a moment
later (DNS rebinding); a redirect goes through all of it again.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpcore2

from trapline.serving.answers import SERVING_LIMITS
from trapline.serving.refusals import (
    DEADLINE,
    FORBIDDEN,
    INVALID,
    TOO_LARGE,
    UNREADABLE,
    UNSUPPORTED,
    RefusedError,
)

MOST_REDIRECTS = 3
SECONDS = 10.0
"""For one photo, redirects and all."""

_TYPES = ("image/", "application/octet-stream", "binary/octet-stream")
_HEADERS: dict[bytes | str, bytes | str] = {
    "user-agent": "trapline",
    "accept": "image/*",
    "accept-encoding": "identity",
}
_REDIRECTS = (301, 302, 303, 307, 308)
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class Fetcher:
    """Fetches photos from the hosts that were allowed.

    Args:
        allowed: `host`, or `host:port` where the port is not 443; empty allows nothing.
    """

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        self._allowed = frozenset(one if ":" in one else f"{one}:443" for one in allowed)

    async def fetch(
        self, url: str, seconds: float = SECONDS, hold: Callable[[int], None] = lambda _: None
    ) -> bytes:
        """The content at an address.

        Args:
            url: of a photo.
            seconds: to have all of it.
            hold: is told how many bytes have come; may refuse more.

        Raises:
            RefusedError: the address is not allowed, does not answer in time, or has no photo.
        """
        try:
            async with asyncio.timeout(min(seconds, SECONDS)):
                return await self._fetch(url, hold)
        except TimeoutError:
            kind = DEADLINE if seconds < SECONDS else UNREADABLE
            raise RefusedError(kind, "The host of the photo did not answer in time.") from None
        except (
            OSError,
            httpcore2.NetworkError,
            httpcore2.ProtocolError,
            httpcore2.TimeoutException,
        ) as error:
            reason = str(error)[:200] or type(error).__name__
            raise RefusedError(UNREADABLE, f"The photo could not be fetched: {reason}") from None

    async def _fetch(self, url: str, hold: Callable[[int], None]) -> bytes:
        for _ in range(MOST_REDIRECTS + 1):
            target = self._check(url)
            async with (
                httpcore2.AsyncConnectionPool(
                    ssl_context=ssl.create_default_context(), network_backend=_PublicOnly(), http2=False
                ) as pool,
                pool.stream("GET", target, headers=_HEADERS) as response,
            ):
                headers = {name.lower(): value for name, value in response.headers}
                if response.status not in _REDIRECTS:
                    return await _read(response, headers, hold)
                url = urljoin(url, headers.get(b"location", b"").decode("latin-1"))
        raise RefusedError(UNREADABLE, f"The photo's address redirects more than {MOST_REDIRECTS} times.")

    def _check(self, url: str) -> httpcore2.URL:
        """The address as it is asked for, if it may be."""
        if not self._allowed:
            raise RefusedError(FORBIDDEN, "This server fetches nothing; send the photo itself.")
        try:
            parts = urlsplit(url)
            host, port = (parts.hostname or "").rstrip("."), parts.port or 443
        except ValueError:
            raise RefusedError(INVALID, "That is not the address of a photo.") from None
        if parts.scheme != "https" or not host or parts.username is not None:
            raise RefusedError(FORBIDDEN, "Photos are fetched from https addresses without a user name only.")
        if f"{host}:{port}" not in self._allowed:
            raise RefusedError(FORBIDDEN, "This server does not fetch from that host.")
        if not url.isascii() or any(ord(character) <= 32 for character in url):
            raise RefusedError(INVALID, "That is not the address of a photo.")
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return httpcore2.URL(scheme="https", host=host, port=port, target=target)


async def _read(
    response: httpcore2.Response, headers: Mapping[bytes, bytes], hold: Callable[[int], None]
) -> bytes:
    if response.status != 200:
        raise RefusedError(UNREADABLE, f"The host of the photo answered with status {response.status}.")
    kind = headers.get(b"content-type", b"").decode("latin-1").lower()
    if not kind.startswith(_TYPES) or headers.get(b"content-encoding", b"identity") != b"identity":
        raise RefusedError(UNSUPPORTED, "At that address is no photo.")
    most = SERVING_LIMITS.max_bytes
    length = headers.get(b"content-length", b"0")
    content = bytearray()
    if length.isdigit() and int(length) <= most:
        async for chunk in response.aiter_stream():
            hold(len(chunk))
            content += chunk
            if len(content) > most:
                break
        else:
            return bytes(content)
    raise RefusedError(TOO_LARGE, f"The photo has more than {most} bytes.")


class _PublicOnly(httpcore2.AsyncNetworkBackend):
    """Opens connections to public addresses only, and to the very address that was checked."""

    def __init__(self) -> None:
        self._plain = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self, host: str, port: int, *args: Any, **options: Any
    ) -> httpcore2.AsyncNetworkStream:
        addresses = await resolve(host, port)
        if not addresses or not all(map(is_public, addresses)):
            raise RefusedError(FORBIDDEN, "That host is not on the public internet.")
        return await self._plain.connect_tcp(addresses[0], port, *args, **options)


async def resolve(host: str, port: int) -> list[str]:
    """The addresses of a host, IPv4 first."""
    addresses = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(one[4][0]) for one in sorted(addresses, key=lambda one: one[0] != socket.AF_INET)]


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public internet, also one that IPv6 wraps."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            ip = inner
        elif ip.is_site_local:
            return False
    return ip.is_global and not ip.is_multicast and not ip.is_reserved
