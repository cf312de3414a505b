"""Where a bundle runs: choosing device and precision, and opening the sessions that are held to it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import onnxruntime as ort

from sentimm.bundle.bundle import PRECISIONS, Bundle, Precision
from sentimm.errors import BundleError, DeviceError, UsageError
from sentimm.runtime import devices
from sentimm.runtime.devices import CPU_PROVIDER, CUDA_PROVIDER, CudaProblem

Sessions: TypeAlias = "Mapping[str, ort.InferenceSession]"

_PREFERENCES: dict[str, tuple[Precision, ...]] = {"cpu": ("int8", "fp32", "fp16"), "cuda": ("fp16", "fp32")}
# Threads that call a session at once; with more cores than this, each call gets several. Beyond it, threads of Python
# would wait for each other.
_MOST_WORKERS = 16
# Fused, it is slow on CPUs: without, the 6-layer BERT ran 847 texts/s instead of 735 (int8, VNNI; docs/benchmarks.md).
SLOW_ON_CPU = ["SkipLayerNormFusion"]
_FATAL = 4  # ONNX Runtime's log level: what goes wrong arrives as an exception, or is found by the checks here

# What a model computes with; in a session on CUDA, none of it may run on the CPU. (Small integer work on shapes may.)
_COMPUTING = re.compile(r"MatMul|Gemm|Conv|Attention|LayerNorm|Softmax|Gelu|Pool")


@dataclass(frozen=True)
class Placement:
    """Where a bundle's graphs run: `device` is `cpu` or `cuda:N`; `note` says why, in a sentence."""

    device: str
    precision: Precision
    threads: int
    note: str

    @property
    def workers(self) -> int:
        """How many threads are to call the sessions at once."""
        return min(self.threads, _MOST_WORKERS)


def place_bundle(bundle: Bundle, device: str, precision: str, threads: int | None) -> tuple[Placement, Sessions]:
    """Open a session for each of the bundle's graphs on the device that was asked for, or that suits (`auto`).

    Raises:
        UsageError, DeviceError, BundleError: as `Engine`.
    """
    devices.check_onnxruntime()
    check_request(bundle, device, precision)
    count = devices.choose_threads(threads)
    ort.set_default_logger_severity(_FATAL)
    if device == "cpu":
        return _place_on_cpu(bundle, precision, count, "as --device cpu asks")
    if device != "auto":
        return _place_on_cuda(bundle, _number_gpu(device), precision, count, f"as --device {device} asks")
    reason = _find_reason_for_cpu(bundle, precision)
    if reason is None:
        try:
            return _place_on_cuda(bundle, 0, precision, count, "because CUDA works here")
        except _CudaError as error:
            reason = f"{error.problem.reason}; {error.problem.remedy}"
    return _place_on_cpu(bundle, precision, count, f"because {reason}")


def check_request(bundle: Bundle, device: str, precision: str) -> None:
    """Check a device and a precision that were asked for.

    Raises:
        UsageError: there is no such thing, or the two don't go together.
    """
    if re.fullmatch(r"auto|cpu|cuda(:\d+)?", device) is None:
        raise UsageError(f"--device is {device!r}, but it must be auto, cpu, cuda, or cuda:N for the GPU of number N.")
    if precision != "auto" and precision not in PRECISIONS:
        raise UsageError(f"--precision is {precision!r}, but it must be auto, {', '.join(PRECISIONS)}.")
    if device.startswith("cuda") and precision == "int8":
        raise UsageError("--precision int8 runs on CPUs only: use fp16 or fp32 with --device cuda, or --device cpu.")
    if precision != "auto" and precision not in bundle.precisions:
        raise UsageError(
            f"The model {bundle.name} has no {precision} graphs, only {', '.join(bundle.precisions)}: use one of these "
            f"or export it with --precision {precision}."
        )


def _number_gpu(device: str) -> int:
    return int(device.partition(":")[2] or 0)


