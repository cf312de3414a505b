"""What this machine offers to run a model on: CPU threads, NVIDIA GPUs, and why CUDA can't be used."""

from __future__ import annotations

import contextlib
import ctypes
import io
import math
import os
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import onnxruntime as ort

from sentimm.errors import DeviceError, UsageError

CUDA_PROVIDER = "CUDAExecutionProvider"
CPU_PROVIDER = "CPUExecutionProvider"

_INSTALL_CUDA = "pip install 'sentimm[cuda]' brings the NVIDIA libraries"
_INSTALL_GPU_PACKAGE = "pip uninstall -y onnxruntime, then pip install --force-reinstall onnxruntime-gpu"
_CUDA_ERROR_NO_DEVICE = 100  # from cuda.h
CGROUP = Path("/sys/fs/cgroup")
_MOST_THREADS = 256  # that may be asked for, where CPUs are fewer than a quarter of that


@dataclass(frozen=True)
class CudaProblem:
    """Why CUDA can't be used, and what to do about it: both clauses of a sentence, without a full stop."""

    reason: str
    remedy: str


def check_onnxruntime() -> None:
    """Check that ONNX Runtime is intact.

    Raises:
        DeviceError: it is not: uninstalling one of its two packages takes the other's files along.
    """
    if not hasattr(ort, "InferenceSession"):
        raise DeviceError(
            "The package onnxruntime is damaged, perhaps because one of onnxruntime and onnxruntime-gpu was removed "
            "while both were installed: pip install --force-reinstall onnxruntime-gpu."
        )


def find_cuda_problem() -> CudaProblem | None:
    """Look for what keeps CUDA from working, without loading a model: ONNX Runtime's build, then the driver.

    None: nothing was found; whether the NVIDIA libraries load shows only in a session.
    """
    return _check_package() or _check_driver()


def explain_failed_session() -> CudaProblem:
    """Explain why ONNX Runtime could not place a session on CUDA, although `find_cuda_problem` found nothing.

    Call it after the failure only: loading the provider's library before ONNX Runtime does breaks it.
    """
    library = Path(ort.__file__).parent / "capi" / _library_name("onnxruntime_providers_cuda")
    try:
        ctypes.CDLL(str(library))
    except OSError as error:
        missing = str(error).split(":")[0]
        return CudaProblem(f"a library that CUDA needs does not load ({missing})", _INSTALL_CUDA)
    return CudaProblem(
        f"ONNX Runtime {ort.__version__} could not start it (it needs CUDA {ort.cuda_version} and cuDNN 9)",
        f"see `sentimm doctor`; {_INSTALL_CUDA}",
    )


def preload_cuda_libraries() -> None:
    """Load the NVIDIA libraries that pip installed, so that ONNX Runtime finds them."""
    with contextlib.redirect_stdout(io.StringIO()):  # it prints what it misses; the session tells whether it matters
        ort.preload_dlls()


