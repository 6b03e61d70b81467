"""Buckets in the clouds, by obstore: how one is opened, and what its errors mean.

What a server or library says of an error can hold a key, a signed address or the text that was signed.
Nothing of that is shown: an error is told by its status and code alone, and its cause is left out of
tracebacks.
"""

from __future__ import annotations

import errno
import os
import re
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from trapline.errors import DataError, TraplineError, UsageError, require

if TYPE_CHECKING:
    from obstore.store import AzureStore, GCSStore, S3Store

    Store = AzureStore | GCSStore | S3Store

RETRY_SECONDS = 120.0
"""In which a request is tried again where the server is not there or busy, at most `LONGEST_WAIT` apart."""

LONGEST_WAIT = 8.0
_INNER = 2, 5.0
"""Times, and seconds, in which obstore itself does so; nobody can interrupt it meanwhile."""

CONNECT_SECONDS = 5.0
SILENT_SECONDS = 30.0
"""Without another byte, until an attempt is over."""

REQUEST_SECONDS = 600.0
"""For one request in all; what is larger than a photo is asked for in parts."""

Answer = TypeVar("Answer")

_PREFIXES = {"s3": "AWS_", "gs": "GOOGLE_", "az": "AZURE_"}
_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
_ANONYMOUS = {"s3": "AWS_SKIP_SIGNATURE", "gs": "GOOGLE_SKIP_SIGNATURE", "az": "AZURE_SKIP_SIGNATURE"}
_HOW = {
    "s3": "the variables AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile in ~/.aws (AWS_PROFILE) or "
    "the role of the machine",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS, `gcloud auth application-default login` or the account of the "
    "machine",
    "az": "AZURE_STORAGE_ACCOUNT_NAME with AZURE_STORAGE_ACCOUNT_KEY or AZURE_STORAGE_SAS_KEY, "
    "AZURE_USE_AZURE_CLI or the identity of the machine",
}
_NO_BUCKET = re.compile(r"NoSuchBucket|ContainerNotFound|bucket does not exist|container does not exist")
_BAD_NAME = re.compile(r'invalid path: .*?[Pp]ath "(.*)"(?:: | contained)', re.DOTALL)
_BAD_KEYS = (
    *("InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "TokenRefreshRequired"),
    *("RequestTimeTooSkewed", "AuthenticationFailed", "InvalidAuthenticationInfo", "AccountIsDisabled"),
)
"""Codes with which a server refuses the credentials and not the one object."""

_ASKED_OF_THE_MACHINE = (
    *("/latest/api/token", "/latest/meta-data", "169.254.170.", "computeMetadata"),
    "metadata/identity/oauth2",
)
_BY_OTHER_MEANS = (
    "role_arn",
    "sso_session",
    "sso_start_url",
    "credential_process",
    "web_identity_token_file",
)


class SourceGoneError(DataError):
    """The place where the photos are cannot be read, or nothing that is asked of it."""


def library(url: str) -> Any:
    """The module obstore, which an extra brings.

    Raises:
        MissingExtraError: it is not installed; `url` needs it.
    """
    return require("obstore", "cloud", url)


def open_store(scheme: str, bucket: str) -> Store:
    """The store of a bucket, made once; its credentials are found as its SDK finds them.

    Args:
        scheme: `s3`, `gs` or `az`.
        bucket: its name; of Azure a container's, or `container@account.dfs.core.windows.net`.

    Raises:
        MissingExtraError: obstore is not installed.
        TraplineError: what the environment or the profile says of the account cannot be used.
    """
    return _open(scheme, bucket, tuple(sorted(_settings(scheme).items())))


def _settings(scheme: str) -> dict[str, str]:
    prefix = _PREFIXES[scheme]
    return {name: value for name, value in os.environ.items() if name.startswith(prefix)}


@lru_cache(maxsize=64)
def _open(scheme: str, bucket: str, settings: tuple[tuple[str, str], ...]) -> Store:
    """As `open_store`; `settings` tell one environment from another."""
    library(f"{scheme}://{bucket}")
    from obstore import exceptions, store

    environment = dict(settings)
    options: dict[str, Any] = {"client_options": _client(environment), "retry_config": _retries()}
    try:
        if scheme == "gs":
            return store.GCSStore(bucket, **options)
        if scheme == "az":
            container, _, host = bucket.partition("@")
            if host:
                options["account_name"] = host.partition(".")[0]
            return store.AzureStore(container, **options)
        return store.S3Store(bucket, **_of_profile(environment, options))
    except (exceptions.BaseError, ValueError) as error:
        raise _cannot_open(scheme, bucket, str(error)) from None


def _cannot_open(scheme: str, bucket: str, text: str) -> TraplineError:
    if "MissingAccount" in text or "Account must be specified" in text:
        return UsageError(
            f"{scheme}://{bucket} is in some account of Azure: name it by AZURE_STORAGE_ACCOUNT_NAME, or "
            "write abfss://CONTAINER@ACCOUNT.dfs.core.windows.net/…"
        )
    return TraplineError(
        f"{scheme}://{bucket} cannot be opened with the account that was found. Look at {_HOW[scheme]}."
    )


def _client(environment: Mapping[str, str]) -> dict[str, Any]:
    """An address without TLS is used where the user's own settings name one, as by other programs."""
    addresses = [
        environment.get(name, "") for name in (*_ENDPOINTS, "AZURE_STORAGE_ENDPOINT", "GOOGLE_BASE_URL")
    ]
    plain = any(address.startswith("http://") for address in addresses)
    return {
        "connect_timeout": timedelta(seconds=CONNECT_SECONDS),
        "read_timeout": timedelta(seconds=SILENT_SECONDS),
        "timeout": timedelta(seconds=REQUEST_SECONDS),
        **({"allow_http": True} if plain else {}),
    }


def _retries() -> dict[str, Any]:
    return {
        "max_retries": _INNER[0],
        "retry_timeout": timedelta(seconds=_INNER[1]),
        "backoff": {"max_backoff": timedelta(seconds=1)},
    }


def _of_profile(environment: Mapping[str, str], options: dict[str, Any]) -> dict[str, Any]:
    """The options with what the user's profile of AWS adds to the environment, which stands above it."""
    profile = _profile(environment)
    settings: dict[str, Any] = {}
    if "region" in profile and not environment.keys() & {"AWS_REGION", "AWS_DEFAULT_REGION"}:
        settings["region"] = profile["region"]
    if "endpoint_url" in profile and not environment.keys() & set(_ENDPOINTS):
        settings["endpoint"] = profile["endpoint_url"]
        options = options | {"client_options": _client({"AWS_ENDPOINT_URL": profile["endpoint_url"]})}
    told = environment.keys() & {"AWS_ACCESS_KEY_ID", "AWS_SKIP_SIGNATURE", "AWS_WEB_IDENTITY_TOKEN_FILE"}
    if not told:
        settings |= _keys_of(profile, environment)
    return options | settings


def _profile(environment: Mapping[str, str]) -> dict[str, str]:
    """The settings of the profile in AWS's two files; none where there is none.

    Raises:
        UsageError: AWS_PROFILE names one that is not there.
        DataError: a file is none of AWS's.
    """
    import configparser  # not at every start

    name = environment.get("AWS_PROFILE", "default")
    settings: dict[str, str] = {}
    for variable, file, section in (
        ("AWS_CONFIG_FILE", "~/.aws/config", name if name == "default" else f"profile {name}"),
        ("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials", name),
    ):
        path = Path(environment.get(variable, file)).expanduser()
        parser = configparser.RawConfigParser()
        try:
            parser.read(path, encoding="utf-8")
        except (configparser.Error, ValueError):  # its message holds the line, which may be a key
            raise DataError(f"{path} is no file of AWS's profiles, or a damaged one.") from None
        settings |= dict(parser[section]) if parser.has_section(section) else {}
    if not settings and "AWS_PROFILE" in environment and "AWS_ACCESS_KEY_ID" not in environment:
        raise UsageError(
            f"There is no profile '{name}' (AWS_PROFILE) in ~/.aws/config or ~/.aws/credentials."
        )
    return settings


def _keys_of(profile: Mapping[str, str], environment: Mapping[str, str]) -> dict[str, Any]:
    names = {
        "aws_access_key_id": "access_key_id",
        "aws_secret_access_key": "secret_access_key",
        "aws_session_token": "session_token",
    }
    keys = {ours: profile[theirs] for theirs, ours in names.items() if theirs in profile}
    if keys or not any(name in profile for name in _BY_OTHER_MEANS):
        return keys

    name = environment.get("AWS_PROFILE", "default")
    if find_spec("boto3") is None:
        raise TraplineError(
            f"The profile '{name}' gets its keys by a login, a role or a program, which is AWS's own SDK to "
            "do: install it (pip install boto3), or set the variables that "
            f"`aws configure export-credentials --profile {name} --format env` prints."
        )
    from obstore.auth.boto3 import Boto3CredentialProvider

    return {"credential_provider": Boto3CredentialProvider()}


class _NoAnswerError(Exception):
    """The server is not there, or busy: it may answer later."""


def ask(
    scheme: str,
    bucket: str,
    key: str,
    request: Callable[[Store], Answer],
    pause: Callable[[float], object] = time.sleep,
) -> Answer:
    """What a store answers; asked again, with an end, where its server is not there or busy.

    Args:
        scheme: as of `open_store`.
        bucket: likewise.
        key: of the object that is asked for, as errors name it.
        request: asks the store.
        pause: waits so many seconds before the next attempt; may raise `OSError`.

    Raises:
        FileNotFoundError: there is no such object.
        PermissionError: the server does not give this object.
        OSError: something else is the matter with this one object.
        DataError: the object became another while it was read in parts.
        SourceGoneError: the bucket is missing, the credentials are refused, or the server does not answer;
            what is asked for next would fail as well.
    """
    store = open_store(scheme, bucket)
    from obstore import exceptions

    started, seconds = time.monotonic(), 0.2
    while True:
        try:
            return request(store)
        except (exceptions.BaseError, ValueError, OSError) as error:
            meaning = _meaning(scheme, bucket, key, error)
        if not isinstance(meaning, _NoAnswerError):
            raise meaning from None
        if time.monotonic() - started + seconds > RETRY_SECONDS:
            raise SourceGoneError(*meaning.args) from None
        pause(seconds)
        seconds = min(2 * seconds, LONGEST_WAIT)


def _meaning(scheme: str, bucket: str, key: str, error: Exception) -> Exception:
    from obstore import exceptions

    text = str(error).partition("\n\nDebug source")[0]
    where, url = f"{scheme}://{bucket}", f"{scheme}://{bucket}/{key}"
    code = match[1] if (match := re.search(r"<Code>(\w{1,64})</Code>", text)) else ""
    status = match[1] if (match := re.search(r"status code: (\d{3})", text)) else ""
    if _NO_BUCKET.search(text):
        return SourceGoneError(
            f"There is no bucket {where}. Look at its name, and at the account that is used."
        )
    if isinstance(error, FileNotFoundError):
        return FileNotFoundError(errno.ENOENT, "No such object", url)
    if _no_credentials(text):
        return SourceGoneError(
            f"No credentials for {where} were found. They are looked for in {_HOW[scheme]}; for a bucket "
            f"that is open to all set {_ANONYMOUS[scheme]}=true."
        )
    if status == "401" or code in _BAD_KEYS or isinstance(error, exceptions.UnauthenticatedError):
        return SourceGoneError(
            f"The credentials that were found are refused at {where} ({code or status or 'not accepted'}). "
            f"They come from {_HOW[scheme]}; are they right and not expired, and is this machine's clock? "
            "What was done is kept; the same command goes on with others."
        )
    if status == "403" or isinstance(error, exceptions.PermissionDeniedError):
        return PermissionError(errno.EACCES, f"The server refuses it ({code or 'AccessDenied'})", url)
    if (
        status in ("301", "307", "308")
        or "redirect" in text
        or code in ("PermanentRedirect", "AuthorizationHeaderMalformed")
    ):
        return SourceGoneError(f"{where} is in another region than asked: set AWS_REGION to the bucket's.")
    if isinstance(error, exceptions.PreconditionError):
        return DataError(f"{url} became another while it was read; try it again.")
    if isinstance(error, exceptions.InvalidPathError | ValueError):
        return OSError(errno.EINVAL, _odd_name(text), url)
    if (why := _no_answer(str(error).replace("retry_timeout", ""), status)) is not None:
        return _NoAnswerError(
            f"{where} cannot be reached: {why}; it was tried again for up to {RETRY_SECONDS:.0f} seconds. Is "
            "the network up, and the address of the server right? What was done is kept; the same command "
            "goes on when it is back."
        )
    what = f"The server answered {status}{f' ({code})' if code else ''}" if status else "It could not be read"
    return OSError(errno.EIO, what, url)


def _odd_name(text: str) -> str:
    """What is said of a name that obstore takes for none; a listing ends at the first of them."""
    if (match := _BAD_NAME.search(text)) is None:
        return "No name of an object that can be asked for"
    return (
        f"There is an object {match[1]!r}, whose name has an empty step, a step of dots or a control "
        "character and cannot be asked for: rename it or take it away, or name another folder"
    )


def _no_credentials(text: str) -> bool:
    """Whether the machine was asked for credentials of its own, as the last place to look, and has none."""
    return any(sign in text for sign in _ASKED_OF_THE_MACHINE)


def _no_answer(text: str, status: str) -> str | None:
    """Why a server is not there, as far as known; None if it answered."""
    if status in ("408", "429") or status.startswith("5"):
        return f"the server answered {status}"
    lower = text.lower()
    for sign, why in (
        ("connection refused", "the connection is refused"),
        ("dns error", "its address is not known"),
        ("certificate", "its certificate cannot be trusted"),
        ("timed out", "it does not answer in time"),
        ("timeout", "it does not answer in time"),
        ("connection reset", "the connection breaks off"),
        ("http error", "the connection breaks off"),
        ("error sending request", "it cannot be connected to"),
        ("request or response body", "the connection breaks off"),
        ("connect", "it cannot be connected to"),
    ):
        if sign in lower:
            return why
    return None
