"""Scoring on a cluster: Ray Data maps a pool of workers over the numbers of parts.

The driver surveys the corpus, cuts it into parts and puts them together in the end; a worker, one for each GPU or group
of cores, reads the posts of a part, scores them with the one pipeline and commits the part as any job does. Through
Ray's object store go numbers only. Scheduling, retries and the loss of workers and nodes are Ray's business, what is
done already is the job folder's: a part that is there is never scored again. All machines see the folders of the job,
the images and the model under the same paths.

Parquet tables are read by reference, as any row group of theirs can be; of other tables the driver writes the posts
of each part into the job folder first.
"""

from __future__ import annotations

import io
import logging
import os
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from sentimm.bundle import Bundle, Precision, load_bundle
from sentimm.corpus import Chunk, CorpusReader, Survey, read_chunk
from sentimm.errors import ClusterError, MissingExtraError, SentimmError, TableError, UsageError
from sentimm.options import ScoreOptions
from sentimm.scoring.fingerprint import InputStates, check_unchanged
from sentimm.scoring.folder import PartWriter, stage_path
from sentimm.scoring.output import OutputColumns
from sentimm.scoring.pipeline import ChunkScorer, Encodings
from sentimm.scoring.placement import check_request, choose_precision
from sentimm.scoring.problems import list_problems

_MOST_CORES = 16  # of a worker: as many threads of the pipeline
_CONNECT_SECONDS = 10
_PIECE_ROWS = 256  # of a part, scored one behind the other: what is done beside the graphs overlaps with them

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ClusterJob:
    """What a worker needs to know of a job.

    Attributes:
        directory: the working directory, from which relative paths start.
        folder: the job folder.
        survey, options, columns, metadata, inputs: as the driver has them.
        device, precision: what workers run on.
        by_reference: they read the posts from the tables; else from what was staged.
    """

    directory: Path
    folder: Path
    survey: Survey
    options: ScoreOptions
    columns: OutputColumns
    metadata: Mapping[str, Any]
    inputs: InputStates
    device: Literal["cpu", "cuda"]
    precision: Precision
    by_reference: bool


class PartWorker:
    """Scores parts, in a process of a cluster."""

    def __init__(self, job: ClusterJob, threads: int) -> None:
        from sentimm.scoring.batching import find_batch_sizes
        from sentimm.scoring.engine import Engine

        os.chdir(job.directory)
        self._job = job
        bundle = load_bundle(job.options.model)
        size = None if job.options.batch_size == "auto" else job.options.batch_size
        engine = Engine(bundle, device=job.device, precision=job.precision, threads=threads, batch_size=size)
        if job.options.batch_size == "auto":
            find_batch_sizes(engine)
        self._scorer = ChunkScorer(bundle, engine, views=job.options.views, dedupe=job.options.dedupe)
        # Two workers may write the same part, where one was given up too early: not under the same temporary name.
        self._writer = PartWriter(job.folder, job.columns, job.metadata, suffix=f".{os.getpid()}")

    def __call__(self, batch: dict[str, npt.NDArray[np.int64]]) -> dict[str, npt.NDArray[Any]]:
        """Score and commit the part that begins at `start` and has so many `rows`; says what was encoded, or failed."""
        (start,), (rows,) = batch["start"].tolist(), batch["rows"].tolist()
        before = asdict(self._scorer.encodings)
        error = ""
        try:
            if not self._writer.has(start, rows):  # it is there where a worker was lost behind the commit
                self._score(start, rows)
        except SentimmError as found:
            error = str(found)
        after = asdict(self._scorer.encodings)
        encoded = {name: np.array([after[name] - before[name]]) for name in after}
        return {**batch, **encoded, "error": np.array([error]), "process": np.array([os.getpid()])}

    def _score(self, start: int, rows: int) -> None:
        frames, problems = [], []
        for chunk, scores in self._scorer.score_all(self._read(start, rows), lambda *_: None):
            frames.append(self._job.columns.add_scores(chunk.frame, scores))
            problems.append(list_problems(chunk, scores))
        check_unchanged(self._job.inputs)
        self._writer.commit(start, pl.concat(frames), pl.concat(problems))

    def _read(self, start: int, rows: int) -> Iterator[Chunk]:
        if self._job.by_reference:
            reader = CorpusReader(self._job.survey, self._job.options.corpus, start)
            end = start + rows
            while start < end and (chunk := reader.read(min(_PIECE_ROWS, end - start))) is not None:
                yield chunk
                start += chunk.rows
            return
        chunk = read_chunk(stage_path(self._job.folder, start), start)
        if chunk.rows != rows:
            raise TableError(f"The staged posts from {start} on are {chunk.rows} instead of {rows}.")
        for first in range(0, rows, _PIECE_ROWS):
            yield chunk.cut(first, _PIECE_ROWS)


