from __future__ import annotations

import pytest

from sentimm.training.options import TrainOptions
from tests.support.tiny.models import make_options


@pytest.fixture(scope="session")
def options(tmp_path_factory: pytest.TempPathFactory) -> TrainOptions:
    """Options of a run of seconds on the tiny corpus; write only into the run folder."""
    return make_options(tmp_path_factory.mktemp("tiny"))
