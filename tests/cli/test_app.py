from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sentimm import __version__
from sentimm.cli.app import COMMANDS
from sentimm.errors import OutputError
from tests.support.commands import run

HEAVY = ("polars", "pyarrow", "numpy", "onnxruntime", "tokenizers", "PIL", "torch", "torchvision", "transformers")


@pytest.fixture
def command(monkeypatch, tmp_path):
    """A command `probe` that does what a function says."""

    def register(function):
        module = type(sys)("probe_module")
        module.probe = function
        monkeypatch.setitem(sys.modules, "probe_module", module)
        monkeypatch.setitem(COMMANDS, "probe", "probe_module")

    return register


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [["--help"], ["--version"], *([name, "--help"] for name in COMMANDS)])
def test_help_and_version_import_nothing_heavy(arguments):
    code = (
        "import sys; from sentimm.cli.app import main\n"
        "try: main(sys.argv[1:])\n"
        f"finally: sys.stderr.write(' '.join(m for m in {HEAVY} if m in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert done.stdout


def test_every_command_of_the_table_is_listed(capsys):
    code, out, _ = run(capsys, "--help")
    assert code == 0
    for name in COMMANDS:
        assert f" {name} " in out


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_takes_the_common_options(capsys, name):
    code, out, _ = run(capsys, name, "--help")
    assert code == 0
    assert "--version" in out and "--verbose" in out and "--log-file" in out and "-v" in out
    assert f"sentimm {name}" in out


def test_version_goes_before_or_after_the_command(capsys):
    assert run(capsys, "--version") == (0, f"sentimm {__version__}\n", "")
    assert run(capsys, "score", "--version") == (0, f"sentimm {__version__}\n", "")


def test_an_error_is_one_line_and_its_exit_code(capsys, command):
    def probe() -> None:
        raise OutputError("The output \x1b[31mred\x07.parquet can't be written.")

    command(probe)
    code, out, err = run(capsys, "probe")
    assert (code, out) == (1, "")
    assert (
        err == "Error: The output \N{REPLACEMENT CHARACTER}[31mred\N{REPLACEMENT CHARACTER}.parquet can't be written.\n"
    )


def test_an_unexpected_error_is_a_sentence_with_a_hint(capsys, command):
    def probe() -> None:
        raise KeyError("lost")

    command(probe)
    code, out, err = run(capsys, "probe")
    assert (code, out) == (1, "")
    assert err == (
        "Error: Something unexpected went wrong (KeyError: 'lost'); the same command with --verbose, "
        "or --log-file FILE, tells where.\n"
    )


def test_verbose_shows_where_an_unexpected_error_happened(capsys, command):
    def probe() -> None:
        raise KeyError("lost")

    command(probe)
    code, _, err = run(capsys, "probe", "--verbose")
    assert code == 1
    assert "Traceback" in err and 'raise KeyError("lost")' in err


def test_the_log_file_holds_the_traceback(capsys, command, tmp_path):
    def probe() -> None:
        raise KeyError("lost")

    command(probe)
    log = tmp_path / "run.log"
    code, _, err = run(capsys, "--log-file", str(log), "probe")
    assert code == 1
    assert "Traceback" not in err
    assert 'raise KeyError("lost")' in log.read_text()


def test_a_log_file_that_cannot_be_written_is_named(capsys, tmp_path):
    log = tmp_path / "missing" / "run.log"
    code, _, err = run(capsys, "status", "x.parquet", "--log-file", str(log))
    assert code == 2
    assert err == f"Error: The log file {log} can't be written: No such file or directory.\n"


def test_an_unknown_command_suggests_the_nearest(capsys):
    code, _, err = run(capsys, "scor")
    assert code == 2
    assert "No such command 'scor'. Did you mean 'score'" in err


def test_an_unknown_option_is_a_usage_error(capsys):
    code, _, err = run(capsys, "status", "x.parquet", "--frobnicate")
    assert code == 2
    assert "No such option" in err and "Traceback" not in err


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no device that is always full")
def test_what_can_not_be_printed_ends_nothing():
    def call(code: str, streams: str) -> tuple[int, str, str]:
        script = f"import sys, sentimm.cli.app\n{code}sentimm.cli.app.main(['--version'])"
        command = ["sh", "-c", f'"$0" "$@" {streams}', sys.executable, "-c", script]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout, done.stderr

    assert call("", ">/dev/full") == (1, "", "Error: The result can't be printed: No space left on device.\n")
    assert call("", "2>/dev/full") == (0, f"sentimm {__version__}\n", "")
    assert call("", ">&-") == (0, "", "")
    assert call("", "| true") == (0, "", "")
    gone = "sentimm.cli.app.main(['status', 'gone'])\n"
    assert call(gone, "2>/dev/full") == (2, "", "")
    assert call(gone, "2>&-") == (2, "", "")
    loud = "sentimm.cli.app.app = lambda *_, **__: print('news' * 9999, file=sys.stderr, flush=True) or print('done')\n"
    for stderr in ("/dev/full", "&-"):
        assert call(loud, f"2>{stderr}") == (0, "done\n", "")


def test_python_dash_m_runs_the_command_line():
    done = subprocess.run(
        [sys.executable, "-m", "sentimm", "--version"], capture_output=True, text=True, check=True, cwd=Path(sys.prefix)
    )
    assert done.stdout == f"sentimm {__version__}\n"