def _find_reason_for_cpu(bundle: Bundle, precision: str) -> str | None:
    """Return why `auto` does not even try CUDA, None where it should."""
    if precision == "int8":
        return "int8 runs on CPUs only"
    if not set(bundle.precisions) & set(_PREFERENCES["cuda"]):
        return "the model has no fp16 or fp32 graphs for CUDA"
    problem = devices.find_cuda_problem()
    if problem is None:
        return None
    return f"{problem.reason}; {problem.remedy}" if devices.has_driver() else problem.reason


def _place_on_cpu(bundle: Bundle, precision: str, threads: int, why: str) -> tuple[Placement, Sessions]:
    chosen = choose_precision(bundle, "cpu", precision)
    note = f"On the CPU in {chosen} with {threads} thread{'s' if threads > 1 else ''}, {why}."
    placement = Placement("cpu", chosen, threads, note)
    return placement, _open_sessions(bundle, placement)


def _place_on_cuda(bundle: Bundle, gpu: int, precision: str, threads: int, why: str) -> tuple[Placement, Sessions]:
    chosen = choose_precision(bundle, "cuda", precision)
    problem = devices.find_cuda_problem()
    if problem is not None:
        raise _CudaError(problem)
    names = devices.list_gpu_names()
    if gpu >= len(names):
        found = f"GPU{'s 0 to' if len(names) > 1 else ''} {len(names) - 1}" if names else "no GPU"
        raise _CudaError(CudaProblem(f"there is no GPU {gpu}, CUDA sees {found}", "choose another"))
    devices.preload_cuda_libraries()
    note = f"On cuda:{gpu} ({names[gpu]}) in {chosen}, {why}."
    placement = Placement(f"cuda:{gpu}", chosen, threads, note)
    return placement, _open_sessions(bundle, placement)


def choose_precision(bundle: Bundle, kind: str, precision: str) -> Precision:
    """Choose the precision that a bundle runs in on a kind of device, `cpu` or `cuda`.

    Raises:
        DeviceError: it has none for it.
    """
    for candidate in _PREFERENCES[kind]:
        if candidate in bundle.precisions and precision in ("auto", candidate):
            return candidate
    raise DeviceError(
        f"The model {bundle.name} can't run on CUDA: it only has {', '.join(bundle.precisions)} graphs, and CUDA needs "
        "fp16 or fp32; use --device cpu, or export it with --precision fp16."
    )


class _CudaError(DeviceError):
    """CUDA can't be used because of `problem`."""

    def __init__(self, problem: CudaProblem) -> None:
        super().__init__(f"CUDA can't be used, {problem.reason}: {problem.remedy}, or use --device cpu.")
        self.problem = problem


def _open_sessions(bundle: Bundle, placement: Placement) -> Sessions:
    graphs = bundle.graphs[placement.precision]
    return {part: _open_session(bundle, part, path, placement) for part, path in graphs.items()}


def _open_session(bundle: Bundle, part: str, path: Path, placement: Placement) -> ort.InferenceSession:
    on_cuda = placement.device != "cpu"
    options = ort.SessionOptions()
    options.log_severity_level = _FATAL
    # A graph in one thread, several at once, beats several threads in one graph, which wait for each other after every
    # node: 430 images/s and 719 texts/s on two cores, against 373 and 523.
    options.intra_op_num_threads = placement.threads // placement.workers
    options.inter_op_num_threads = 1
    # Threads that spin while they wait take the CPU from the other sessions and from the decoding of images:
    # EfficientNet-Lite2 on a busy 2-core machine ran 31.1 images/s with spinning, 38.7 without.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if on_cuda:
        options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    try:
        session = ort.InferenceSession(
            str(path),
            options,
            providers=_name_providers(placement),
            disabled_optimizers=None if on_cuda else SLOW_ON_CPU,
            enable_fallback=0,
        )
    except Exception as error:  # ONNX Runtime's errors share no class of their own
        reason = str(error).splitlines()[0]
        if on_cuda:
            raise _CudaError(
                CudaProblem(f"{path.name} can't be loaded on it ({reason})", "see `sentimm doctor`")
            ) from error
        raise BundleError(f"{path} can't be loaded by ONNX Runtime {ort.__version__}: {reason}") from error
    if on_cuda:
        _check_on_cuda(session, path)
    _check_graph(bundle, part, path, session)
    return session


