"""A job: what one `score` command does, from its options to the finished output."""

from __future__ import annotations

import hashlib
import logging
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from sentimm import __version__
from sentimm.bundle.bundle import Bundle, load_bundle
from sentimm.bundle.suggestion import suggest_model
from sentimm.corpus import Survey, expand_inputs, find_stdin_format, spool_stdin, survey_corpus
from sentimm.errors import FailuresError, InputError, OutOfMemoryError
from sentimm.events import (
    JobFinished,
    JobStarted,
    Listener,
    ModelReady,
    OutputAssembled,
    PartCommitted,
    Surveyed,
    SurveyProgress,
)
from sentimm.options import ScoreOptions
from sentimm.scoring.backend import Backend
from sentimm.scoring.job_folder.context import JobContext
from sentimm.scoring.job_folder.earlier_answers import EarlierAnswers
from sentimm.scoring.job_folder.fingerprint import take_fingerprint
from sentimm.scoring.job_folder.finished_output import FinishedOutput, has_column
from sentimm.scoring.job_folder.folder import JobFolder, open_job_folder
from sentimm.scoring.job_folder.inputs import check_unchanged, read_states
from sentimm.scoring.job_folder.output_paths import check_list, check_output, default_output, leave_own_out
from sentimm.scoring.output.columns import IMAGES, OutputColumns
from sentimm.scoring.output.failure_limit import FailureLimit
from sentimm.scoring.output.problems import count_problems, name_problems
from sentimm.scoring.pipeline.chunk_scorer import Encodings
from sentimm.scoring.scores import check_views
from sentimm.storage import exists, read_bytes, store_of
from sentimm.storage.atomic import publish_file, reading, write_file

_log = logging.getLogger(__name__)


def run_job(options: ScoreOptions, tell: Listener) -> JobFinished:
    """Score the corpus and write the output, or resume where an earlier attempt stopped; `tell` hears how it goes.

    Raises:
        UsageError: the output's name or its columns can't be as asked, or the model has no heads for `views`.
        InputError, ColumnError, TableError: see `survey_corpus`.
        BundleNotFoundError, BundleError, DeviceError: see `load_bundle` and `Engine`.
        JobConflictError, OutputError: see `JobFolder.begin` and `publish_problems`.
        FailuresError: more images are unreadable than `max_failed` allows; what was scored is kept.
        OutOfMemoryError: memory ran out; what was scored is kept.
    """
    try:
        return _run_job(options, tell)
    except MemoryError as error:
        raise OutOfMemoryError(
            "The machine ran out of memory. What was scored is kept: run the same command again to resume, with fewer "
            "--threads or --chunk-rows if it happens again."
        ) from error


def _run_job(options: ScoreOptions, tell: Listener) -> JobFinished:
    output = options.output or default_output(options.inputs)
    check_output(output, options.inputs)
    problems = options.problems or name_problems(output)
    check_list(problems, output, options)
    bundle = _load_bundle(options)
    with _open_backend(bundle, options) as backend:
        tell(ModelReady(bundle.name, options.model is None, backend.device, backend.precision, backend.note))
        with open_job_folder(output) as folder:
            done = _run_in_folder(folder, problems, bundle, backend, options, tell)
    tell(done)
    return done


def _run_in_folder(
    folder: JobFolder, problems: Path, bundle: Bundle, backend: Backend, options: ScoreOptions, tell: Listener
) -> JobFinished:
    inputs = options.inputs
    if inputs == ("-",):
        folder.stdin = _spool_stdin(folder.path)
        inputs = (str(folder.stdin),)
    inputs = leave_own_out(inputs, folder.output, problems)
    before = read_states(expand_inputs(inputs))
    survey = _survey(inputs, options, tell)
    tell(Surveyed(survey))
    columns = _choose_columns(survey, bundle, options)
    metadata = _describe_job(survey, bundle, backend, options)
    check_unchanged(before)
    _log.info("%s: %d posts, columns %s", folder.output, survey.rows, dict(survey.schema))
    job = folder.begin(survey.rows, columns, metadata, overwrite=options.overwrite, retry=options.retry)
    if isinstance(job, FinishedOutput):
        listed = _find_list(problems, folder.output) if count_problems(job.counts) else None
        return JobFinished(folder.output, job.rows, 0, 0.0, job.counts, already=True, problems=listed)
    earlier = EarlierAnswers(folder.output, columns, options.retry) if options.retry else None
    return _score_rest(
        JobContext(job, survey, columns, job.metadata, before, problems, options, earlier), backend, tell
    )


def _describe_job(survey: Survey, bundle: Bundle, backend: Backend, options: ScoreOptions) -> dict[str, Any]:
    """Return what the output's files say of themselves, the fingerprint among it."""
    fingerprint = take_fingerprint(survey, options, bundle, backend.precision)
    return {
        "version": __version__,
        "bundle": bundle.name,
        "digest": bundle.digest,
        "labels": bundle.labels,
        "fingerprint": fingerprint,
        **({"repairs": dict(survey.repairs)} if survey.repairs else {}),
        "options": fingerprint["options"] | {"precision": backend.precision, "device": backend.device},
    }


