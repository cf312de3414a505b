"""Measure the limit of scoring a corpus on this machine: each stage alone on all cores, without the pipeline.

python benchmarks/limit.py FOLDER/distinct.csv --images FOLDER/images --posts 2000
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from sentimm.bench.stages import find_limit, measure_stages
from sentimm.bundle.bundle import load_bundle
from sentimm.corpus import CorpusReader, survey_corpus
from sentimm.options import CorpusOptions
from sentimm.runtime.engine import Engine


def main() -> None:
    """Print a JSON object."""
    parser = argparse.ArgumentParser(description="The limit of scoring a corpus on this machine.")
    parser.add_argument("table")
    parser.add_argument("--images", type=Path)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--posts", type=int, default=2000)
    options = parser.parse_args()
    reading = CorpusOptions(images=options.images, limit=options.posts)
    posts = CorpusReader(survey_corpus([options.table], reading), reading).read(options.posts)
    if posts is None:
        raise SystemExit(f"{options.table} has no posts")
    bundle = load_bundle(options.model)
    engine = Engine(bundle)
    stages = measure_stages(bundle, engine, posts)
    described = [asdict(stage) | {"items_per_second": stage.items_per_second} for stage in stages]
    print(json.dumps({"posts": posts.rows, "limit": find_limit(stages), "stages": described}, indent=1))


if __name__ == "__main__":
    main()