class Cluster:
    """A Ray cluster; a context, which disconnects from it.

    Args:
        address: `auto`: the one that runs here; `local`: one of this machine's cores, started for the job; else where
            it is.
        threads: cores of a worker; None: those of a node, 16 at most.

    Raises:
        MissingExtraError: Ray is not installed.
        UsageError: there is no such cluster.
    """

    def __init__(self, address: str, threads: int | None = None) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
        try:
            import ray
            import ray.data
        except ImportError as error:
            raise MissingExtraError(
                "`--ray` needs ray, which scoring on one machine does without: pip install 'sentimm[ray]'"
            ) from error
        self._ray = ray
        self._is_ours = not ray.is_initialized()
        self._redirection = redirect_stdout(_ToLog())
        for name in ("ray", "ray.data"):  # what matters arrives as an exception
            logging.getLogger(name).setLevel(logging.CRITICAL)
        if self._is_ours:
            where: dict[str, Any] = {"include_dashboard": False} if address == "local" else {"address": address}
            try:
                _check_address(address)
                with _silence():
                    ray.init(**where, log_to_driver=False, logging_level=logging.ERROR, configure_logging=False)
            except (ValueError, OSError, OverflowError, RuntimeError) as error:
                reason = str(error).splitlines()[0]
                raise UsageError(
                    f"No Ray cluster answers at {address} ({reason}): start one with `ray start --head`, or use --ray "
                    "local."
                ) from error
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
        self._gpus = int(sum(node.get("GPU", 0) for node in nodes))
        cores = [int(node["CPU"]) for node in nodes if node.get("CPU", 0) >= 1]
        if not cores:
            if self._is_ours:
                ray.shutdown()
            raise UsageError(f"The Ray cluster at {address} has no cores: add a node to it.")
        self._threads = min(threads or _MOST_CORES, _MOST_CORES, *cores)
        self._workers = sum(count // self._threads for count in cores)
        self._nodes = len(nodes)

    def __enter__(self) -> Cluster:
        self._redirection.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._is_ours:
            self._ray.shutdown()
        self._redirection.__exit__(kind, error, trace)

    def place(self, bundle: Bundle, options: ScoreOptions) -> tuple[Literal["cpu", "cuda"], Precision, str]:
        """Choose device and precision of the workers, and say so in a sentence.

        Raises:
            UsageError, DeviceError: the bundle can't run so.
        """
        check_request(bundle, options.device, options.precision)
        has_graphs = {"fp16", "fp32"} & set(bundle.precisions)
        fits = self._gpus and has_graphs and options.precision != "int8"
        device: Literal["cpu", "cuda"] = (
            "cuda" if options.device.startswith("cuda") or (options.device == "auto" and fits) else "cpu"
        )
        precision = choose_precision(bundle, device, options.precision)
        if device == "cuda":
            self._workers = max(1, self._gpus)
        each = "a GPU" if device == "cuda" else f"{self._threads} core{'s' if self._threads > 1 else ''}"
        where = f"{self._nodes} node{'s' if self._nodes > 1 else ''}"
        workers = f"{self._workers} worker{'s' if self._workers > 1 else ''}"
        return device, precision, f"On a Ray cluster of {where}, in {precision}, with {workers} of {each} each."

    def score(self, job: ClusterJob, ranges: Sequence[tuple[int, int]], encodings: Encodings) -> Iterator[int]:
        """Score the posts of `ranges`, each from a first one up to another one; gives the starts of committed parts.

        What was encoded is added to `encodings`.

        Raises:
            ClusterError: a worker says that it can't go on, or Ray does.
        """
        data = self._ray.data
        context = data.DataContext.get_current()
        context.enable_progress_bars = False
        context.print_on_execution_start = False
        items = [{"start": start, "rows": end - start} for start, end in ranges]
        # A block for each part: a worker that has none left gets another one, and a lost one costs a part.
        parts = data.from_items(items, override_num_blocks=max(1, len(items)))
        per_worker = {"num_gpus": 1} if job.device == "cuda" else {"num_cpus": self._threads}
        scored = parts.map_batches(
            PartWorker,
            fn_constructor_args=(job, self._threads),
            batch_size=1,
            compute=data.ActorPoolStrategy(min_size=1, max_size=self._workers, max_tasks_in_flight_per_actor=2),
            **per_worker,
        )
        try:
            for row in scored.iter_rows():
                if row["error"]:
                    raise ClusterError(f"{row['error']} What was scored is kept, and the same command goes on.")
                for name in asdict(encodings):
                    setattr(encodings, name, getattr(encodings, name) + int(row[name]))
                yield int(row["start"])
        except self._ray.exceptions.RayError as error:
            _log.debug("the cluster failed", exc_info=True)
            reason = str(error).strip().splitlines()[-1]
            raise ClusterError(
                f"The Ray cluster failed ({reason}). What was scored is kept, and the same command goes on."
            ) from error


def _check_address(address: str) -> None:
    """Raise an OSError where nothing answers at an address: Ray itself would try for minutes."""
    host, colon, port = address.rpartition("://")[2].rpartition(":")
    if colon and port.isdecimal():
        with socket.create_connection((host.strip("[]"), int(port)), _CONNECT_SECONDS):
            pass


class _ToLog(io.TextIOBase):
    """Takes what Ray prints on standard output, among results, when it loses a worker."""

    def write(self, text: str) -> int:
        """Write to the log."""
        if text.strip():
            _log.info("Ray: %s", text.strip())
        return len(text)


@contextmanager
def _silence() -> Iterator[None]:
    """Keep what Ray's core writes while it starts, in no known language, from standard error."""
    sys.stderr.flush()
    kept = os.dup(2)
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def can_be_read_anywhere(survey: Survey) -> bool:
    """Tell whether workers can begin to read the tables of a corpus at any post."""
    return all(source.format == "parquet" for source in survey.sources)
