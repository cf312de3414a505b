"""What `sentimm doctor` found out about a machine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from sentimm.console.facts import Fact, print_facts

if TYPE_CHECKING:
    from sentimm.doctor import Checkup

_PACKAGES_A_LINE = 5
# Instructions that multiply and add bytes in one step.
_DOT_PRODUCTS = frozenset({"avx_vnni", "avx512_vnni", "amx_int8", "asimddp", "i8mm"})


def print_checkup(checkup: Checkup) -> None:
    """Print a checkup on stdout."""
    print_facts("Scoring works here." if checkup.works else "Scoring does not work here.", _list_facts(checkup))


def describe_int8(instructions: tuple[str, ...] | None) -> str:
    """Return what a CPU's instructions mean for int8 graphs, in a few words."""
    if instructions is None:
        return "unknown on this system"
    if not instructions:
        return "none: int8 is slow here, --precision fp32 may be faster"
    names = ", ".join(instructions)
    if _DOT_PRODUCTS & set(instructions):
        return f"{names}: int8 is fast here"
    return f"{names}: int8 is faster than fp32 here, and about half as fast as on a CPU with VNNI"


def _list_facts(checkup: Checkup) -> Iterator[Fact]:
    packages = [f"{name} {version}" for name, version in checkup.packages.items() if version is not None]
    starts = range(0, len(packages), _PACKAGES_A_LINE)
    yield "Problems", checkup.problems
    yield "Versions", [f"sentimm {checkup.sentimm}, Python {checkup.python}, {checkup.system}"]
    yield "Packages", [", ".join(packages[start : start + _PACKAGES_A_LINE]) for start in starts]
    yield "ONNX Runtime", [", ".join(checkup.providers) or "damaged"]
    yield "CPU", [checkup.cpu or "unknown", f"{checkup.threads or '?'} threads"]
    yield "int8", [describe_int8(checkup.int8_instructions)]
    yield "GPUs", checkup.gpus or ["none found by nvidia-smi"]
    yield "CUDA", [f"not used: {checkup.cuda}" if checkup.cuda else "can be used"]
    yield "Model", [checkup.bundle, checkup.model or "can't be loaded"]
    yield "Trial", [checkup.trial or "failed"]
