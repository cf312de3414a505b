"""An adapted bundle: the files of the one that it was made of, with a correction of its answers."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from sentimm import __version__
from sentimm.bundle.bundle import Bundle, load_bundle, write_manifest
from sentimm.bundle.manifest import MANIFEST
from sentimm.errors import OutputError, UsageError
from sentimm.findings.adaptation.choice import Comparison
from sentimm.runtime.correction import Correction
from sentimm.storage.atomic import rename_folder

_HEAD = "adaptation.weights"
_CARD = "MODEL_CARD.md"
_METHODS = {
    "prior": "the labels' shares in the corpus",
    "vector": "a scale and a bias for each label",
    "head": "a scale and a bias for each label, and a linear head on the features of text and image",
}


@dataclass(frozen=True)
class Origin:
    """What a bundle was adapted on.

    Attributes:
        sheets: names of their files.
        labels: contents with a label.
        posts: of the corpus that they speak for.
    """

    sheets: tuple[str, ...]
    labels: int
    posts: int


def check_output(output: Path, *, overwrite: bool) -> None:
    """Check that a bundle may be written.

    Raises:
        UsageError: something is there.
    """
    if not output.exists():
        return
    if not overwrite:
        raise UsageError(f"{output} already exists: name another folder with -o, or replace it with --overwrite.")
    if not (output / MANIFEST).is_file():
        raise UsageError(f"{output} is not a bundle, so --overwrite will not replace it: name another folder.")


def write_adapted(output: Path, bundle: Bundle, correction: Correction, compared: Comparison, origin: Origin) -> Bundle:
    """Write the adapted bundle, with the correction of the best method, as a whole or not at all.

    Raises:
        OutputError: it can't be written.
    """
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{output.name}.", dir=output.parent))
    except OSError as error:
        raise OutputError(f"The bundle can't be written to {output.parent}: {error.strerror or error}.") from error
    try:
        _fill(folder, bundle, correction, compared, origin, output.name)
        folder.chmod(0o755)
        if output.exists():
            shutil.rmtree(output)
        rename_folder(folder, output, last=MANIFEST)
    except OSError as error:
        raise OutputError(f"The bundle can't be written to {output}: {error.strerror or error}.") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return load_bundle(output)


def _fill(
    folder: Path,
    bundle: Bundle,
    correction: Correction,
    compared: Comparison,
    origin: Origin,
    name: str,
) -> None:
    for file in bundle.files:
        shutil.copyfile(bundle.locate(file), folder / file)
    fields: dict[str, Any] = json.loads((bundle.path / MANIFEST).read_bytes())
    del fields["format"], fields["files"]
    adaptation: dict[str, Any] = {
        "method": compared.best.method,
        "scale": correction.scale.tolist(),
        "bias": correction.bias.tolist(),
    }
    if correction.head:
        head = np.concatenate([correction.head[modality] for modality in bundle.modalities])
        (folder / _HEAD).write_bytes(head.astype("<f4").tobytes())
        adaptation["head"] = _HEAD
    fields |= {"name": name, "adaptation": adaptation}
    fields["metrics"] = {**(fields.get("metrics") or {}), "adaptation": _describe(compared)}
    fields["provenance"] = {
        **(fields.get("provenance") or {}),
        "adaptation": {
            "sentimm": __version__,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "bundle": bundle.name,
            "digest": bundle.digest,
            "sheets": list(origin.sheets),
            "labels": origin.labels,
            "posts": origin.posts,
        },
    }
    write_manifest(folder, fields)
    card = bundle.path / _CARD
    before = card.read_text(encoding="utf-8").rstrip() if card.is_file() else f"# {name}"
    (folder / _CARD).write_text(f"{before}\n\n{_write_section(bundle, compared, origin)}", encoding="utf-8")


def _describe(compared: Comparison) -> Mapping[str, Any]:
    best = compared.best
    gain: dict[str, Any] = {"log_loss": best.gain.value, "accuracy": best.accuracy - compared.accuracy}
    if best.gain.low is not None:
        gain["log_loss_95"] = [best.gain.low, best.gain.high]
    return {
        "before": {"log_loss": compared.log_loss, "accuracy": compared.accuracy},
        "after": {"log_loss": best.log_loss, "accuracy": best.accuracy},
        "gain": gain,
    }


def _write_section(bundle: Bundle, compared: Comparison, origin: Origin) -> str:
    best = compared.best
    between = ""
    if best.gain.low is not None:
        between = f" (95% interval: {best.gain.low:.4f} to {best.gain.high:.4f})"
    return f"""## Adaptation

Adapted by sentimm {__version__} from `{bundle.name}` to the {origin.posts:,} posts that a sheet was drawn from,
with {origin.labels:,} labels: {_METHODS[best.method]}.
All figures above are those of `{bundle.name}`, before it was adapted.

Cross-fitted, each label counted as the posts that it stands for:

| | log loss | accuracy |
| --- | --- | --- |
| before | {compared.log_loss:.4f} | {compared.accuracy:.1%} |
| after | {best.log_loss:.4f} | {best.accuracy:.1%} |

The log loss gains {best.gain.value:.4f}{between}.
Nothing is known of how the adapted model does on other posts.
"""
