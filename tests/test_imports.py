from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TRAINING_LIBRARIES = {"torch", "torchvision", "transformers", "timm", "accelerate"}
HEAVY_LIBRARIES = TRAINING_LIBRARIES | {
    "numpy",
    "polars",
    "pyarrow",
    "onnx",
    "onnxruntime",
    "tokenizers",
    "PIL",
    "emoji",
}

# docs/architecture.md, "Who may import whom": each room, and the rooms that it may import.
GROUP = [
    "errors",
    "options",
    "events",
    "storage",
    "text",
    "images",
    "corpus",
    "graphs",
    "manifest",
    "bundle",
    "evaluation",
]
MAY_IMPORT: dict[str, set[str]] = {room: set(GROUP[:index]) for index, room in enumerate(GROUP)}
MAY_IMPORT |= {
    "scoring": set(GROUP),
    "console": {"errors", "options", "events", "scoring.progress"},
    "models": {"errors", "options", "events"},
}
MAY_IMPORT["training"] = set(GROUP) - {"graphs", "manifest", "bundle"} | {"models"}
MAY_IMPORT["sentimm_export"] = set(GROUP) | {"models", "training", "scoring.encoded", "scoring.engine"}
MAY_IMPORT["console.training"] = {"errors", "options", "events", "console", "training"}
MAY_IMPORT["console.comparison"] = {"errors", "options", "events", "console", "training", "evaluation"}
MAY_IMPORT["console.export"] = {"errors", "options", "events", "console", "sentimm_export"}
MAY_IMPORT["console.evaluation"] = {"errors", "options", "events", "console", "evaluation", "scoring.assessment"}
MAY_IMPORT["console.bench"] = {"errors", "options", "events", "console", "scoring.bench"}
MAY_IMPORT["sentimm"] = {"bundle", "scoring"}  # lazily, for the public API
MAY_IMPORT["__main__"] = {"cli"}
MAY_IMPORT["cli"] = {*GROUP, "scoring", "console", "models", "training", "sentimm_export"}

WITHOUT_TRAINING_LIBRARIES = {*GROUP, "scoring", "console", "console.bench", "console.evaluation"}


def list_sources() -> list[Path]:
    return [*(ROOT / "sentimm").rglob("*.py"), *(ROOT / "export" / "sentimm_export").rglob("*.py")]


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    parts = parts[1:] if parts[0] == "export" else parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(module: str) -> str:
    """Give the room of a module of ours."""
    parts = module.split(".")
    if parts[0] == "sentimm_export" or len(parts) == 1:
        return parts[0]
    return own if (own := ".".join(parts[1:3])) in MAY_IMPORT else parts[1]


def find_imports(path: Path) -> Iterator[tuple[int, str]]:
    """Give line and full name of every import in a file, `from a import b` as `a.b`, also inside functions."""
    package = module_name(path).split(".")
    if path.name != "__init__.py":
        package = package[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)


def is_allowed(importer: str, imported: str) -> bool:
    """Say whether a room may import a name of ours."""
    if room_of(imported) == importer or imported in ("sentimm", "sentimm.__version__"):
        return True
    local = imported.removeprefix("sentimm.")
    return any(f"{local}.".startswith(f"{room}.") for room in MAY_IMPORT[importer])


def run_fresh(code: str) -> set[str]:
    """Run code in a fresh interpreter; give the top-level names of the modules it loaded."""
    code += "\nimport sys; print('\\n'.join(sorted({name.partition('.')[0] for name in sys.modules})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


@pytest.mark.parametrize("path", list_sources(), ids=module_name)
def test_rooms_import_only_what_the_architecture_allows(path: Path) -> None:
    room = room_of(module_name(path))
    assert room in MAY_IMPORT, f"{room} is a new room: give it a place here and in docs/architecture.md"
    ours = [found for found in find_imports(path) if found[1].partition(".")[0] in ("sentimm", "sentimm_export")]
    assert [found for found in ours if not is_allowed(room, found[1])] == []


@pytest.mark.parametrize("path", list_sources(), ids=module_name)
def test_libraries_stay_in_their_rooms(path: Path) -> None:
    room = room_of(module_name(path))
    libraries = {name.partition(".")[0] for _, name in find_imports(path)}
    if room in WITHOUT_TRAINING_LIBRARIES:
        assert libraries & TRAINING_LIBRARIES == set()
    if room.partition(".")[0] != "console":
        assert "rich" not in libraries
    if room not in ("cli", "__main__"):
        assert "typer" not in libraries


def test_what_scores_loads_no_training_library() -> None:
    modules = [module_name(path) for path in list_sources()]
    names = [name for name in modules if room_of(name) in WITHOUT_TRAINING_LIBRARIES]
    assert any(name.startswith("sentimm.scoring") for name in names)
    loaded = run_fresh(f"import importlib\nfor name in {names!r}: importlib.import_module(name)")
    assert loaded & TRAINING_LIBRARIES == set()


def test_importing_sentimm_is_cheap() -> None:
    loaded = run_fresh("import sentimm; sentimm.__version__")
    assert loaded & (HEAVY_LIBRARIES | {"rich", "typer"}) == set()


def test_onnx_runtime_tells_nobody_anything() -> None:
    code = "import os, sentimm\nassert os.environ['ORT_DISABLE_TELEMETRY'] == '1'"
    run_fresh(code)


def test_help_loads_nothing_heavy() -> None:
    code = "import sys; sys.argv = ['sentimm', '--help']\nfrom sentimm.cli.app import main\n"
    code += "try: main()\nexcept SystemExit as exit: assert not exit.code"
    assert run_fresh(code) & HEAVY_LIBRARIES == set()


def test_the_public_api_is_there() -> None:
    import sentimm

    assert all(getattr(sentimm, name) is not None for name in sentimm.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Scorers'"):
        _ = sentimm.Scorers


def test_scoring_a_post_loads_no_training_library(tiny_bundle: Path) -> None:
    code = f"""
import polars as pl
from sentimm import Scorer
posts = pl.DataFrame({{"text": ["What a day"], "image": ["sunset.jpg"]}})
scored = Scorer(model={str(tiny_bundle)!r}, device="cpu").score(posts, images={str(ROOT / "samples" / "images")!r})
assert scored["modality"].to_list() == ["text+image"]
"""
    assert run_fresh(code) & TRAINING_LIBRARIES == set()


def test_the_command_that_scores_loads_neither_a_training_library_nor_pandas(tiny_bundle: Path, tmp_path: Path) -> None:
    samples = ROOT / "samples"
    arguments = ["score", str(samples / "posts.csv"), "--images", str(samples / "images"), "--model", str(tiny_bundle)]
    arguments += ["-o", str(tmp_path / "scored.parquet"), "--quiet"]
    code = f"""
from sentimm.cli.app import app
app({arguments!r}, standalone_mode=False)
"""
    # pyarrow imports pandas, where it is installed, for some ways of making an array: half a second.
    assert run_fresh(code) & (TRAINING_LIBRARIES | {"pandas"}) == set()
    assert (tmp_path / "scored.parquet").is_file()


def test_libraries_take_no_more_threads_than_the_model() -> None:
    code = (
        "from sentimm.cli.scoring import limit_threads; limit_threads(1); "
        "import polars; print(polars.thread_pool_size())"
    )
    # Without what commands that other tests ran in this process have set.
    environment = {name: value for name, value in os.environ.items() if name != "POLARS_MAX_THREADS"}
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, env=environment)
    assert done.stdout == "1\n"
