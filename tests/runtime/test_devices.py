"""Choosing device, precision and threads."""

from __future__ import annotations

import ctypes
from types import SimpleNamespace

import onnxruntime
import pytest

from sentimm.bundle.bundle import load_bundle
from sentimm.errors import DeviceError, UsageError
from sentimm.runtime import devices
from sentimm.runtime import sessions as placement
from sentimm.runtime.devices import CudaProblem
from sentimm.runtime.engine import Engine
from tests.support.tiny.bundles import make_bundle


@pytest.fixture(scope="module")
def bundle(tiny_bundle):
    return load_bundle(tiny_bundle)


@pytest.fixture
def many(tmp_path):
    return load_bundle(make_bundle(tmp_path / "many", precisions=["int8", "fp16", "fp32"]))


@pytest.fixture
def no_cuda(monkeypatch):
    problem = CudaProblem("this machine has no NVIDIA driver", "install the driver if it has an NVIDIA GPU")
    monkeypatch.setattr(devices, "find_cuda_problem", lambda: problem)
    monkeypatch.setattr(devices, "has_driver", lambda: False)


@pytest.fixture
def seeming_cuda(monkeypatch):
    """A machine whose driver is fine; its sessions end up on the CPU all the same."""
    monkeypatch.setattr(devices, "find_cuda_problem", lambda: None)
    monkeypatch.setattr(devices, "list_gpu_names", lambda: ("Test GPU",))
    monkeypatch.setattr(devices, "explain_failed_session", lambda: CudaProblem("libx.so is missing", "install libx"))


@pytest.mark.parametrize(
    ("precisions", "asked", "chosen"),
    [
        (["int8", "fp16", "fp32"], "auto", "int8"),
        (["fp16", "fp32"], "auto", "fp32"),
        (["fp16"], "auto", "fp16"),
        (["int8", "fp16", "fp32"], "fp16", "fp16"),
        (["int8", "fp32"], "fp32", "fp32"),
    ],
)
def test_auto_without_cuda_takes_the_best_precision_for_the_cpu(tmp_path, no_cuda, precisions, asked, chosen):
    engine = Engine(load_bundle(make_bundle(tmp_path / "model", precisions=precisions)), precision=asked, threads=1)
    assert (engine.device, engine.precision) == ("cpu", chosen)
    if precisions != ["int8"]:
        assert engine.note == f"On the CPU in {chosen} with 1 thread, because this machine has no NVIDIA driver."


def test_auto_says_that_a_bundle_has_no_graphs_for_cuda(tmp_path, seeming_cuda):
    engine = Engine(load_bundle(make_bundle(tmp_path / "model", precisions=["int8"])), threads=2)
    assert engine.note == "On the CPU in int8 with 2 threads, because the model has no fp16 or fp32 graphs for CUDA."


def test_auto_falls_back_where_cuda_only_seems_to_work_and_says_so(many, seeming_cuda, capfd):
    engine = Engine(many, threads=1)
    assert engine.device == "cpu" and engine.precision == "int8"
    assert engine.note == "On the CPU in int8 with 1 thread, because libx.so is missing; install libx."
    assert capfd.readouterr() == ("", "")


def test_cuda_that_is_asked_for_and_not_there_says_why(many, no_cuda):
    with pytest.raises(DeviceError) as error:
        Engine(many, device="cuda")
    assert str(error.value) == (
        "CUDA can't be used, this machine has no NVIDIA driver: install the driver if it has an NVIDIA GPU, "
        "or use --device cpu."
    )


def test_a_session_that_was_silently_placed_on_the_cpu_is_an_error(many, seeming_cuda, capfd):
    with pytest.raises(DeviceError, match=r"libx\.so is missing: install libx, or use --device cpu\."):
        Engine(many, device="cuda")
    assert capfd.readouterr() == ("", "")


def test_a_missing_library_is_named_with_the_package_that_brings_it(monkeypatch):
    def load(path):
        raise OSError("libcublasLt.so.13: cannot open shared object file: No such file or directory")

    monkeypatch.setattr(ctypes, "CDLL", load)
    problem = devices.explain_failed_session()
    assert problem.reason == "a library that CUDA needs does not load (libcublasLt.so.13)"
    assert "pip install 'sentimm[cuda]'" in problem.remedy


def test_a_gpu_that_is_not_there_is_named(many, seeming_cuda):
    with pytest.raises(DeviceError, match="there is no GPU 3, CUDA sees GPU 0"):
        Engine(many, device="cuda:3")


def test_a_bundle_without_a_cuda_precision_says_so(tmp_path, seeming_cuda):
    bundle = load_bundle(make_bundle(tmp_path / "model", precisions=["int8"]))
    with pytest.raises(DeviceError, match="only has int8 graphs, and CUDA needs fp16 or fp32"):
        Engine(bundle, device="cuda")


