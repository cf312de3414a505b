from __future__ import annotations

import json
import sys

import onnxruntime
import pytest

from sentimm import doctor as checkup
from sentimm.cli.app import main
from sentimm.console.doctor import describe_int8
from sentimm.runtime import devices
from sentimm.runtime.devices import CudaProblem
from tests.support.tiny.bundles import make_bundle


def run(capsys, *arguments) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stop:
        main(["doctor", *arguments])
    return stop.value.code, *capsys.readouterr()


@pytest.fixture
def good_model(monkeypatch, tiny_bundle):
    for module in ("sentimm.bundle.bundle", "sentimm.doctor"):
        monkeypatch.setattr(f"{module}.default_bundle_path", lambda: tiny_bundle)


@pytest.fixture
def no_model(monkeypatch, tmp_path):
    for module in ("sentimm.bundle.bundle", "sentimm.doctor"):
        monkeypatch.setattr(f"{module}.default_bundle_path", lambda: tmp_path / "default")


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch):
    problem = CudaProblem("this machine has no NVIDIA driver", "install the driver if it has an NVIDIA GPU")
    monkeypatch.setattr(devices, "find_cuda_problem", lambda: problem)
    monkeypatch.setattr(devices, "has_driver", lambda: False)
    monkeypatch.setattr(checkup.shutil, "which", lambda name: None)


@pytest.fixture
def cpu_info(monkeypatch, tmp_path):
    def write(content: str) -> None:
        (tmp_path / "cpuinfo").write_text(content)
        monkeypatch.setattr(checkup, "CPU_INFO", tmp_path / "cpuinfo")

    return write


def test_doctor_scores_a_post_and_says_that_it_works(capsys, good_model):
    code, out, err = run(capsys)
    assert (code, err) == (0, "")
    assert out.startswith("Scoring works here.\n")
    assert "Problems" not in out
    assert f"onnxruntime-gpu {devices.find_installed('onnxruntime-gpu')}" in out
    assert "CPUExecutionProvider" in out
    assert "not used: this machine has no NVIDIA driver: install the driver" in out
    assert "tiny (fp32)" in out
    assert "because this machine has no NVIDIA driver; the first post took " in out


def test_doctor_json_is_one_object(capsys, good_model, cpu_info):
    cpu_info("processor\t: 0\nmodel name\t: Test CPU\nflags\t\t: fpu sse avx2 avx512f avx512_vnni\n")
    code, out, err = run(capsys, "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert found["works"] is True and found["problems"] == []
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert found["cpu"] == "Test CPU"
    assert found["int8_instructions"] == ["avx2", "avx512f", "avx512_vnni"]
    assert found["packages"]["numpy"] and "torch" in found["packages"]
    assert found["gpus"] == []
    assert found["cuda"].startswith("this machine has no NVIDIA driver")


def test_doctor_fails_where_there_is_no_model(capsys, no_model, tmp_path):
    code, out, err = run(capsys)
    assert (code, err) == (1, "")
    assert out.startswith("Scoring does not work here.\n")
    assert f"The model that ships with sentimm is missing from {tmp_path / 'default'}" in out


def test_doctor_fails_where_the_model_is_damaged(capsys, monkeypatch, tmp_path):
    folder = make_bundle(tmp_path / "default")
    (folder / "text.onnx").write_bytes(b"")
    monkeypatch.setattr("sentimm.bundle.bundle.default_bundle_path", lambda: folder)
    code, out, _ = run(capsys, "--json")
    assert code == 1
    assert "text.onnx is damaged" in json.loads(out)["problems"][0]


def test_doctor_tells_of_a_package_that_hides_the_gpu_one(capsys, monkeypatch, good_model):
    real = devices.find_installed
    monkeypatch.setattr(devices, "find_installed", lambda name: "1.31.0" if name == "onnxruntime" else real(name))
    code, out, _ = run(capsys)
    assert code == 0
    assert "The package onnxruntime 1.31.0 is installed beside onnxruntime-gpu" in out
    assert "pip uninstall -y onnxruntime" in out


def test_doctor_tells_of_a_damaged_onnxruntime(capsys, monkeypatch, good_model):
    monkeypatch.delattr(onnxruntime, "InferenceSession")
    monkeypatch.delattr(onnxruntime, "get_available_providers")
    code, out, _ = run(capsys)
    assert code == 1
    assert "The package onnxruntime is damaged" in out
    assert "pip install --force-reinstall onnxruntime-gpu" in out


def test_doctor_tells_of_a_wrong_number_of_threads(capsys, monkeypatch, good_model):
    monkeypatch.setenv("OMP_NUM_THREADS", "all")
    code, out, _ = run(capsys)
    assert code == 1
    assert "OMP_NUM_THREADS is 'all'" in out


def test_doctor_lists_the_gpus_that_nvidia_smi_knows(capsys, monkeypatch, tmp_path, good_model):
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'NVIDIA L4, 23034 MiB, 570.86.15'\necho 'NVIDIA L4, 23034 MiB, 570.86.15'\n")
    program.chmod(0o755)
    monkeypatch.setattr(checkup.shutil, "which", lambda name: str(program))
    _, out, _ = run(capsys, "--json")
    assert json.loads(out)["gpus"] == ["NVIDIA L4, 23034 MiB, driver 570.86.15"] * 2


def test_doctor_says_why_a_gpu_is_not_used(capsys, monkeypatch, good_model):
    monkeypatch.setattr(devices, "find_cuda_problem", lambda: None)
    monkeypatch.setattr(devices, "list_gpu_names", lambda: ("Test GPU",))
    monkeypatch.setattr(devices, "explain_failed_session", lambda: CudaProblem("libx.so is missing", "install libx"))
    code, out, err = run(capsys)
    assert (code, err) == (0, "")
    assert "not used: libx.so is missing: install libx" in out


@pytest.mark.parametrize(
    ("content", "found", "words"),
    [
        ("flags : fpu avx2\n", ("avx2",), "avx2: int8 is faster than fp32 here, and about half as fast"),
        ("flags : avx2 avx_vnni\n", ("avx2", "avx_vnni"), "avx2, avx_vnni: int8 is fast here"),
        ("Features : fp asimddp i8mm\n", ("asimddp", "i8mm"), "asimddp, i8mm: int8 is fast here"),
        ("flags : fpu sse2\n", (), "none: int8 is slow here"),
        ("nothing of use\n", None, "unknown on this system"),
    ],
)
def test_the_instructions_of_the_cpu_are_read_and_explained(cpu_info, content, found, words):
    cpu_info(content)
    assert checkup.find_int8_instructions() == found
    assert describe_int8(found).startswith(words)


def test_a_system_without_cpu_info_is_no_error(monkeypatch, tmp_path):
    monkeypatch.setattr(checkup, "CPU_INFO", tmp_path / "missing")
    assert checkup.find_int8_instructions() is None
