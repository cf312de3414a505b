"""The checkup of this machine: installation, CPU, GPUs, and a post scored with the default model."""

from __future__ import annotations

import platform
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from sentimm import __version__
from sentimm.bundle.bundle import Bundle, default_bundle_path, load_bundle
from sentimm.errors import DeviceError, SentimmError
from sentimm.runtime import devices
from sentimm.runtime.engine import Engine

CPU_INFO = Path("/proc/cpuinfo")
_PACKAGES = ("cykooz-resizer", "numpy", "onnxruntime", "onnxruntime-gpu", "pillow", "polars", "pyarrow", "tokenizers")
_EXTRA_PACKAGES = ("torch", "torchvision", "transformers", "timm", "onnx")
# In /proc/cpuinfo, the instructions that int8 graphs gain from: x86, then ARM.
_INT8_FLAGS = ("avx2", "avx512f", "avx_vnni", "avx512_vnni", "amx_int8", "asimddp", "i8mm")


@dataclass(frozen=True)
class Checkup:
    """Facts about a machine.

    Attributes:
        works: a post was scored with the default model.
        sentimm, python, system: versions.
        packages: versions of what scoring and training need; None: not installed.
        providers: those of ONNX Runtime; empty: it is damaged.
        cpu: the processor's name; "": unknown.
        threads: how many a model would use; None: the setting is wrong.
        int8_instructions: the CPU's instructions that int8 graphs gain from; None: unknown.
        gpus: name, memory and driver of each GPU that nvidia-smi lists.
        cuda: why CUDA can't be used, in a sentence; None: nothing speaks against it.
        bundle: the default model's folder.
        model: the default model's name and precisions; None: it can't be loaded.
        trial: how the post was scored, in a sentence; None: it could not be.
        problems: each problem in a sentence that says what to do.
    """

    works: bool
    sentimm: str
    python: str
    system: str
    packages: dict[str, str | None]
    providers: tuple[str, ...]
    cpu: str
    threads: int | None
    int8_instructions: tuple[str, ...] | None
    gpus: tuple[str, ...]
    cuda: str | None
    bundle: str
    model: str | None
    trial: str | None
    problems: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return all fields as `sentimm doctor --json` prints them."""
        return asdict(self)


def examine_machine() -> Checkup:
    """Examine the installation, the CPU, the GPUs and the default model; problems are reported, not raised."""
    problems: list[str] = []
    hiding = devices.find_hiding_package()
    if hiding is not None:
        problems.append(hiding)
    threads, bundle, trial, cuda = None, None, None, None
    try:
        threads = devices.choose_threads(None)
        bundle = load_bundle()
        devices.check_onnxruntime()
        trial = _try_scoring(bundle)
    except SentimmError as error:
        problems.append(str(error))
    if hasattr(ort, "InferenceSession"):
        cuda = find_reason_against_cuda(bundle)
    return Checkup(
        works=trial is not None,
        sentimm=__version__,
        python=platform.python_version(),
        system=f"{platform.system()} {platform.release()} ({platform.machine()})",
        packages={name: devices.find_installed(name) for name in (*_PACKAGES, *_EXTRA_PACKAGES)},
        providers=tuple(ort.get_available_providers()) if hasattr(ort, "get_available_providers") else (),
        cpu=_read_cpu_name(),
        threads=threads,
        int8_instructions=find_int8_instructions(),
        gpus=list_gpus(),
        cuda=cuda,
        bundle=str(default_bundle_path()),
        model=None if bundle is None else f"{bundle.name} ({', '.join(bundle.precisions)})",
        trial=trial,
        problems=tuple(problems),
    )


def _try_scoring(bundle: Bundle) -> str:
    """Score a text and a blank image on the device that `auto` chooses."""
    engine = Engine(bundle)
    start = time.perf_counter()
    texts = images = None
    if bundle.text is not None:
        rows = bundle.text.load_tokenizer().encode(["what a day"])
        texts = engine.encode_texts(rows)
    if bundle.image is not None:
        images = engine.encode_images(np.zeros((1, 3, bundle.image.size, bundle.image.size), np.uint8))
    first = np.zeros(1, np.int64)
    engine.fuse(texts, images, first, first)
    return f"{engine.note.removesuffix('.')}; the first post took {(time.perf_counter() - start) * 1000:.0f} ms."


def find_reason_against_cuda(bundle: Bundle | None) -> str | None:
    """Return why scoring can't use CUDA here, and what to do; None: it can."""
    problem = devices.find_cuda_problem()
    if problem is not None:
        return f"{problem.reason}: {problem.remedy}"
    if bundle is None:
        return None
    try:
        Engine(bundle, device="cuda")
    except DeviceError as error:
        return str(error).removeprefix("CUDA can't be used, ")
    except SentimmError:  # the trial has it
        return None
    return None


def list_gpus() -> tuple[str, ...]:
    """Return the GPUs that nvidia-smi lists: name, memory and driver of each."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return ()
    query = ["--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run([program, *query], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ()
    if done.returncode != 0:
        return ()
    rows = [[field.strip() for field in line.split(",")] for line in done.stdout.splitlines() if line.strip()]
    return tuple(
        f"{name}, {memory}, driver {driver}" for name, memory, driver in (row for row in rows if len(row) == 3)
    )


def _read_cpu_name() -> str:
    return next((value for key, value in _read_cpu_info() if key == "model name"), "") or platform.processor()


def find_int8_instructions() -> tuple[str, ...] | None:
    """Return the CPU's instructions that speed up int8; None: the system does not list its instructions."""
    for key, value in _read_cpu_info():
        if key in ("flags", "Features"):
            found = set(value.split())
            return tuple(flag for flag in _INT8_FLAGS if flag in found)
    return None


def _read_cpu_info() -> Iterator[tuple[str, str]]:
    try:
        lines = CPU_INFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return
    for line in lines:
        key, _, value = line.partition(":")
        yield key.strip(), value.strip()
