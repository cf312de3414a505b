"""The speed of an int8 graph against its fp32 one, measured on the machine that exports, and which of them is kept."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from onnxruntime import InferenceSession, SessionOptions

from sentimm.runtime.sessions import SLOW_ON_CPU
from sentimm_export.int8.smoothing import Feeds

_ROUNDS = 5
_LEAST_RATIO = 0.9  # below it int8 is surely slower: a measurement's noise is smaller
_LEAST_MS = 5.0  # of fp32 a row: below it a network is too small for its speed to matter, or to be measured


@dataclass(frozen=True)
class Speed:
    """Milliseconds of one core for a row (a text, an image) in fp32 and in int8."""

    fp32_ms: float
    int8_ms: float

    @property
    def ratio(self) -> float:
        """How many times as fast int8 is."""
        return self.fp32_ms / self.int8_ms

    @property
    def keeps_fp32(self) -> bool:
        """Whether int8 is so much slower that the fp32 graph is kept in its place.

        What is kept decides the bundle's answers: noise, or a network that hardly takes time, must not change it.
        """
        return self.ratio < _LEAST_RATIO and self.fp32_ms >= _LEAST_MS


def measure_speed(fp32: Path, int8: Path, feeds: Feeds) -> Speed:
    """Measure both graphs as they score: medians of five rounds of one batch by turns, in time of one core."""
    options = SessionOptions()
    options.intra_op_num_threads = 1  # all is then computed in the thread that asks
    sessions = [
        InferenceSession(path, options, providers=["CPUExecutionProvider"], disabled_optimizers=SLOW_ON_CPU)
        for path in (fp32, int8)
    ]
    milliseconds: tuple[list[float], list[float]] = ([], [])
    rows = len(next(iter(feeds[0].values())))
    for _ in range(_ROUNDS + 1):  # the first round is slow: buffers are allocated
        for session, taken in zip(sessions, milliseconds, strict=True):
            start = time.thread_time()
            session.run(None, feeds[0])
            taken.append((time.thread_time() - start) * 1000 / rows)
    return Speed(median(milliseconds[0][1:]), median(milliseconds[1][1:]))


def describe_speed(modality: str, speed: Speed, *, has_fp32: bool) -> list[str]:
    """Return a note if int8 is no faster than fp32, else nothing."""
    if speed.keeps_fp32:
        return [
            f"int8 {modality}: the graph stays fp32, as int8 was slower on the machine that exported it "
            f"({speed.ratio:.2f} times its speed): export on the machine that will score, where that is another"
        ]
    if speed.ratio >= 1:
        return []
    advice = "score with --precision fp32" if has_fp32 else "export fp32 too, and score with --precision fp32"
    return [
        f"int8 {modality}: slower than fp32 on the machine that exported it ({speed.ratio:.2f} times its speed): where "
        f"that holds, {advice}"
    ]
