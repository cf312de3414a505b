"""A benchmark of this machine: each stage of scoring alone, the limit that they set, and a whole job beside it."""

from __future__ import annotations

import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from sentimm.bench.generated_corpus import generate_corpus
from sentimm.bench.options import BenchOptions
from sentimm.bench.stages import Stage, find_limit, measure_stages
from sentimm.bundle.bundle import load_bundle
from sentimm.corpus import CorpusReader, survey_corpus
from sentimm.errors import InputError
from sentimm.events import Counts, Event, JobFinished, Listener, ModelReady, PostsScored, SurveyProgress
from sentimm.options import CorpusOptions, ScoreOptions
from sentimm.runtime.engine import Engine
from sentimm.scoring.job import run_job
from sentimm.scoring.output.parquet_files import write_parquet


@dataclass(frozen=True)
class Benchmark:
    """The figures of a benchmark.

    Attributes:
        model, device, precision, note: what ran where (see `ModelReady`).
        threads: CPU threads.
        corpus: the inputs, or "generated".
        posts: how many were scored.
        stages: each alone on all cores, those that every post needs.
        limit: posts per second that the stages allow together (see `find_limit`).
        whole: posts per second of a job, from its first post to the finished output.
        start_s: seconds before the first post: loading the model, and the survey.
        reading, writing: posts per second of reading the table, and of writing the output, alone.
    """

    model: str
    device: str
    precision: str
    note: str
    threads: int
    corpus: str
    posts: int
    stages: tuple[Stage, ...]
    limit: float
    whole: float
    start_s: float
    reading: float
    writing: float

    @property
    def share(self) -> float:
        """The share of the limit that the whole job reaches."""
        return self.whole / self.limit

    @property
    def bottleneck(self) -> Stage:
        """The stage that takes the most time."""
        return max(self.stages, key=lambda stage: stage.seconds_per_post)

    @property
    def core_hours_per_million(self) -> float:
        """Hours of a core for a million such posts."""
        return 1e6 / self.whole * self.threads / 3600

    def to_json(self) -> dict[str, Any]:
        """Return all figures as `sentimm bench --json` prints them."""
        derived = {
            "share_of_limit": self.share,
            "bottleneck": self.bottleneck.name,
            "core_hours_per_million": self.core_hours_per_million,
        }
        return asdict(self) | {"stages": [stage.to_json() for stage in self.stages]} | derived


def run_benchmark(options: BenchOptions, tell: Listener) -> Benchmark:
    """Measure each stage and a job; `tell` hears of the progress.

    Raises:
        InputError: the corpus has no posts, or none that the model can score; else as `survey_corpus`.
        BundleNotFoundError, BundleError, DeviceError, UsageError: see `load_bundle` and `Engine`.
    """
    with tempfile.TemporaryDirectory(prefix="sentimm-bench-") as name:
        folder = Path(name)
        inputs, corpus = _find_corpus(options, folder)
        began = time.perf_counter()
        bundle = load_bundle(options.model)
        engine = Engine(bundle, device=options.device, precision=options.precision, threads=options.threads)
        survey = survey_corpus(inputs, corpus, lambda rows: tell(SurveyProgress(rows)))
        start_s = time.perf_counter() - began
        tell(ModelReady(bundle.name, options.model is None, engine.device, engine.precision, engine.note))
        began = time.perf_counter()
        posts = CorpusReader(survey, corpus).read(options.posts)
        read_s = time.perf_counter() - began
        title = ", ".join(options.inputs) or "generated"
        if posts is None:
            raise InputError(f"{title} has no posts: there is nothing to measure.")
        stages = measure_stages(bundle, engine, posts)
        if not stages:
            raise InputError(f"{title} has nothing that the model {bundle.name} reads: there is nothing to measure.")
        output = folder / "scored.parquet"
        done = _score(options, inputs, corpus, output, tell)
        write_s = _time_writing(output, folder / "again.parquet", done.counts)
    return Benchmark(
        model=bundle.name,
        device=engine.device,
        precision=engine.precision,
        note=engine.note,
        threads=engine.threads,
        corpus=title,
        posts=posts.rows,
        stages=tuple(stages),
        limit=find_limit(stages),
        whole=done.rows / done.seconds,
        start_s=start_s,
        reading=posts.rows / read_s,
        writing=done.rows / write_s,
    )


def _find_corpus(options: BenchOptions, folder: Path) -> tuple[tuple[str, ...], CorpusOptions]:
    """Return the inputs and how they are read; without inputs, posts are generated into `folder`."""
    corpus = replace(options.corpus, limit=options.posts, required=())
    if options.inputs:
        return options.inputs, corpus
    table, images = folder / "posts.csv", folder / "images"
    generate_corpus(table, images, options.posts)
    return (str(table),), replace(corpus, images=images)


def _score(
    options: BenchOptions, inputs: tuple[str, ...], corpus: CorpusOptions, output: Path, tell: Listener
) -> JobFinished:
    """Run a whole job over the posts; of its events, `tell` hears how many are scored."""

    def tell_progress(event: Event) -> None:
        if isinstance(event, PostsScored):
            tell(event)

    job = ScoreOptions(
        inputs=inputs,
        corpus=replace(corpus, prefix="sentimm_"),
        output=output,
        model=options.model,
        device=options.device,
        precision=options.precision,
        threads=options.threads,
    )
    return run_job(job, tell_progress)


def _time_writing(output: Path, target: Path, counts: Counts) -> float:
    """Write an output once more, and return the seconds that it took."""
    table = pl.read_parquet(output, glob=False).to_arrow()
    began = time.perf_counter()
    write_parquet(target, [table], table.schema, {}, counts)
    return time.perf_counter() - began
