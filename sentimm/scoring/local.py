"""A job: what one `score` command does, from its options to the finished output."""

from __future__ import annotations

import hashlib
import logging
import sys
import tempfile
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sentimm import __version__
from sentimm.bundle.bundle import Bundle, load_bundle
from sentimm.corpus import (
    Chunk,
    CorpusReader,
    Survey,
    expand_inputs,
    spool_stdin,
    survey_corpus,
)
from sentimm.errors import FailuresError, InputError, OutOfMemoryError
from sentimm.events import (
    BatchesChosen,
    JobFinished,
    JobStarted,
    Listener,
    ModelReady,
    OutputAssembled,
    PartCommitted,
    PostsScored,
    Surveyed,
    SurveyProgress,
)
from sentimm.options import ScoreOptions
from sentimm.scoring.job_folder.context import Place, Work, read_posts
from sentimm.scoring.job_folder.earlier_answers import EarlierAnswers
from sentimm.scoring.job_folder.fingerprint import check_unchanged, read_states, take_fingerprint
from sentimm.scoring.job_folder.folder import JobFolder
from sentimm.scoring.job_folder.output_paths import check_list, check_output, default_output, leave_own_out
from sentimm.scoring.job_folder.parts import Part
from sentimm.scoring.output.columns import OutputColumns
from sentimm.scoring.output.failure_limit import FailureLimit
from sentimm.scoring.output.problems import count_problems, list_problems, name_problems
from sentimm.scoring.pipeline.chunk_scorer import ChunkScorer, Encodings
from sentimm.scoring.scores import check_views
from sentimm.storage import exists, is_remote, read_bytes
from sentimm.storage.atomic import commit_file, writing

if TYPE_CHECKING:
    from sentimm.runtime.engine import Engine

_log = logging.getLogger(__name__)

_FIRST_CHUNK_ROWS = 256
_PART_SECONDS = 15.0
_FASTEST_GROWTH = 4
_MOST_ROWS = 16_384  # unless the number is given: memory is the same for 100,000 posts and for millions


def run_job(options: ScoreOptions, tell: Listener) -> JobFinished:
    """Score the corpus and write the output, going on where an earlier attempt stopped; `tell` hears how it goes.

    Raises:
        UsageError: the output's name or its columns can't be as asked, or the model has no heads for `views`.
        InputError, ColumnError, TableError: see `survey_corpus`.
        BundleNotFoundError, BundleError, DeviceError: see `load_bundle` and `Engine`.
        JobConflictError, OutputError: see `JobFolder.begin` and `publish_problems`.
        FailuresError: more images are unreadable than `max_failed` allows; what was scored is kept.
        OutOfMemoryError: so it is when memory ran out.
    """
    try:
        return _run_job(options, tell)
    except MemoryError as error:
        raise OutOfMemoryError(
            "The machine has no memory left. What was scored is kept, and the same command goes on; with fewer "
            "--threads or --chunk-rows, if it happens again."
        ) from error


def _run_job(options: ScoreOptions, tell: Listener) -> JobFinished:
    output = options.output or default_output(options.inputs)
    check_output(output, options.inputs)
    problems = options.problems or name_problems(output)
    check_list(problems, output, options)
    bundle = _load_bundle(options)
    with _start(bundle, options, tell) as place, JobFolder(output) as folder:
        inputs = options.inputs
        if inputs == ("-",):
            folder.stdin = _spool_stdin(folder.path)
            inputs = (str(folder.stdin),)
        inputs = leave_own_out(inputs, output, problems)
        before = read_states(expand_inputs(inputs))
        survey = _survey(inputs, options, tell)
        tell(_describe_survey(survey, options))
        columns = OutputColumns(survey.schema, bundle.labels, options.corpus.prefix, options.views)
        fingerprint = take_fingerprint(survey, options, bundle, place.precision)
        check_unchanged(before, before)
        metadata: dict[str, Any] = {
            "version": __version__,
            "bundle": bundle.name,
            "digest": bundle.digest,
            "labels": bundle.labels,
            "fingerprint": fingerprint,
            "options": fingerprint["options"] | {"precision": place.precision, "device": place.device},
        }
        _log.info("%s: %d posts, columns %s", output, survey.rows, dict(survey.schema))
        finished = folder.begin(
            fingerprint, survey.rows, columns, metadata, overwrite=options.overwrite, retry=options.retry
        )
        if finished is not None:
            listed = _find_list(problems, output) if count_problems(finished.counts) else None
            done = JobFinished(output, finished.rows, 0, 0.0, finished.counts, already=True, problems=listed)
        else:
            earlier = EarlierAnswers(output, columns, options.retry) if options.retry else None
            done = _score_rest(Work(folder, survey, columns, metadata, before, problems, options, earlier), place, tell)
    tell(done)
    return done


