"""Scoring on a cluster: Ray Data maps a pool of workers over the numbers of parts.

The driver surveys the corpus, cuts it into parts and puts them together in the end; a worker, one for each GPU or group
of cores, reads the posts of a part, scores them with the one pipeline and commits the part as any job does. Through
Ray's object store go numbers only. Scheduling, retries and the loss of workers and nodes are Ray's business, what is
done already is the job folder's: a part that is there is never scored again. All machines see the folders of the job,
the images and the model under the same paths.

Parquet, Arrow and shards are read by reference, as reading can start in their middle and they may hold the images; of
other tables the driver writes the posts of each part into the job folder first.
"""

from __future__ import annotations

import io
import json
import logging
import os
import re
import socket
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stdout, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import polars as pl
import pyarrow as pa

from sentimm.bundle.bundle import Bundle, Precision
from sentimm.corpus import Survey
from sentimm.errors import HOW_TO_RESUME, ClusterError, MissingExtraError, UsageError
from sentimm.events import Counts
from sentimm.options import ScoreOptions
from sentimm.runtime.sessions import check_request, choose_precision
from sentimm.scoring.cluster.worker import ClusterJob, PartWorker
from sentimm.scoring.pipeline.chunk_scorer import Encodings

_MOST_CORES = 16  # of a worker: as many threads of the pipeline
_CONNECT_SECONDS = 10
_BY_REFERENCE = ("parquet", "arrow", "webdataset")  # tables that can be read from their middle on, or hold the images
_IN_FLIGHT = 3  # tasks of a worker: of two the parts are on their way, and one waits, that it never has nothing to do
_LARGEST_TASK = 64  # parts: Ray takes some 10 ms for a task, whatever it holds
_TASKS_PER_WORKER = 4  # and as many parts as a worker does while it is at one: the last tasks are small

