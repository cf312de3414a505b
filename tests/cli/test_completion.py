from __future__ import annotations

import os
import subprocess
import sys

import pytest

SHELLS = ("bash", "zsh", "fish")


def complete(shell: str, *words: str) -> str:
    """Return what a shell is told to complete the last word with."""
    line = " ".join(("sentimm", *words))
    environment = {
        **os.environ,
        "_SENTIMM_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": line,  # of bash
        "COMP_CWORD": str(len(words)),
        "_TYPER_COMPLETE_ARGS": line,  # of zsh and fish
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }
    code = "from sentimm.cli.app import main; main([])"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("shell", SHELLS)
def test_commands_options_and_choices_are_completed(shell: str) -> None:
    assert "status" in complete(shell, "sta") and "score" not in complete(shell, "sta")
    assert "--image-lr" in complete(shell, "train", "--image-l")
    found = complete(shell, "train", "--fusion", "native")
    assert "native-cat" in found and "native-combine" in found and "hstec" not in found
    assert "macro_recall" in complete(shell, "train", "--metric", "macro_r")
    assert "int8" in complete(shell, "score", "--precision", "i")


@pytest.mark.slow
@pytest.mark.parametrize("shell", SHELLS)
def test_names_of_files_are_left_to_the_shell(shell: str) -> None:
    # It completes them itself where it is told nothing else.
    for words in (("score", "twee"), ("score", "posts.csv", "--images", "pho"), ("export", "--card", "f")):
        assert complete(shell, *words).strip() in ("", "_files")


def test_completion_can_be_shown_and_installed() -> None:
    code = "from sentimm.cli.app import main; main(['--help'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "--install-completion" in done.stdout and "--show-completion" in done.stdout
