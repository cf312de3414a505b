from __future__ import annotations

import pytest

from sentimm.storage import retrying


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrying, "FIRST_WAIT_S", 0.005)
    monkeypatch.setattr(retrying, "LONGEST_WAIT_S", 0.02)
