from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_READ = """
import sys
from pathlib import Path
from sentimm.corpus import CorpusReader, survey_corpus
from sentimm.options import CorpusOptions

options = CorpusOptions()
reader = CorpusReader(survey_corpus(sys.argv[1:], options), options)
while reader.read(20_000) is not None:
    pass
status = Path("/proc/self/status").read_text()
print(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))
"""


def write_table(path: Path, megabytes: int) -> Path:
    """Write posts of about 200 bytes, every text another one."""
    words = " ".join(f"word{n}" for n in range(20))
    with path.open("w") as file:
        file.write("id,text,image,likes\n")
        for first in range(0, megabytes * 5000, 1000):
            file.writelines(f'{n},"{words}, ""{n}""\n",{n}.jpg,{n % 977}\n' for n in range(first, first + 1000))
    return path


def measure_peak_kb(path: Path) -> int:
    return int(subprocess.run([sys.executable, "-c", _READ, path], check=True, capture_output=True, text=True).stdout)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak memory from /proc")
def test_a_table_of_five_times_the_size_takes_no_more_memory(tmp_path: Path) -> None:
    small = measure_peak_kb(write_table(tmp_path / "small.csv", 60))
    large = measure_peak_kb(write_table(tmp_path / "large.csv", 300))
    assert large <= 1.15 * small
