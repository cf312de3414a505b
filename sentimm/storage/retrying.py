"""Requests to a server: sent again where it fails for a while; every failure is an OSError in words for a person."""

from __future__ import annotations

import errno
import logging
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, TypeVar

Result = TypeVar("Result")

_CREDENTIALS = ("ExpiredToken", "InvalidAccessKeyId", "InvalidToken", "RequestTimeTooSkewed", "SignatureDoesNotMatch")
ATTEMPTS = 8
FIRST_WAIT_S = 0.2  # seconds, twice as many after each attempt
LONGEST_WAIT_S = 10.0

_log = logging.getLogger(__name__)

_NEVER = threading.Event()
_given_up = ContextVar("given_up", default=_NEVER)


@contextmanager
def giving_up_on(event: threading.Event) -> Iterator[None]:
    """Send no request again in the block once `event` is set: nobody waits for the answer any more."""
    token = _given_up.set(event)
    try:
        yield
    finally:
        _given_up.reset(token)


def retry(path: Path, request: Callable[[], Result]) -> Result:
    """Send a request, again where it fails in a way that may pass.

    Raises:
        OSError: it failed for good, or too often; `strerror` says why, in words for a person.
    """
    given_up = _given_up.get()
    for attempt in range(ATTEMPTS):
        try:
            return request()
        except Exception as error:  # each file system has its own
            failure = _translate(error)
            if _is_final(error, failure) or attempt == ATTEMPTS - 1:
                raise failure from error
            _log.info("retrying %s: %s", path, failure.strerror)
            wait = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2**attempt)
            if given_up.wait(wait * random.uniform(0.5, 1)):
                raise failure from error
    raise AssertionError


def _is_final(error: Exception, failure: OSError) -> bool:
    status, code = find_status(error), _find_code(error)
    if _lacks_credentials(error):
        return True
    if code in ("NoSuchUpload", "RequestTimeout", "IncompleteBody", "BadDigest", "OperationAborted"):
        return False
    if status is not None and 400 <= status < 500:
        return status not in (408, 409, 425, 429)
    return (
        isinstance(failure, FileNotFoundError | PermissionError | IsADirectoryError | NotADirectoryError)
        or isinstance(error, TypeError | ValueError | NotImplementedError)
        or type(error).__name__ == "ParamValidationError"
    )


def _lacks_credentials(error: Exception) -> bool:
    """Check whether the server lets nobody in, which says nothing of the file."""
    return _find_code(error) in _CREDENTIALS or "Credentials" in type(error).__name__


def find_status(error: Exception) -> int | None:
    """Find the status of the answer that an error is about; s3fs's errors have botocore's as their cause."""
    answer = _get_answer(error).get("ResponseMetadata", {})
    status = getattr(error, "status", answer.get("HTTPStatusCode"))
    if type(error).__module__.startswith("gcsfs"):
        status = getattr(error, "code", None)
    elif str(error).startswith("Forbidden: "):  # gcsfs's as well
        status = 403
    return status if isinstance(status, int) else None


def _find_code(error: Exception) -> str:
    """Find what object storage calls the error."""
    return str(_get_answer(error).get("Error", {}).get("Code", ""))


def _get_answer(error: Exception) -> dict[str, Any]:
    answer = getattr(error, "response", None) or getattr(error.__cause__, "response", None)
    return answer if isinstance(answer, dict) else {}


def _translate(error: Exception) -> OSError:
    """Turn what a file system raises into an OSError, with words for a person as `strerror`."""
    status = find_status(error)
    if _lacks_credentials(error):
        return OSError(errno.EIO, "no credentials were found, or the server rejects them")
    if status in (401, 403):
        return PermissionError(errno.EACCES, f"access denied ({status})")
    if status in (404, 410):
        return FileNotFoundError(errno.ENOENT, "not found")
    kind = type(error).__name__
    if isinstance(getattr(error, "status", None), int):
        return OSError(errno.EIO, f"the server returned status {status}")
    if isinstance(error, FileNotFoundError):
        return FileNotFoundError(errno.ENOENT, "not found")
    if isinstance(error, PermissionError):
        return PermissionError(errno.EACCES, "access denied")
    lines = str(getattr(error, "strerror", None) or error).strip().splitlines() or [kind]
    words = " ".join(lines[:2] if lines[0].endswith(":") else lines[:1]).rstrip(".")
    number = error.errno if isinstance(error, OSError) and error.errno else errno.EIO
    return OSError(number, words)
