"""Compare `sentimm score` with what people would write instead (benchmarks/alternatives): the same posts, in turn.

python benchmarks/copies.py DATA/mvsa_single/val.csv --images DATA/mvsa_single/images -o FOLDER
sentimm export WORK/default --weights last --precision fp32 -o FP32
python benchmarks/versus.py FOLDER --run WORK/default --bundle FP32 --json versus.json
python benchmarks/versus.py FOLDER --only version --checkout ../before --rounds 7  # another version

Ours is the whole command over all rows, start and survey and output included, once with distinct posts and once with
the repeats left in. Theirs are measured on the first rows, as many as `--seconds` are enough for, without start.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ALTERNATIVES = Path(__file__).with_name("alternatives")
# Posts/s that are expected at least: how many rows make the seconds that were asked for.
EXPECTED = {"plain": 17, "careful": 50, "onnx": 50, "pipeline": 170, "paper": 3}
MOST = 8000


def score(table: Path, *options: str, checkout: Path | None = None) -> dict[str, Any]:
    """Run `sentimm score`, of another version's checkout where one is given; posts/s of the whole command."""
    paths = {} if checkout is None else {"PYTHONPATH": str(checkout.absolute())}
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-P", "-m", "sentimm", "score", str(table), *options]
        command += ["-o", f"{folder}/scored.parquet", "--json"]
        began, used = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ | paths)
        seconds, using = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    rows = json.loads(done.stdout)["rows"]
    cpu_seconds = using.ru_utime + using.ru_stime - used.ru_utime - used.ru_stime
    return {"posts": rows, "seconds": seconds, "cpu_seconds": cpu_seconds, "posts_per_second": rows / seconds}


def run_alternative(way: str, options: argparse.Namespace) -> dict[str, Any]:
    """Run one of the alternatives on the first rows; `version` is that of the other checkout, on all of them."""
    if way == "version":
        images = ("--images", str(options.folder / "images"))
        return score(options.folder / "distinct.csv", *images, checkout=options.checkout)
    posts = min(MOST, int(EXPECTED[way] * options.seconds))
    command = [sys.executable, str(ALTERNATIVES), way, str(options.folder / "distinct.csv"), "--posts", str(posts)]
    command += ["--run", str(options.run), "--bundle", str(options.bundle)]
    if way != "pipeline":
        command += ["--images", str(options.folder / "images")]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def has_vnni() -> bool:
    """Check whether the processor has AVX-512 VNNI, which decides the bars that hold."""
    facts = Path("/proc/cpuinfo")
    return facts.exists() and "avx512_vnni" in facts.read_text()


def main() -> None:
    """Print a line for each run, and then the ratios."""
    parser = argparse.ArgumentParser(description="Compare `sentimm score` with what people would write instead.")
    parser.add_argument("folder", type=Path, help="what copies.py wrote")
    parser.add_argument("--run", type=Path)
    parser.add_argument("--bundle", type=Path, help="the same weights, exported in fp32")
    parser.add_argument("--only", default=",".join(EXPECTED), help="which alternatives; version: that of --checkout")
    parser.add_argument("--checkout", type=Path, help="of another version of sentimm")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=30.0, help="of each alternative, about")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    ways = options.only.split(",")
    if "version" in ways and options.checkout is None:
        parser.error("--only version needs --checkout")
    if set(ways) - {"version"} and None in (options.run, options.bundle):
        parser.error("give --run and --bundle")
    images = ("--images", str(options.folder / "images"))
    runs: dict[str, list[dict[str, Any]]] = {}
    vnni = has_vnni()
    print(f"{os.cpu_count()} cores, {'with' if vnni else 'without'} AVX-512 VNNI", flush=True)

    def note(name: str, found: dict[str, Any]) -> None:
        runs.setdefault(name, []).append(found)
        chosen = f" ({found['chosen']})" if "chosen" in found else ""
        print(f"{name}: {found['posts']:,} posts, {found['posts_per_second']:.1f} posts/s{chosen}", flush=True)

    for _ in range(options.rounds):
        note("sentimm", score(options.folder / "distinct.csv", *images))
        note("sentimm, repeats left in", score(options.folder / "repeats.csv", *images))
        note("sentimm, text only", score(options.folder / "distinct.csv"))
        for way in ways:
            note(way, run_alternative(way, options))
    rates = {name: statistics.median(run["posts_per_second"] for run in found) for name, found in runs.items()}
    print(f"\nrepeats left in against distinct: {rates['sentimm, repeats left in'] / rates['sentimm']:.1f} times")
    for way in ways:
        ours = rates["sentimm, text only" if way == "pipeline" else "sentimm"]
        print(f"against {way}: {ours / rates[way]:.3g} times")
    if "version" in ways:  # the clock is noisy on a shared machine, CPU time is less
        ours, theirs = (statistics.median(run["cpu_seconds"] for run in runs[name]) for name in ("sentimm", "version"))
        print(f"CPU time against version: {ours / theirs:.3g} times")
    if options.json:
        options.json.write_text(json.dumps({"cores": os.cpu_count(), "avx512_vnni": vnni, "runs": runs}, indent=1))


if __name__ == "__main__":
    main()
