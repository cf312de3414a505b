from __future__ import annotations

import pytest

from sentimm.storage import retrying


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrying, "_FIRST_WAIT", 0.005)
    monkeypatch.setattr(retrying, "_LONGEST_WAIT", 0.02)
