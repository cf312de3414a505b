"""Let a model that ships take the files that it has in common with another from there: the wheel carries them once.

    python export/recipes/share_files.py sentimm/bundles/world sentimm/bundles/default

A graph is shared with all of its weights, or not at all: ONNX Runtime looks for them beside it.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import onnx

from sentimm.bundle.bundle import load_bundle, write_manifest
from sentimm.bundle.manifest import MANIFEST


def share_files(folder: Path, other: Path) -> list[str]:
    """Remove the files of the bundle `folder` that `other`, beside it, has too; return their names.

    Raises:
        BundleError: one of them is no bundle, or `folder` is none of those that ship.
    """
    fields = _read_manifest(folder)
    own, theirs = fields.pop("files"), _read_manifest(other)["files"]
    del fields["format"]
    earlier = {name: entry["bundle"] for name, entry in own.items() if "bundle" in entry}
    here = own.keys() - earlier.keys()
    shared = {name for name in here if theirs.get(name) == own[name]}
    weights = {name: _list_weights(folder / name) for name in here if name.endswith(".onnx")}
    shared -= {name for name, needed in weights.items() if not needed <= shared}
    shared -= {each for name, needed in weights.items() if name not in shared for each in needed}
    write_manifest(folder, fields, earlier | dict.fromkeys(sorted(shared), other.name))
    load_bundle(folder)
    for name in shared:
        (folder / name).unlink()
    return sorted(shared)


def _read_manifest(folder: Path) -> dict[str, Any]:
    load_bundle(folder)
    fields: dict[str, Any] = json.loads((folder / MANIFEST).read_bytes())
    return fields


def _list_weights(graph: Path) -> set[str]:
    tensors = onnx.load(graph, load_external_data=False).graph.initializer
    return {entry.value for tensor in tensors for entry in tensor.external_data if entry.key == "location"}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="the bundle that gets smaller")
    parser.add_argument("other", type=Path, help="the bundle beside it")
    arguments = parser.parse_args()
    for file in share_files(arguments.folder, arguments.other):
        print(file)