def _find_list(problems: Path, output: Path) -> Path | None:
    """Return the list of problems of a finished output, copied to where it is wanted now; None where there is none."""
    first = name_problems(output)
    if not exists(problems) and exists(first):
        write_file(problems, read_bytes(first))
    return problems if exists(problems) else None


def survey_job(options: ScoreOptions, tell: Listener) -> Survey:
    """Survey the corpus and check all that can be checked before scoring; nothing is written.

    Raises:
        SentimmError: as `run_job`, as far as it comes to that.
    """
    output = options.output or default_output(options.inputs)
    check_output(output, options.inputs)
    bundle = _load_bundle(options)
    with tempfile.TemporaryDirectory(prefix="sentimm-") as folder:
        inputs = (str(_spool_stdin(Path(folder))),) if options.inputs == ("-",) else options.inputs
        inputs = leave_own_out(inputs, output, options.problems or name_problems(output))
        survey = _survey(inputs, options, tell)
    _choose_columns(survey, bundle, options)
    return survey


def _choose_columns(survey: Survey, bundle: Bundle, options: ScoreOptions) -> OutputColumns:
    images = options.views or survey.several_images > 0
    if options.retry:  # the columns are those of the output that is there
        output = options.output or default_output(options.inputs)
        images = has_column(output, options.corpus.prefix + IMAGES)
    return OutputColumns(survey.schema, bundle.labels, options.corpus.prefix, options.views, images)


def _load_bundle(options: ScoreOptions) -> Bundle:
    bundle = load_bundle(options.model)
    if options.views:
        check_views(bundle)
    return bundle


@contextmanager
def _open_backend(bundle: Bundle, options: ScoreOptions) -> Iterator[Backend]:
    if options.ray is None:
        from sentimm.scoring.local import LocalBackend

        yield LocalBackend(bundle, options)
        return
    from sentimm.scoring.cluster.backend import RayBackend
    from sentimm.scoring.cluster.ray_cluster import Cluster

    with Cluster(options.ray, options.threads) as cluster:
        yield RayBackend(cluster, bundle, options)


def _spool_stdin(folder: Path) -> Path:
    """Write what comes from standard input into `folder`, under a name that holds a hash of its content.

    Raises:
        InputError: it is closed, empty, or has none of the formats that are read from it.
    """
    if sys.stdin is None:
        raise InputError("Standard input (-) is closed: name a file.")
    with store_of(folder).scratch_folder(folder) as here:
        spooled = spool_stdin(sys.stdin.buffer, here / "stdin-new.ndjson")
        with reading(spooled), spooled.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        path = folder / f"stdin-{digest[:16]}.{find_stdin_format(spooled)}"
        publish_file(spooled, path)
    return path


def _survey(inputs: Sequence[str], options: ScoreOptions, tell: Listener) -> Survey:
    survey = survey_corpus(inputs, options.corpus, lambda rows: tell(SurveyProgress(rows)))
    survey = replace(survey, notes=(*survey.notes, *suggest_model(survey, options.corpus, options.model)))
    if options.inputs != ("-",):
        return survey
    return replace(survey, sources=tuple(replace(source, name="standard input") for source in survey.sources))


def _score_rest(context: JobContext, backend: Backend, tell: Listener) -> JobFinished:
    """Score the posts that are in no part, and make the output."""
    job, survey, earlier = context.job, context.survey, context.earlier
    began, done_before = time.monotonic(), job.parts.rows
    tell(JobStarted(job.output, survey.rows, done_before, job.parts.damaged))
    encodings = Encodings()
    try:
        _commit_parts(context, backend, encodings, tell)
    except FailuresError as error:
        job.publish_problems(context.problems)
        raise FailuresError(
            f"{error} The reasons are in {context.problems}. {job.parts.rows:,} of {survey.rows:,} posts are kept: run "
            "the same command with a larger --max-failed to resume."
        ) from None
    rows, counts = job.parts.rows, job.parts.counts
    has_problems = job.publish_problems(context.problems)
    job.finish(lambda rows: tell(OutputAssembled(rows)))
    return JobFinished(
        job.output,
        rows,
        rows - done_before if earlier is None else earlier.retried,
        time.monotonic() - began,
        counts,
        saved_texts=encodings.texts - encodings.encoded_texts,
        saved_images=encodings.images - encodings.encoded_images,
        problems=context.problems if has_problems else None,
    )


def _commit_parts(context: JobContext, backend: Backend, encodings: Encodings, tell: Listener) -> None:
    """Score and commit the posts that are in no part.

    Raises:
        FailuresError: more images are unreadable than the options allow.
    """
    job = context.job
    failures = FailureLimit(context.options.max_failed, job.parts.counts)
    failures.check()
    with closing(backend.score(context, encodings, tell)) as parts:
        for part in parts:
            tell(PartCommitted(job.parts.rows))
            failures.add(part.facts.counts)
            failures.check()
    failures.check(final=True)