_LAST_CLUSTER = Path(os.environ.get("RAY_TMPDIR") or tempfile.gettempdir(), "ray", "ray_current_cluster")

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Committed:
    """A part that a worker committed: its first post, its counts, and the posts retried since the one before."""

    start: int
    counts: Counts
    retried: int


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
            raise MissingExtraError("--ray needs the package ray: pip install 'sentimm[ray]'") from error
        self._ray = ray
        self._is_ours = not ray.is_initialized()
        self._redirection = ExitStack()
        for name in ("ray", "ray.data"):  # what matters arrives as an exception
            logging.getLogger(name).setLevel(logging.CRITICAL)
        if self._is_ours:
            # Without an address Ray would look for a cluster that runs.
            where: dict[str, Any] = {"address": address, **({"include_dashboard": False} if address == "local" else {})}
            try:
                _check_address(address)
                with _silence():
                    ray.init(**where, log_to_driver=False, logging_level=logging.ERROR, configure_logging=False)
            except (ValueError, OSError, OverflowError, RuntimeError, ray.exceptions.RayError) as error:
                if _lacks_token(error):
                    raise UsageError(
                        f"The Ray cluster at {address} asks for a token: set RAY_AUTH_MODE to token and "
                        "RAY_AUTH_TOKEN to the one with which it was started."
                    ) from error
                reason = (str(error) or type(error).__name__).splitlines()[0]
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

    @property
    def workers(self) -> int:
        """How many workers there are at first."""
        return self._workers

    def __enter__(self) -> Cluster:
        self._redirection.enter_context(redirect_stdout(_ToLog()))
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Disconnect from the cluster, and stop it where it was started here."""
        if self._is_ours:
            self._ray.shutdown()
        self._redirection.close()

    def place(self, bundle: Bundle, options: ScoreOptions) -> tuple[Literal["cpu", "cuda"], Precision, str]:
        """Choose device and precision of the workers; return them, and a sentence about them.

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

    def score(self, job: ClusterJob, ranges: Sequence[tuple[int, int]], encodings: Encodings) -> Iterator[Committed]:
        """Score the posts of `ranges`, each from a first one up to another one.

        What was encoded is added to `encodings`.

        Yields:
            Each part that is committed.

        Raises:
            ClusterError: a worker says that it can't go on, or Ray does.
        """
        data = self._ray.data
        context = data.DataContext.get_current()
        context.enable_progress_bars = False
        context.print_on_execution_start = False
        context.target_max_block_size = 1  # each row arrives when it is yielded, instead of all with a task's end
        # Of the calls that a worker has at once; the default, 1.75, is beyond what there can be, and no worker joins.
        context.autoscaling_config.actor_pool_util_upscaling_threshold = 1.0
        tasks = self._plan_tasks(ranges)
        scored = data.from_blocks(tasks).map_batches(
            PartWorker,
            fn_constructor_args=(job, self._threads),
            batch_size=None,
            compute=data.ActorPoolStrategy(
                # Fewer would be what Ray Data leaves a job while it holds a killed driver's share for three minutes.
                min_size=max(1, min(self._workers, len(tasks))),
                max_size=None,  # a node that joins has one too
                max_tasks_in_flight_per_actor=_IN_FLIGHT,
                max_concurrent_calls_per_actor=_IN_FLIGHT,
                enable_true_multi_threading=True,
            ),
            **({"num_gpus": 1} if job.device == "cuda" else {"num_cpus": self._threads}),
        )
        try:
            for part in _list_parts(scored):
                if error := part["error"]:
                    raise ClusterError(error if HOW_TO_RESUME in error else f"{error} {HOW_TO_RESUME}")
                for name in asdict(encodings):
                    setattr(encodings, name, getattr(encodings, name) + part[name])
                yield Committed(part["start"], Counts(*part["counts"]), part["retried"])
        except self._ray.exceptions.RayError as error:
            _log.debug("the cluster failed", exc_info=True)
            reason = str(error).strip().splitlines()[-1]
            raise ClusterError(f"The Ray cluster failed ({reason}). {HOW_TO_RESUME}") from error

    def _plan_tasks(self, ranges: Sequence[tuple[int, int]]) -> list[pa.Table]:
        """Make a block of each task: of many parts first, of one in the end."""
        blocks, at = [], 0
        while at < len(ranges):
            share = (len(ranges) - at) // (_TASKS_PER_WORKER * self._workers)
            taken = ranges[at : at + max(1, min(share, _LARGEST_TASK))]
            rows = [(start, end - start) for start, end in taken]
            blocks.append(pl.DataFrame(rows, schema={"start": pl.Int64, "rows": pl.Int64}, orient="row").to_arrow())
            at += len(taken)
        return blocks


def _list_parts(scored: Any) -> Iterator[dict[str, Any]]:
    """Yield the parts as workers report them; Ray's own `iter_rows` waits for the next row first."""
    for batch in scored.iter_batches(prefetch_batches=0, batch_size=None):
        for reported in batch["parts"]:
            yield from json.loads(reported)


def _check_address(address: str) -> None:
    """Raise an OSError where nothing answers at an address: Ray itself would try for minutes."""
    if address == "auto" and "RAY_ADDRESS" not in os.environ:  # the cluster that was started last may be gone
        with suppress(FileNotFoundError):
            address = _LAST_CLUSTER.read_text().strip()
    host, colon, port = address.rpartition("://")[2].rpartition(":")
    if colon and port.isdecimal():
        with socket.create_connection((host.strip("[]"), int(port)), _CONNECT_SECONDS):
            pass


def _lacks_token(error: BaseException | None) -> bool:
    """Return whether a cluster refuses those without its token; Ray may put that into the text of another error."""
    while error is not None:
        if "AuthenticationError" in (type(error).__name__, *re.findall(r"\w+", str(error))):
            return True
        error = error.__cause__ or error.__context__
    return False


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
    standard_error = os.dup(2)
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(standard_error, 2)
        os.close(standard_error)


def can_be_read_anywhere(survey: Survey) -> bool:
    """Return whether workers can start to read the tables of a corpus at any post."""
    return all(source.format in _BY_REFERENCE for source in survey.sources)
