"""`sentimm doctor`: what this machine can use, and what keeps it from more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from sentimm.doctor import Checkup


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Look for what could keep scoring from working here, or a GPU from being used.

    Scores a post with the built-in model to be sure; the exit code is 0 when that works, else 1.

    Example: sentimm doctor
    """
    from sentimm.console.facts import print_facts
    from sentimm.console.terminal import print_json
    from sentimm.doctor import examine_machine

    checkup = examine_machine()
    if as_json:
        print_json(checkup.to_json())
    else:
        title = "Scoring works here." if checkup.works else "Scoring does not work here."
        print_facts(title, _list_facts(checkup))
    if not checkup.works:
        raise typer.Exit(1)


def _list_facts(checkup: Checkup) -> list[tuple[str, list[str]]]:
    """Put a checkup into words: a name and some lines for each fact."""
    from sentimm.doctor import describe_int8

    packages = [f"{name} {version}" for name, version in checkup.packages.items() if version is not None]
    return [
        ("Problems", list(checkup.problems)),
        ("Versions", [f"sentimm {checkup.sentimm}, Python {checkup.python}, {checkup.system}"]),
        ("Packages", [", ".join(packages[start : start + 5]) for start in range(0, len(packages), 5)]),
        ("ONNX Runtime", [", ".join(checkup.providers) or "damaged"]),
        ("CPU", [checkup.cpu or "unknown", f"{checkup.threads or '?'} threads"]),
        ("int8", [describe_int8(checkup.int8_instructions)]),
        ("GPUs", list(checkup.gpus) or ["none that nvidia-smi knows of"]),
        ("CUDA", [f"not used: {checkup.cuda}" if checkup.cuda else "can be used"]),
        ("Model", [checkup.bundle, checkup.model or "can't be loaded"]),
        ("Trial", [checkup.trial or "failed"]),
    ]