def _name_providers(placement: Placement) -> list[Any]:
    if placement.device == "cpu":
        return [CPU_PROVIDER]
    options = {
        "device_id": str(_number_gpu(placement.device)),
        "cudnn_conv_algo_search": "HEURISTIC",  # the default times every algorithm for every new shape
        "use_tf32": "0",  # fp32 is to answer as fp32 does
    }
    return [(CUDA_PROVIDER, options), CPU_PROVIDER]


def _check_on_cuda(session: ort.InferenceSession, path: Path) -> None:
    """Make sure that ONNX Runtime did as it was told: it falls back to the CPU without a word."""
    if session.get_providers()[0] != CUDA_PROVIDER:
        raise _CudaError(devices.explain_failed_session())
    strays = {
        node.op_type
        for part in session.get_provider_graph_assignment_info()
        if part.ep_name == CPU_PROVIDER
        for node in part.get_nodes()
        if _COMPUTING.search(node.op_type)
    }
    if strays:
        kinds = ", ".join(sorted(strays))
        raise _CudaError(
            CudaProblem(f"ONNX Runtime would run parts of {path.name} on the CPU ({kinds})", "export the model again")
        )


def _check_graph(bundle: Bundle, part: str, path: Path, session: ort.InferenceSession) -> None:
    """Compare names and last sizes of a graph's inputs and outputs with what the manifest promises."""
    found = {value.name: value.shape for value in session.get_inputs()}
    results = {value.name: value.shape for value in session.get_outputs()}
    inputs, outputs = _describe_graph(bundle, part)
    if set(found) != set(inputs) or not set(outputs) <= set(results):
        raise BundleError(
            f"{path} is not the {part} graph that the manifest describes: it takes {', '.join(sorted(found))} and "
            f"returns {', '.join(sorted(results))}; export the model again."
        )
    for name, size in (inputs | outputs).items():
        last = (found | results)[name][-1]
        if size is not None and isinstance(last, int) and last != size:
            raise BundleError(
                f"{path} does not fit the manifest: the last size of {name} is {last} instead of {size}; "
                "export the model again."
            )
    cells = bundle.image.cells if part == "image" and bundle.image is not None else None
    if cells is not None and isinstance(found_cells := results["image_sequence"][1], int) and found_cells != cells:
        raise BundleError(
            f"{path} does not fit the manifest: image_sequence has {found_cells} cells instead of {cells}; "
            "export the model again."
        )


def _describe_graph(bundle: Bundle, part: str) -> tuple[dict[str, int | None], dict[str, int | None]]:
    """Name a graph's inputs and outputs, with their last sizes where these are fixed."""
    text, image = bundle.text, bundle.image
    widths = {"text": text.width if text else None, "image": image.width if image else None}
    encoded: dict[str, dict[str, int | None]] = {
        modality: {f"{modality}_features": width} | ({f"{modality}_sequence": width} if bundle.fusion.attends else {})
        for modality, width in widths.items()
    }
    if part == "text":
        return {"input_ids": None, "attention_mask": None}, encoded["text"]
    if part == "image":
        return {"pixels": image.size if image else None}, encoded["image"]
    inputs: dict[str, int | None] = {f"{modality}_index": None for modality in bundle.modalities}
    for modality in bundle.modalities:
        inputs |= encoded[modality]
    if bundle.fusion.attends and text is not None:
        inputs["text_mask"] = None
    return inputs, {
        name: len(bundle.labels) for name in ("scores", *(f"{head}_scores" for head in bundle.fusion.heads))
    }
