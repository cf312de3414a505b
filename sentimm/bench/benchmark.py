"""A benchmark of this machine: each stage of scoring alone, the limit that they set, and a whole job beside it."""

from __future__ import annotations

import io
import random
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
from PIL import Image, ImageFilter

from sentimm.bench.stages import Stage, find_limit, measure_stages
from sentimm.bundle.bundle import load_bundle
from sentimm.corpus import CorpusReader, survey_corpus
from sentimm.errors import InputError
from sentimm.events import Counts, Event, Listener, ModelReady, PostsScored, SurveyProgress
from sentimm.options import BenchOptions, ScoreOptions
from sentimm.runtime.engine import Engine
from sentimm.scoring.job import run_job
from sentimm.scoring.output.parquet_files import write_parquet

# As in MVSA's posts: pixels of a photograph, words of a text, and how many are repeats.
_PHOTOS = ((600, 600), (600, 800), (600, 450), (600, 337), (576, 1024), (600, 400))
_SHARES = (97, 69, 60, 35, 18, 16)  # of these sizes
_QUALITY = 85
_GRAIN = 0.2
_WORDS = (4, 18)
_REPEATED = 0.02
_SYLLABLES = ("ba", "con", "di", "el", "for", "ga", "in", "lo", "men", "on", "ra", "sti", "tion", "un", "ver", "ya")


@dataclass(frozen=True)
class Benchmark:
    """What a benchmark found.

    Attributes:
        model, device, precision, note: what ran where (see `ModelReady`).
        threads: CPU threads.
        corpus: the inputs, or "generated".
        posts: how many were scored.
        stages: each alone on all cores, those that every post needs.
        limit: posts per second that the stages allow together (see `find_limit`).
        whole: posts per second of a job, from its first post to the finished output.
        start_s: what comes before: loading the model, and the survey.
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
        """The share of the limit that the job reached."""
        return self.whole / self.limit

    @property
    def bottleneck(self) -> Stage:
        """The stage that takes most of the time."""
        return max(self.stages, key=lambda stage: stage.seconds_per_post)

    @property
    def core_hours_per_million(self) -> float:
        """How many hours of a core a million such posts take."""
        return 1e6 / self.whole * self.threads / 3600


def run_benchmark(options: BenchOptions, tell: Listener) -> Benchmark:
    """Measure each stage and a job; `tell` hears how it goes.

    Raises:
        InputError: the corpus has no posts, or none that the model can score; else as `survey_corpus`.
        BundleNotFoundError, BundleError, DeviceError, UsageError: see `load_bundle` and `Engine`.
    """
    with tempfile.TemporaryDirectory(prefix="sentimm-bench-") as name:
        folder = Path(name)
        if options.inputs:
            inputs, corpus, images = options.inputs, ", ".join(options.inputs), options.corpus.images
        else:
            images = folder / "images"
            inputs, corpus = (str(make_corpus(folder / "posts.csv", images, options.posts)),), "generated"
        reading = replace(options.corpus, images=images, limit=options.posts)
        began = time.perf_counter()
        bundle = load_bundle(options.model)
        engine = Engine(bundle, device=options.device, precision=options.precision, threads=options.threads)
        survey = survey_corpus(inputs, reading, lambda rows: tell(SurveyProgress(rows)))
        start_s = time.perf_counter() - began
        tell(ModelReady(bundle.name, options.model is None, engine.device, engine.precision, engine.note))
        began = time.perf_counter()
        posts = CorpusReader(survey, reading).read(options.posts)
        read_s = time.perf_counter() - began
        if posts is None:
            raise InputError(f"{corpus} has no posts: there is nothing to measure.")
        stages = measure_stages(bundle, engine, posts)
        if not stages:
            raise InputError(f"{corpus} has nothing that the model {bundle.name} reads: there is nothing to measure.")

        def tell_progress(event: Event) -> None:
            if isinstance(event, PostsScored):
                tell(event)

        done = run_job(
            ScoreOptions(
                inputs=inputs,
                corpus=replace(reading, prefix="sentimm_"),
                output=folder / "scored.parquet",
                model=options.model,
                device=options.device,
                precision=options.precision,
                threads=options.threads,
            ),
            tell_progress,
        )
        writing = done.rows / _write_again(done.output, folder / "again.parquet", done.counts)
    return Benchmark(
        model=bundle.name,
        device=engine.device,
        precision=engine.precision,
        note=engine.note,
        threads=engine.threads,
        corpus=corpus,
        posts=posts.rows,
        stages=tuple(stages),
        limit=find_limit(stages),
        whole=done.rows / done.seconds,
        start_s=start_s,
        reading=posts.rows / read_s,
        writing=writing,
    )


def _write_again(output: Path, target: Path, counts: Counts) -> float:
    """Write an output once more, for the seconds that it takes."""
    table = pl.read_parquet(output, glob=False).to_arrow()
    began = time.perf_counter()
    write_parquet(target, [table], table.schema, {}, counts)
    return time.perf_counter() - began


def make_corpus(table: Path, images: Path, posts: int) -> Path:
    """Make posts with photographs of random fields, of the sizes and with the repeats of MVSA's; gives `table`."""
    images.mkdir()
    chance = random.Random(0)
    words = ["".join(chance.choices(_SYLLABLES, k=chance.randint(1, 3))) for _ in range(500)]
    rows: list[tuple[str, str]] = []
    for number in range(posts):
        if rows and chance.random() < _REPEATED:
            rows.append(chance.choice(rows))
            continue
        name = f"{number}.jpg"
        (images / name).write_bytes(_make_photo(number, *chance.choices(_PHOTOS, _SHARES)[0]))
        rows.append((" ".join(chance.choices(words, k=chance.randint(*_WORDS))), name))
    pl.DataFrame(rows, schema=["text", "image"], orient="row").write_csv(table)
    return table


def _make_photo(seed: int, width: int, height: int) -> bytes:
    """Make a JPEG of smooth colours with some grain, about as large as a photograph of its size."""
    noise = np.random.default_rng(seed)
    smooth = Image.fromarray(noise.integers(0, 256, (height // 50, width // 50, 3), np.uint8))
    field = smooth.resize((width, height), Image.Resampling.BICUBIC)
    grain = Image.fromarray(noise.integers(0, 256, (height, width, 3), np.uint8)).filter(ImageFilter.GaussianBlur(1))
    content = io.BytesIO()
    Image.blend(field, grain, _GRAIN).save(content, "JPEG", quality=_QUALITY)
    return content.getvalue()