def find_installed(distribution: str) -> str | None:
    """Return the installed version of a distribution, None where it is not installed."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def find_hiding_package() -> str | None:
    """Return a warning where `onnxruntime` is installed beside `onnxruntime-gpu`, whose CUDA it can hide."""
    plain, gpu = find_installed("onnxruntime"), find_installed("onnxruntime-gpu")
    if plain is None or gpu is None:
        return None
    return (
        f"The package onnxruntime {plain} is installed beside onnxruntime-gpu {gpu}: they share one folder, and "
        f"CUDA is lost: {_INSTALL_GPU_PACKAGE}."
    )


def list_gpu_names() -> tuple[str, ...]:
    """Return the names of the GPUs that CUDA sees, in its order; empty where it does not work."""
    driver = load_driver()
    if driver is None or driver.cuInit(0) != 0:
        return ()
    count = ctypes.c_int()
    driver.cuDeviceGetCount(ctypes.byref(count))
    names = []
    for index in range(count.value):
        name = ctypes.create_string_buffer(256)
        driver.cuDeviceGetName(name, len(name), index)
        names.append(name.value.decode(errors="replace"))
    return tuple(names)


def choose_threads(asked: int | None) -> int:
    """Return how many threads a model may use: `asked`, else OMP_NUM_THREADS, else the CPUs this process may use.

    Raises:
        UsageError: `asked` or OMP_NUM_THREADS is not a number of threads.
    """
    if asked is not None:
        if asked < 1:
            raise UsageError(f"--threads is {asked}, but it must be at least 1.")
        return _check_most("--threads", asked)
    variable = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    if not variable:
        return count_cpus()
    if not variable.isdecimal() or int(variable) < 1:
        raise UsageError(
            f"OMP_NUM_THREADS is {variable!r}, but it must be a number of threads: unset it, or use --threads."
        )
    return _check_most("OMP_NUM_THREADS", int(variable))


def _check_most(name: str, threads: int) -> int:
    most = max(_MOST_THREADS, 4 * count_cpus())
    if threads > most:
        raise UsageError(f"{name} is {threads}, but more than {most} threads don't help on {count_cpus()} CPUs.")
    return threads


def count_cpus() -> int:
    """Count the CPUs that this process may use: its affinity, and no more than its cgroup's share of time."""
    cpus = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    quota = _read_cgroup_quota()
    return cpus if quota is None else max(1, min(cpus, math.ceil(quota)))


def _read_cgroup_quota() -> float | None:
    """Return the CPUs' worth of time that this container may use; None where it has no limit."""
    try:  # version 2
        quota, period = (CGROUP / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:  # version 1
            quota = (CGROUP / "cpu" / "cpu.cfs_quota_us").read_text().strip()
            period = (CGROUP / "cpu" / "cpu.cfs_period_us").read_text().strip()
        except OSError:
            return None
    try:
        share = int(quota) / int(period)
    except (ValueError, ZeroDivisionError):  # "max"
        return None
    return share if share > 0 else None  # version 1 writes -1 for no limit


def _check_package() -> CudaProblem | None:
    if CUDA_PROVIDER in ort.get_available_providers():
        return None
    if find_installed("onnxruntime") is None:
        return CudaProblem("this build of ONNX Runtime has no CUDA", "install onnxruntime-gpu, where there is one")
    if find_installed("onnxruntime-gpu") is None:
        return CudaProblem("the package onnxruntime, which has no CUDA, is installed", _INSTALL_GPU_PACKAGE)
    return CudaProblem("the package onnxruntime hides onnxruntime-gpu", _INSTALL_GPU_PACKAGE)


def _check_driver() -> CudaProblem | None:
    driver = load_driver()
    if driver is None:
        return CudaProblem("this machine has no NVIDIA driver", "install the driver if it has an NVIDIA GPU")
    status = driver.cuInit(0)
    if status == _CUDA_ERROR_NO_DEVICE:
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        if visible is not None:
            return CudaProblem(f"CUDA_VISIBLE_DEVICES is {visible!r} and leaves no GPU", "unset it")
        return CudaProblem("the NVIDIA driver finds no GPU", "see what nvidia-smi says")
    if status != 0:
        return CudaProblem(f"the NVIDIA driver does not start (CUDA error {status})", "see what nvidia-smi says")
    version = ctypes.c_int()
    driver.cuDriverGetVersion(ctypes.byref(version))
    needed = int(ort.cuda_version.split(".")[0]) if ort.cuda_version else 0
    if version.value // 1000 < needed:
        found = f"{version.value // 1000}.{version.value % 1000 // 10}"
        return CudaProblem(
            f"the NVIDIA driver is for CUDA {found}, and ONNX Runtime {ort.__version__} needs CUDA {needed}",
            "update the driver, or install an onnxruntime-gpu for its CUDA",
        )
    return None


def has_driver() -> bool:
    """Return whether this machine has an NVIDIA driver."""
    return load_driver() is not None


def load_driver() -> ctypes.CDLL | None:
    """Load the library of NVIDIA's driver; None: there is none."""
    try:
        return ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return None


def _library_name(name: str) -> str:
    return f"{name}.dll" if sys.platform == "win32" else f"lib{name}.so"