def _find_list(problems: Path, output: Path) -> Path | None:
    """Give the list of problems of an output that is finished, at the place where it is wanted now."""
    first = name_problems(output)
    if not exists(problems) and exists(first):
        with commit_file(problems) as temporary:
            temporary.write_bytes(read_bytes(first))
    return problems if exists(problems) else None


def survey_job(options: ScoreOptions, tell: Listener) -> Surveyed:
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
    OutputColumns(survey.schema, bundle.labels, options.corpus.prefix, options.views)
    return _describe_survey(survey, options)


def _load_bundle(options: ScoreOptions) -> Bundle:
    bundle = load_bundle(options.model)
    if options.views:
        check_views(bundle)
    return bundle


@contextmanager
def _start(bundle: Bundle, options: ScoreOptions, tell: Listener) -> Iterator[Place]:
    """Start what scores posts."""
    if options.ray is not None:
        from sentimm.scoring.cluster.ray_cluster import Cluster

        with Cluster(options.ray, options.threads) as cluster:
            device, precision, note = cluster.place(bundle, options)
            tell(ModelReady(bundle.name, options.model is None, device, precision, note))
            yield Place(device, precision, bundle, cluster=cluster)
        return
    from sentimm.runtime.engine import Engine

    engine = Engine(
        bundle,
        device=options.device,
        precision=options.precision,
        threads=options.threads,
        batch_size=None if options.batch_size == "auto" else options.batch_size,
    )
    tell(ModelReady(bundle.name, options.model is None, engine.device, engine.precision, engine.note))
    yield Place(engine.device, engine.precision, bundle, engine=engine)


def _choose_batch_sizes(folder: JobFolder, engine: Engine, tell: Listener) -> None:
    """Find the best batch sizes, unless an earlier attempt of the job has."""
    from sentimm.runtime.batch_sizes import find_batch_sizes

    device = f"{engine.device}, {engine.precision}, {engine.threads} threads"
    sizes = folder.find_batch_sizes(device)
    kept = sizes is not None
    if sizes is None:
        sizes = find_batch_sizes(engine)
        folder.keep_batch_sizes(device, sizes)
    engine.use_batch_sizes(sizes)
    tell(BatchesChosen(sizes, kept))


def _spool_stdin(folder: Path) -> Path:
    """Put what comes from standard input into `folder`, under a name that tells its content.

    Raises:
        InputError: it is closed.
    """
    if sys.stdin is None:
        raise InputError("There is nothing to read from standard input (-), which is closed: name a file.")
    with ExitStack() as stack:
        here = (
            Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sentimm-"))) if is_remote(folder) else folder
        )
        spooled = spool_stdin(sys.stdin.buffer, here / "stdin-new.ndjson")
        with writing(spooled), spooled.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        path = folder / f"stdin-{digest[:16]}.ndjson"
        with commit_file(path, temporary=spooled) as temporary:
            if temporary != spooled:
                spooled.replace(temporary)
    return path


def _survey(inputs: Sequence[str], options: ScoreOptions, tell: Listener) -> Survey:
    return survey_corpus(inputs, options.corpus, lambda rows: tell(SurveyProgress(rows)))


def _describe_survey(survey: Survey, options: ScoreOptions) -> Surveyed:
    named = ["standard input"] if options.inputs == ("-",) else [str(source.path) for source in survey.sources]
    return Surveyed(
        sources=tuple((name, each.format, each.rows) for name, each in zip(named, survey.sources, strict=True)),
        rows=survey.rows,
        columns=tuple((name, str(dtype)) for name, dtype in survey.schema.items()),
        reasons=survey.choice.reasons,
        texts=survey.texts,
        images_named=survey.images_named,
        images_found=survey.images_found,
        repeated_texts=survey.repeated_texts,
        unreadable=survey.unreadable,
        notes=survey.notes,
    )


