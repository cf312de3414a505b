"""Measure memory and speed of reading CSV tables of several sizes.

python benchmarks/reading.py --megabytes 100 1000
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

_READ = """
import resource, sys, time
from sentimm.corpus import CorpusReader, survey_corpus
from sentimm.options import CorpusOptions

options = CorpusOptions()
started = time.perf_counter()
survey = survey_corpus(sys.argv[1:], options)
surveyed = time.perf_counter()
reader = CorpusReader(survey, options)
rows = 0
while (chunk := reader.read(20_000)) is not None:
    rows += chunk.frame.height
read = time.perf_counter()
peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
print(rows, rows / (surveyed - started), rows / (read - surveyed), peak_mb)
"""


def write_table(path: Path, megabytes: int) -> None:
    """Write posts of about 200 bytes, every text another one."""
    words = " ".join(f"word{number}" for number in range(20))
    with path.open("w") as file:
        file.write("id,text,image,likes\n")
        for first in range(0, megabytes * 5000, 1000):
            file.writelines(f'{n},"{words}, ""{n}""\n",{n}.jpg,{n % 977}\n' for n in range(first, first + 1000))


def main() -> None:
    """Print a line for each size, each measured in a process of its own."""
    parser = argparse.ArgumentParser(description="Measure memory and speed of reading CSV tables.")
    parser.add_argument("--megabytes", type=int, nargs="+", default=[100, 1000])
    sizes = parser.parse_args().megabytes
    with tempfile.TemporaryDirectory() as folder:
        for megabytes in sizes:
            table = Path(folder) / f"{megabytes}.csv"
            write_table(table, megabytes)
            figures = subprocess.run(
                [sys.executable, "-c", _READ, table], check=True, capture_output=True, text=True
            ).stdout.split()
            rows, survey_rate, read_rate, peak_mb = map(float, figures)
            print(
                f"{megabytes} MB, {rows:,.0f} rows: survey {survey_rate:,.0f} rows/s, read {read_rate:,.0f} rows/s, "
                f"peak memory of both {peak_mb:.0f} MB",
                flush=True,
            )


if __name__ == "__main__":
    main()
