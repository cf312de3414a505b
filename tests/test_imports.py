from __future__ import annotations

import os
import subprocess
import sys
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

# What a machine has that only scores. Who may import whom otherwise: the contracts of import-linter in pyproject.toml.
SCORING_ROOMS = ("bench", "bundle", "console", "corpus", "evaluation", "metrics", "runtime", "scoring", "storage")
TRAINING_CONSOLES = {"comparison", "export", "training"}


def list_modules() -> list[str]:
    """List the modules of what scores."""
    package = ROOT / "sentimm"
    paths = [path for room in SCORING_ROOMS for path in (package / room).rglob("*.py")]
    paths = [path for path in paths if path.parent.name != "console" or path.stem not in TRAINING_CONSOLES]
    paths += [path for path in package.glob("*.py") if path.name != "__main__.py"]
    names = [path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".") for path in paths]
    return [name.removesuffix(".__init__") for name in names]


def run_fresh(code: str) -> set[str]:
    """Run code in a fresh interpreter; give the top-level names of the modules it loaded."""
    code += "\nimport sys; print('\\n'.join(sorted({name.partition('.')[0] for name in sys.modules})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_what_scores_loads_no_training_library() -> None:
    names = list_modules()
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
