"""Run a recipe: collect the pretrained weights that it names, then run its steps in order.

    python export/recipes/run.py export/recipes/default.toml --data DATA --work WORK --seed 1

A step is a `sentimm` command, or a script of this folder. A step whose run, bundle or folder is finished is skipped,
and an interrupted training is resumed: to resume a stopped recipe, run the same command again. `--set NAME=VALUE`
gives another value to one of the recipe's `[parameters]`.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

RECIPES = Path(__file__).parent


def main() -> None:
    """Read the arguments and run the steps of the recipe."""
    parser = argparse.ArgumentParser(description="Run the steps of a recipe; run it again to resume a stopped one.")
    parser.add_argument("recipe", type=Path, help="a TOML file, such as export/recipes/default.toml")
    parser.add_argument("--data", type=Path, required=True, help="the folder with the research data")
    parser.add_argument("--work", type=Path, required=True, help="the folder for weights, runs and the bundle")
    parser.add_argument("--seed", type=int, default=1, help="the seed of the training steps that name none")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="another value of a parameter")
    parser.add_argument("--steps", type=int, help="run the first steps alone, so many")
    arguments = parser.parse_args()
    recipe = tomllib.loads(arguments.recipe.read_text())
    places = {
        "data": arguments.data,
        "work": arguments.work,
        "weights": arguments.work / "weights",
        "recipes": RECIPES,
        "seed": arguments.seed,
    }
    parameters = set_parameters(recipe.get("parameters", {}), arguments.set)
    places |= {name: value.format(**places) for name, value in parameters.items()}
    for step in recipe["step"][: arguments.steps]:
        run_step([part.format(**places) for part in step["command"]], arguments.work / "weights")


def set_parameters(parameters: Mapping[str, object], changes: Sequence[str]) -> dict[str, str]:
    """Return a recipe's parameters with the values of --set.

    Raises:
        SystemExit: the recipe has no parameter of that name.
    """
    values = {name: str(value) for name, value in parameters.items()}
    for change in changes:
        name, _, value = change.partition("=")
        if name not in values:
            raise SystemExit(f"--set {change}: the recipe's parameters are {', '.join(values) or 'none'}.")
        values[name] = value
    return values


def run_step(command: Sequence[str], weights: Path) -> None:
    """Run a step, unless it is finished: a `sentimm` command, or a script of this folder, which ends in .py.

    Raises:
        CalledProcessError: the command failed.
        SystemExit: a package with weights is not installed.
    """
    output = Path(command[command.index("-o") + 1])
    if is_finished(output, command):
        print(f"{output} already exists", file=sys.stderr)
        return
    names = {name for part in command for name in re.findall(re.escape(f"{weights}/") + "([^/]+)", part)}
    if names:
        from weights import collect_weights  # imports torch

        for name in sorted(names):
            collect_weights(name, weights)
    if command[0].endswith(".py"):
        subprocess.run([sys.executable, RECIPES / command[0], *command[1:]], check=True)
        return
    if command[0] == "train" and (output / "config.json").is_file():
        command = ["train", "--resume", str(output)]
    subprocess.run([sys.executable, "-m", "sentimm", *command], check=True)


def is_finished(output: Path, command: Sequence[str]) -> bool:
    """Check whether the output of a step is there, and whole."""
    if command[0] == "train":
        metrics = output / "metrics.ndjson"
        epochs = int(command[command.index("--epochs") + 1])
        return metrics.is_file() and len(metrics.read_text().splitlines()) >= epochs
    return (output / ("bundle.json" if command[0] == "export" else "config.json")).is_file()


if __name__ == "__main__":
    main()
