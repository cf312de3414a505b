"""Where a job writes: the names of its output and of its list of problems, checked before anything is scored."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from sentimm.corpus import expand_inputs, require_utf8
from sentimm.corpus.tables.formats import COMPRESSIONS, FORMATS
from sentimm.errors import OutputError, UsageError
from sentimm.options import ScoreOptions
from sentimm.scoring.job_folder.finished_output import read_output
from sentimm.scoring.job_folder.job_file import job_path
from sentimm.scoring.output.problems import PROBLEMS_SUFFIX, check_problems, name_problems
from sentimm.storage import exists, is_remote, require_writable
from sentimm.storage.archives import ZIP

_COMPRESSED, _TABLES = tuple(COMPRESSIONS), (*FORMATS, ZIP)


def default_output(inputs: Sequence[str]) -> Path:
    """Name the output after the input: `tweets.scored.parquet`, in the working directory, for `data/tweets.csv.gz`."""
    has_magic = any(character in inputs[0] for character in ("*[{" if is_remote(inputs[0]) else "*?[{"))
    if len(inputs) > 1 or (has_magic and not os.path.lexists(inputs[0])):
        return Path("posts.scored.parquet")
    if inputs[0] == "-":
        return Path("stdin.scored.parquet")
    if is_remote(inputs[0]):
        name, is_file = inputs[0].split("?")[0].rstrip("/").rpartition("/")[2], True
    else:
        path = Path(os.path.abspath(inputs[0]))  # noqa: PTH100 (a link gives its own name)
        name, is_file = path.name, not path.is_dir()
    if is_file:
        for suffixes in (_COMPRESSED, _TABLES):
            if name.lower().endswith(suffixes):
                name = name[: name.rindex(".")]
    return Path(f"{name}.scored.parquet")


def leave_own_out(inputs: tuple[str, ...], output: Path, problems: Path) -> tuple[str, ...]:
    """Leave the output and the list of problems of an earlier attempt out of what globs and folders name.

    Raises:
        UsageError: an input itself is the output, or lies in it, or nothing else is left.
        InputError: see `expand_inputs`.
    """
    sources = expand_inputs(inputs)
    target, listed = _resolve(output), _resolve(problems)
    own = [path for path in sources if _resolve(path) == listed or f"{_resolve(path)}/".startswith(f"{target}/")]
    if not own:
        return inputs
    named = set(map(_resolve, inputs))
    if len(own) == len(sources) or any(_resolve(path) in named for path in own):
        raise UsageError(f"The input {own[0]} is the output {output}, or a part of it: choose another name with -o.")
    return tuple(str(path) for path in sources if path not in own)


def _resolve(path: Path | str) -> str:
    """Return the path with all links followed; a remote one as it is."""
    return str(path).rstrip("/") if is_remote(path) else os.path.realpath(path)


def check_output(output: Path, inputs: Sequence[str]) -> None:
    """Check the output before an hour of work goes into it.

    Raises:
        UsageError: it is an input, or not a name for an output.
        InputError: its name is not UTF-8.
        OutputError, JobConflictError: it can't be written, or exists and is not ours (see `read_output`).
    """
    require_utf8(str(output))
    if not is_remote(output) and output.is_symlink() and output.is_dir():
        raise UsageError(f"The output {output} is a link to a folder: name the folder itself with -o.")
    if output.name.lower().endswith(_COMPRESSED + _TABLES) and output.suffix != ".parquet" and not exists(output):
        raise UsageError(
            f"-o {output}: sentimm writes Parquet, to a file *.parquet or to a folder: choose such a name. Polars, "
            "pandas or DuckDB convert it to other formats."
        )
    if is_remote(output):
        require_writable(output)
        if str(output) in inputs:
            raise UsageError(f"The output {output} is the input: choose another name with -o.")
        read_output(output)
        return
    if output.name in ("", ".."):
        raise UsageError(f"-o {output} names no file or folder: use a name such as scored.parquet.")
    for name in inputs:
        if output.exists() and Path(name).exists() and output.samefile(name):
            raise UsageError(f"The output {output} is the input: choose another name with -o.")
    folder = next(parent for parent in Path(os.path.abspath(output)).parents if parent.exists())  # noqa: PTH100
    if not folder.is_dir():
        raise OutputError(f"{output} can't be written: {folder} is not a folder.")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"{output} can't be written: no permission to write in {folder}.")
    read_output(output)


def check_list(problems: Path, output: Path, options: ScoreOptions) -> None:
    """Check that the list of problems can be written, and that it takes no other file's place.

    Raises:
        UsageError: it can't lie there.
        InputError: its name is not UTF-8.
        JobConflictError, OutputError: see `check_problems`.
    """
    require_writable(problems)
    require_utf8(str(problems))
    others: list[Path | str] = [output, *options.inputs]
    for name in others:
        if _make_absolute(problems) == _make_absolute(name):
            raise UsageError(
                f"The list of problems can't be written to {name}, which is used already: choose another name with "
                "--problems."
            )
    if any(_make_absolute(problems).startswith(f"{_make_absolute(own)}/") for own in (output, job_path(output))):
        raise UsageError(
            f"The list of problems {problems} can't be inside the output: choose another name with --problems."
        )
    if not is_remote(problems) and not problems.parent.is_dir() and problems.parent != output.parent:
        raise UsageError(
            f"There is no folder {problems.parent} for the list of problems: create it, or choose another."
        )
    if not is_remote(problems) and problems.parent.is_dir() and not os.access(problems.parent, os.W_OK | os.X_OK):
        raise OutputError(f"{problems} can't be written: no permission to write in {problems.parent}.")
    check_problems(problems)
    other = problems.with_name(problems.name.removesuffix(PROBLEMS_SUFFIX))
    if problems not in (other, name_problems(output)) and exists(problems) and exists(other):
        raise UsageError(f"{problems} lists the problems of {other}: choose another name with --problems.")
    is_own = options.overwrite or exists(output) or exists(job_path(output))
    if options.problems is not None and exists(problems) and not is_own:
        raise UsageError(
            f"{problems} already exists, and {output} does not: choose another name with --problems, or move it away."
        )


def _make_absolute(path: Path | str) -> str:
    return str(path) if is_remote(path) else os.path.abspath(path)  # noqa: PTH100 (links keep their own names)