def _score_rest(work: Work, place: Place, tell: Listener) -> JobFinished:
    """Score the posts that are in no part, and make the output."""
    folder, survey, earlier = work.folder, work.survey, work.earlier
    began, done_before = time.monotonic(), folder.parts.rows
    tell(JobStarted(folder.output, survey.rows, done_before, folder.parts.damaged))
    failures = FailureLimit(work.options.max_failed, folder.parts.counts)
    encodings = Encodings()
    try:
        failures.check()
        with closing(_score_parts(work, place, encodings, tell)) as parts:
            for part in parts:
                tell(PartCommitted(folder.parts.rows))
                failures.add(part.facts.counts)
                failures.check()
        failures.check(final=True)
    except FailuresError as error:
        folder.publish_problems(work.problems)
        raise FailuresError(
            f"{error} What is wrong with them is in {work.problems}; {folder.parts.rows:,} of {survey.rows:,} posts "
            "are kept, and the same command with a larger --max-failed goes on."
        ) from None
    rows, counts = folder.parts.rows, folder.parts.counts
    has_problems = folder.publish_problems(work.problems)
    folder.finish(lambda rows: tell(OutputAssembled(rows)))
    return JobFinished(
        folder.output,
        rows,
        rows - done_before if earlier is None else earlier.retried,
        time.monotonic() - began,
        counts,
        saved_texts=encodings.texts - encodings.encoded_texts,
        saved_images=encodings.images - encodings.encoded_images,
        problems=work.problems if has_problems else None,
    )


def _score_parts(work: Work, place: Place, encodings: Encodings, tell: Listener) -> Generator[Part, None, None]:
    """Score the rest where it is to be scored; gives the parts as they are committed."""
    if place.cluster is None:
        return _score_here(work, place, encodings, tell)
    from sentimm.scoring.cluster.backend import score_on_cluster

    return score_on_cluster(work, place, encodings, tell)


def _score_here(work: Work, place: Place, encodings: Encodings, tell: Listener) -> Generator[Part, None, None]:
    """Score the rest in this process; gives the parts as they are committed."""
    folder, options, earlier, engine = work.folder, work.options, work.earlier, place.engine
    assert engine is not None
    if options.batch_size == "auto":
        _choose_batch_sizes(folder, engine, tell)
    size = _ChunkSize(options.chunk_rows)

    def advance(chunk: Chunk, share: float) -> None:
        tell(PostsScored(folder.parts.rows + int(share * chunk.rows)))

    began = time.monotonic()
    with ChunkScorer(place.bundle, engine, views=options.views, dedupe=options.dedupe, encodings=encodings) as scorer:
        chunks = _read_gaps(work, size)
        for chunk, scores in scorer.score_all(earlier.leave_out(chunks) if earlier else chunks, advance):
            check_unchanged(work.inputs, work.survey.find_paths(chunk.start, chunk.rows))
            frame = work.columns.add_scores(chunk.frame, scores)
            if earlier is not None:
                frame, scores = earlier.keep(chunk, frame, scores)
            part = folder.commit_part(chunk.start, frame, list_problems(chunk, scores))
            now = time.monotonic()
            _log.debug("posts %d to %d took %.2f s", part.start, part.end - 1, now - began)
            size.adapt(chunk.rows, now - began)
            began = now
            yield part


def _read_gaps(work: Work, size: _ChunkSize) -> Iterator[Chunk]:
    """Read the posts that are in no part."""
    for start, end in work.folder.parts.find_gaps(work.survey.rows):
        reader = CorpusReader(work.survey, work.options.corpus, start)
        while start < end:
            chunk = next(read_posts(reader, min(size.rows, end - start), work.inputs))
            start += chunk.rows
            yield chunk


class _ChunkSize:
    """How many posts the next chunk has: what takes _PART_SECONDS, by the last part, unless the number is given."""

    def __init__(self, given: int | None) -> None:
        self.rows = given or _FIRST_CHUNK_ROWS
        self._is_given = given is not None

    def adapt(self, rows: int, seconds: float) -> None:
        if not self._is_given:
            wanted = int(rows / max(seconds, 0.001) * _PART_SECONDS)
            self.rows = max(1, min(wanted, _FASTEST_GROWTH * self.rows, _MOST_ROWS))
