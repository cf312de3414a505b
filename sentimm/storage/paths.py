"""The paths of what lies in object storage or on a web server."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

from sentimm.errors import MissingExtraError, UsageError

CONNECTIONS = 32  # requests under way at once: a server answers in some ten milliseconds, however many there are

_URL = re.compile(r"([a-z][a-z0-9+.-]+)://", re.IGNORECASE)
_WEB = ("http", "https")
_STORES = ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "memory")  # that replace an object at once, or not at all


@dataclass(frozen=True)
class RemoteFile:
    """A file that is read as a whole, such as an image: its URL."""

    url: str

    def __str__(self) -> str:
        return self.url


def is_remote(path: str | Path | RemoteFile) -> bool:
    """Check whether a name, or a path that `to_path` made of it, is a URL."""
    return _URL.match(path) is not None if isinstance(path, str) else not isinstance(path, Path)


def is_web(path: str | Path | RemoteFile) -> bool:
    """Check whether a name or path leads to a web server, whose folders can't be listed."""
    if isinstance(path, str | RemoteFile):
        return str(path).split(":")[0].lower() in _WEB
    return is_remote(path) and cast(Any, path).protocol in _WEB


def to_path(name: str) -> Path:
    """Return the path of a file or folder, local or remote.

    Raises:
        MissingExtraError: a package that reaches it is not installed.
        UsageError: the kind of URL is unknown, or its server can't be reached.
    """
    if not is_remote(name):
        return Path(name)
    protocol = name.split(":")[0].lower()
    try:
        from upath import UPath

        path = UPath(name, **_find_options(protocol))
        file_system = path.fs  # made on first use
        for library in ("fsspec", "gcsfs", "s3fs"):  # what fails arrives as an exception
            logging.getLogger(library).setLevel(logging.CRITICAL)
        if protocol in ("s3", "s3a"):
            file_system.retries = 1  # s3fs would multiply the attempts by 5, and by 25 those of reading
    except ImportError as error:
        package = "adlfs" if protocol in ("az", "abfs", "abfss") else "'sentimm[cloud]'"
        raise MissingExtraError(
            f"{name} needs packages that are not installed: pip install {package} ({error})."
        ) from error
    except OSError as error:  # some connect at once
        raise UsageError(f"{name} can't be reached: {error.strerror or error}.") from error
    except ValueError as error:
        if protocol in _STORES:  # credentials, which some look for at once
            raise UsageError(f"{name} can't be reached: {str(error).strip().splitlines()[0].rstrip('.')}.") from error
        raise UsageError(f"Unsupported URL {name}: use a local path, s3://, gs:// or https://.") from error
    return cast(Path, path)


def require_writable(path: Path) -> None:
    """Check that an output may lie at `path`.

    Raises:
        UsageError: it is remote, and no object storage.
    """
    if is_remote(path) and cast(Any, path).protocol not in _STORES:
        raise UsageError(f"{path} can't be written: use a local path, or object storage (s3://, gs://).")


def join(folder: Path, name: str) -> str:
    """Return the URL of a name, which may lead through sub-folders, in a remote folder."""
    return f"{str(folder).rstrip('/')}/{quote(name) if is_web(folder) else name}"


def hide_secrets(path: Path | RemoteFile) -> str:
    """Return a path's name for outputs and messages: a web server's loses its query, user and password."""
    name = str(path)
    return re.sub(r"(?<=://)[^/@]*@", "", name.split("?")[0]) if name.startswith(("http://", "https://")) else name


def _find_options(protocol: str) -> dict[str, Any]:
    """Return the options of a file system; it may cache no listings, as others write there too."""
    options: dict[str, Any] = {"use_listings_cache": False}
    if protocol in _WEB:
        import aiohttp

        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=30)
        options["client_kwargs"] = {"timeout": timeout, "headers": {"Accept-Encoding": "identity"}}
    if protocol in ("s3", "s3a"):
        options["config_kwargs"] = {"retries": {"total_max_attempts": 2}, "max_pool_connections": CONNECTIONS}
    return options


def file_system_of(path: Path) -> Any:
    """Return the file system of a remote path."""
    return cast(Any, path).fs


def name_in_store(path: Path) -> str:
    """Return the name that a remote path has in its file system."""
    return cast(str, cast(Any, path).path)
