"""The context of a job: all that scoring its posts depends on, wherever they are scored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sentimm.corpus import Survey
from sentimm.options import ScoreOptions
from sentimm.scoring.job_folder.earlier_answers import EarlierAnswers
from sentimm.scoring.job_folder.folder import Job
from sentimm.scoring.job_folder.inputs import InputStates
from sentimm.scoring.output.columns import OutputColumns


@dataclass(frozen=True)
class JobContext:
    """What is scored, how, and where it goes.

    Attributes:
        job: the job in its folder.
        survey: of its corpus.
        columns: of its output.
        metadata: what the output's files say of themselves.
        inputs: size and time of the inputs before the survey.
        problems: where the list of problems goes.
        options: of the command.
        earlier: the finished output of which some posts are scored again; None: all posts are scored.
    """

    job: Job
    survey: Survey
    columns: OutputColumns
    metadata: Mapping[str, Any]
    inputs: InputStates
    problems: Path
    options: ScoreOptions
    earlier: EarlierAnswers | None
