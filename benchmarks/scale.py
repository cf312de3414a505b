"""Measure what a cluster's driver does: scheduling parts, staging posts, putting an output together.

Results: docs/research/experiments/2026-11-25-a-billion-posts.md.

python benchmarks/scale.py --parts 1000 10000 100000 --workers 16
python benchmarks/scale.py --files TABLE.csv --images FOLDER

The first lets Ray schedule parts over workers that do nothing; the second stages the posts of a table, and writes
their output again.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import polars as pl
import ray

sys.path.insert(0, str(Path(__file__).parent.parent))

from sentimm.corpus import CorpusReader, survey_corpus, write_chunk
from sentimm.events import Counts
from sentimm.options import CorpusOptions, ScoreOptions
from sentimm.scoring.cluster import ray_cluster as cluster
from sentimm.scoring.cluster.ray_cluster import Cluster
from sentimm.scoring.cluster.worker import PartWorker
from sentimm.scoring.job import run_job
from sentimm.scoring.output.parquet_files import regroup_parts, write_parquet
from sentimm.scoring.pipeline.chunk_scorer import Encodings
from tests.support.tiny_bundles import make_bundle

_COUNTS = [{"positive": 1}, {"text": 1}, {"ok": 1}]


class IdleWorker(PartWorker):
    """Says that parts are committed."""

    def _begin(self, job: object, threads: int) -> None:
        self._wanted = self

    def put(self, part: Any) -> None:
        """Do nothing."""
        part.answer.set_result({"retried": 0, **vars(Encodings()), "counts": _COUNTS})


class NoJob:
    """Stands for a job."""

    device = "cpu"


def measure_files(table: str, images: Path) -> None:
    """Print how fast posts are staged and outputs put together, and what they take on disk."""
    options = CorpusOptions(images=images)
    survey = survey_corpus([table], options)
    with tempfile.TemporaryDirectory() as name:
        folder, began, staged = Path(name), time.monotonic(), []
        reader = CorpusReader(survey, options)
        while (chunk := reader.read(2048)) is not None:
            staged.append(folder / f"{chunk.start}.parquet")
            write_chunk(staged[-1], chunk)
        print_files("staged", survey.rows, time.monotonic() - began, staged)
        output = folder / "scored.parquet"
        run_job(ScoreOptions((table,), options, output, make_bundle(folder / "bundle")), lambda _event: None)
        tables, began = regroup_parts([output], lambda _rows: None), time.monotonic()
        again = folder / "again.parquet"
        write_parquet(again, tables, pl.read_parquet(output).to_arrow().schema, {}, Counts({}, {}, {}))
        print_files("put together", survey.rows, time.monotonic() - began, [again])


def print_files(what: str, rows: int, seconds: float, paths: list[Path]) -> None:
    """Print posts a second, and bytes a post."""
    size = sum(path.stat().st_size for path in paths)
    print(f"{what}: {rows / seconds:,.0f} posts a second, {size / rows:.0f} bytes a post in {len(paths)} files")


def main() -> None:
    """Print a line for each number of parts, or for each kind of file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument("--workers", type=int, default=2, help="which need no cores, but 250 MB each")
    parser.add_argument("--files", metavar="TABLE")
    parser.add_argument("--images", type=Path)
    options = parser.parse_args()
    if options.files:
        measure_files(options.files, options.images)
        return
    cluster.PartWorker = IdleWorker  # type: ignore[assignment,misc]
    ray.init("local", num_cpus=options.workers, include_dashboard=False, log_to_driver=False)
    with Cluster("auto", threads=1) as here:
        for parts in options.parts:
            began = time.monotonic()
            ranges = [(2048 * number, 2048 * (number + 1)) for number in range(parts)]
            starts = [part.start for part in here.score(NoJob(), ranges, Encodings())]  # type: ignore[arg-type]
            seconds = time.monotonic() - began
            assert sorted(starts) == [start for start, _ in ranges]
            status = Path("/proc/self/status").read_text()
            now = int(status.partition("VmRSS:")[2].split()[0]) / 1024
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(
                f"{parts:,} parts in {seconds:.1f} s, {parts / seconds:,.0f} a second; driver {now:,.0f} MB, at most "
                f"{peak:,.0f} MB",
                file=sys.__stdout__,  # while a cluster is used, standard output is kept from Ray
                flush=True,
            )


if __name__ == "__main__":
    main()
