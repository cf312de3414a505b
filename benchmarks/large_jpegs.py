"""Measure the memory and time that a JPEG of 200 megapixels takes, decoded for a model.

python benchmarks/large_jpegs.py

Each is decoded in a process of its own; memory is above that of the process before.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

SIZE = (16_320, 12_240)
# In a process of its own, too: a child's peak begins with its parent's.
WRITE = """
import json, sys
from PIL import Image
image = Image.radial_gradient("L").resize(json.loads(sys.argv[2])).convert("RGB")
image.save(sys.argv[1], quality=85, **json.loads(sys.argv[3]))
"""
DECODE = """
import resource, sys, time
from pathlib import Path
from sentimm.images import decode_image
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
start = time.perf_counter()
decode_image(Path(sys.argv[1]), 224)
seconds = time.perf_counter() - start
print(f"{(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1000:.0f} MB, {seconds:.1f} s")
"""
KINDS: dict[str, dict[str, object]] = {
    "baseline": {},
    "progressive": {"progressive": True},
    "progressive 4:4:4": {"progressive": True, "subsampling": 0},
}


def main() -> None:
    """Print a line for each kind."""
    with tempfile.TemporaryDirectory() as folder:
        for name, how in KINDS.items():
            path = Path(folder) / "large.jpg"
            write = [sys.executable, "-c", WRITE, str(path), json.dumps(SIZE), json.dumps(how)]
            subprocess.run(write, check=True)
            done = subprocess.run([sys.executable, "-c", DECODE, str(path)], check=True, capture_output=True, text=True)
            print(f"{name}: {done.stdout.strip()}")


if __name__ == "__main__":
    main()
