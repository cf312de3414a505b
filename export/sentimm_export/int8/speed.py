"""The speed of an int8 graph against its fp32 one, measured on the machine that exports."""

from __future__ import annotations

import os
import time
from pathlib import Path

from onnxruntime import InferenceSession

from sentimm_export.int8.smoothing import Feeds

_ROUNDS = 5


def measure_speedup(fp32: Path, int8: Path, feeds: Feeds) -> float:
    """Return how many times as fast int8 is, over the best of five rounds of one batch, both graphs by turns."""
    sessions = [InferenceSession(path, providers=["CPUExecutionProvider"]) for path in (fp32, int8)]
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(_ROUNDS + 1):  # the first round is slow: buffers are allocated
        for session, taken in zip(sessions, seconds, strict=True):
            start = time.perf_counter()
            session.run(None, feeds[0])
            taken.append(time.perf_counter() - start)
    return min(seconds[0][1:]) / min(seconds[1][1:])


def describe_speedup(modality: str, speedup: float, *, has_fp32: bool) -> list[str]:
    """Return a warning if int8 is no faster than fp32, else nothing."""
    if speedup >= 1:
        return []
    advice = "score with --precision fp32" if has_fp32 else "export fp32 too, and score with --precision fp32"
    return [
        f"int8 {modality}: slower than fp32 on the machine that exported it ({speedup:.2f} times its speed, "
        f"{os.cpu_count()} processors): where that holds, {advice}"
    ]
