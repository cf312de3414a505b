from __future__ import annotations

import errno
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from sentimm import storage
from sentimm.storage import retrying, to_path


def answer_in_turn(answers: list[object]) -> object:
    answer = answers.pop(0)
    if isinstance(answer, Exception):
        raise answer
    return answer


def test_asks_again_only_what_may_pass() -> None:
    answers: list[object] = [TimeoutError(), OSError(errno.EIO, "no"), 3]
    ask = partial(answer_in_turn, answers)
    path = Path("x")
    assert retrying.retry(path, ask) == 3
    for code in "NoSuchUpload", "RequestTimeout":  # of a request whose first answer was lost, and of one that came late
        failure = FileNotFoundError("no")
        failure.__cause__ = make_refusal(code, 404)
        answers[:] = [failure, 3]
        assert retrying.retry(path, ask) == 3
    failure = OSError(errno.EINVAL, "no")
    failure.__cause__ = make_refusal("InvalidRequest", 400)
    answers[:] = [failure, 3]
    with pytest.raises(OSError):
        retrying.retry(path, ask)
    assert answers == [3]
    answers[:] = [PermissionError(), 3]
    with pytest.raises(PermissionError):
        retrying.retry(path, ask)
    assert answers == [3]


def test_asks_nothing_again_once_nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrying, "FIRST_WAIT_S", 600)
    monkeypatch.setattr(retrying, "LONGEST_WAIT_S", 600)
    given_up, asked, calls = threading.Event(), threading.Event(), []

    def fail() -> None:
        calls.append(None)
        asked.set()
        raise TimeoutError

    def ask() -> None:
        with storage.giving_up_on(given_up):
            retrying.retry(Path("x"), fail)

    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(ask)
        assert asked.wait(timeout=20)
        given_up.set()
        with pytest.raises(OSError):
            answer.result(timeout=20)
    assert len(calls) == 1
    with storage.giving_up_on(given_up):
        pass
    answers: list[object] = [TimeoutError(), 3]
    monkeypatch.setattr(retrying, "FIRST_WAIT_S", 0.001)
    assert retrying.retry(Path("x"), partial(answer_in_turn, answers)) == 3  # that was for the block alone


def make_refusal(code: str, status: int) -> Exception:
    """Make what botocore raises; s3fs's own errors have it as their cause."""
    refusal = Exception(code)
    refusal.response = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}  # type: ignore[attr-defined]
    return refusal


def test_what_google_refuses_is_not_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    from gcsfs.retry import HttpError

    path, calls = to_path("memory://posts/posts.csv"), []

    def fail(error: Exception) -> None:
        calls.append(error)
        raise error

    for error in (OSError("Forbidden: posts\nno"), HttpError({"code": 401, "message": "no"})):
        calls.clear()
        with pytest.raises(PermissionError, match="access denied"):
            retrying.retry(path, partial(fail, error))
        assert len(calls) == 1
    monkeypatch.setattr(retrying, "FIRST_WAIT_S", 0.001)
    calls.clear()
    with pytest.raises(OSError, match="busy"):
        retrying.retry(path, partial(fail, HttpError({"code": 503, "message": "busy"})))
    assert len(calls) == retrying.ATTEMPTS