def test_computing_nodes_on_the_cpu_are_an_error_on_cuda():
    def session(provider, operator):
        part = SimpleNamespace(ep_name=provider, get_nodes=lambda: [SimpleNamespace(op_type=operator)])
        return SimpleNamespace(
            get_providers=lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"],
            get_provider_graph_assignment_info=lambda: [part],
        )

    path = SimpleNamespace(name="image.onnx")
    placement._check_on_cuda(session("CUDAExecutionProvider", "Conv"), path)
    placement._check_on_cuda(session("CPUExecutionProvider", "Gather"), path)
    with pytest.raises(DeviceError, match=r"would run parts of image\.onnx on the CPU \(QLinearConv\)"):
        placement._check_on_cuda(session("CPUExecutionProvider", "QLinearConv"), path)


@pytest.mark.parametrize(
    ("installed", "reason"),
    [
        ({"onnxruntime": "1", "onnxruntime-gpu": "1"}, "the package onnxruntime hides onnxruntime-gpu"),
        ({"onnxruntime": "1"}, "the package onnxruntime, which has no CUDA, is installed"),
        ({}, "this build of ONNX Runtime has no CUDA"),
    ],
)
def test_a_package_without_cuda_is_named(monkeypatch, installed, reason):
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    monkeypatch.setattr(devices, "find_installed", installed.get)
    assert devices.find_cuda_problem().reason == reason
    assert (devices.find_hiding_package() is not None) == (len(installed) == 2)


class _Driver:
    """Stands in for libcuda."""

    def __init__(self, status=0, version=13000):
        self._status, self._version = status, version

    def cuInit(self, flags):  # noqa: N802
        return self._status

    def cuDriverGetVersion(self, pointer):  # noqa: N802
        pointer._obj.value = self._version
        return 0


@pytest.mark.parametrize(
    ("driver", "reason"),
    [
        (None, "this machine has no NVIDIA driver"),
        (_Driver(status=100), "the NVIDIA driver finds no GPU"),
        (_Driver(status=803), "the NVIDIA driver does not start (CUDA error 803)"),
        (_Driver(version=12080), "the NVIDIA driver is for CUDA 12.8, and ONNX Runtime "),
    ],
)
def test_what_is_wrong_with_the_driver_is_said(monkeypatch, driver, reason):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr(onnxruntime, "cuda_version", "13.0")
    monkeypatch.setattr(devices, "load_driver", lambda: driver)
    assert devices.find_cuda_problem().reason.startswith(reason)


def test_a_good_driver_is_no_problem(monkeypatch):
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr(onnxruntime, "cuda_version", "13.0")
    monkeypatch.setattr(devices, "load_driver", lambda: _Driver())
    assert devices.find_cuda_problem() is None


def test_a_damaged_onnxruntime_is_explained(bundle, monkeypatch):
    monkeypatch.delattr(onnxruntime, "InferenceSession")
    with pytest.raises(DeviceError, match="The package onnxruntime is damaged"):
        Engine(bundle)


def test_gpus_that_a_variable_hides_are_explained(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr(devices, "load_driver", lambda: _Driver(status=100))
    assert devices.find_cuda_problem() == CudaProblem("CUDA_VISIBLE_DEVICES is '-1' and leaves no GPU", "unset it")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device": "gpu"}, "--device is 'gpu', but it must be auto, cpu, cuda, or cuda:N"),
        ({"device": "cuda:x"}, "--device is 'cuda:x'"),
        ({"precision": "fp8"}, "--precision is 'fp8', but it must be auto, int8, fp16, fp32"),
        ({"precision": "fp16"}, "has no fp16 graphs, only fp32"),
        ({"device": "cuda", "precision": "int8"}, "--precision int8 runs on CPUs only"),
        ({"threads": 0}, "--threads is 0, but it must be at least 1"),
    ],
)
def test_what_can_not_be_asked_for_is_a_usage_error(bundle, options, message):
    with pytest.raises(UsageError, match=message.replace("(", r"\(")):
        Engine(bundle, **options)


def test_threads_are_the_option_else_the_variable_else_the_cpus(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert devices.choose_threads(5) == 5
    assert devices.choose_threads(None) == 3
    monkeypatch.setenv("OMP_NUM_THREADS", "4,2")
    assert devices.choose_threads(None) == 4
    monkeypatch.setenv("OMP_NUM_THREADS", "many")
    with pytest.raises(UsageError, match="OMP_NUM_THREADS is 'many'"):
        devices.choose_threads(None)
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert devices.choose_threads(None) == devices.count_cpus() >= 1


@pytest.mark.parametrize(
    ("files", "cpus"),
    [
        ({}, 8),
        ({"cpu.max": "max 100000"}, 8),
        ({"cpu.max": "250000 100000"}, 3),
        ({"cpu.max": "10000 100000"}, 1),
        ({"cpu.max": "6400000 100000"}, 8),
        ({"cpu/cpu.cfs_quota_us": "200000", "cpu/cpu.cfs_period_us": "100000"}, 2),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 8),
    ],
)
def test_a_container_share_of_the_cpus_counts(monkeypatch, tmp_path, files, cpus):
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content + "\n")
    monkeypatch.setattr(devices, "CGROUP", tmp_path)
    monkeypatch.setattr(devices.sys, "platform", "other")
    monkeypatch.setattr(devices.os, "cpu_count", lambda: 8)
    assert devices.count_cpus() == cpus
