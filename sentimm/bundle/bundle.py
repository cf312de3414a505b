"""The bundle: the folder of graphs, tokenizer and manifest that `export` writes and `score` reads.

`bundle.json` names every other file with its size and SHA-256; loading checks all of them, so a bundle is either
whole or a `BundleError`. All files lie flat in the folder as plain files: a name that leads out of it is refused, and
so are links. Bundles that ship with sentimm lie side by side, and may take files of the same names from each other
(`"bundle": "default"`), so that they are there once. What the graphs ask for is checked (`graph_checks`) before
anything opens them.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast

from sentimm.bundle.adaptation import Adaptation, read_adaptation
from sentimm.bundle.files import check_files, fetch_bundle, hash_file, measure_plain_file
from sentimm.bundle.graph_checks import check_graph
from sentimm.bundle.manifest import FORMAT, MANIFEST, MOST_BYTES, REMEDY, Fields, locate_file, parse_manifest
from sentimm.errors import BundleError, BundleNotFoundError, UsageError
from sentimm.options import Modality
from sentimm.storage import is_remote, to_path
from sentimm.storage.atomic import TEMPORARY, sync_file, write_file

if TYPE_CHECKING:
    from sentimm.text import TextTokenizer

Precision: TypeAlias = Literal["int8", "fp16", "fp32"]

MODALITIES: tuple[Modality, ...] = ("text", "image")
PRECISIONS: tuple[Precision, ...] = ("int8", "fp16", "fp32")
TEMPERATURES = ("text+image", "text", "image")

# The model card may be edited after export: it is for people, and not part of what is checked.
_UNLISTED = frozenset({MANIFEST, "MODEL_CARD.md"})

# Far above what any model has: what a manifest may make us reserve memory for.
_MOST_LABELS = 1_000
_MOST_TOKENS = 8_192
_MOST_PIXELS = 2_048  # a side of an image
_MOST_CELLS = 16_384
_MOST_WIDTH = 16_384


@dataclass(frozen=True)
class TextSpec:
    """How texts are prepared for the text graph; `width` is the length of a feature vector."""

    encoder: str
    normalization: str
    max_tokens: int
    tokenizer: Path
    pad_id: int
    width: int

    def load_tokenizer(self) -> TextTokenizer:
        """Load the tokenizer.

        Raises:
            BundleError: its file can't be read as one.
        """
        from sentimm.text import TextTokenizer

        try:
            return TextTokenizer(self.tokenizer, self.max_tokens)
        except Exception as error:  # tokenizers raises no class of its own
            raise BundleError(f"{self.tokenizer} can't be read as a tokenizer ({error}): {REMEDY}") from error


@dataclass(frozen=True)
class ImageSpec:
    """How images are prepared for the image graph: `size` x `size` pixels; `width` as in `TextSpec`.

    `cells` is how many cells of the last map make an image's sequence, where the fusion attends.
    """

    encoder: str
    size: int
    width: int
    cells: int | None = None


@dataclass(frozen=True)
class FusionSpec:
    """The fusion's name, and the modalities that have a head of their own.

    `attends`: it takes the encoders' sequences besides their features. `literal`: it adds up probabilities.
    `composed`: what the heads make together is mixed into its answers.
    """

    name: str
    heads: tuple[Modality, ...]
    attends: bool = False
    literal: bool = False
    composed: bool = False


@dataclass(frozen=True)
class Bundle:
    """A checked bundle; `graphs[precision]` maps `text`, `image` and `fusion` to the graphs' paths.

    `languages`: those of the texts that it was trained on, where it says so. `shared`: by file, the bundle beside it
    that the file is in.
    """

    path: Path
    name: str
    labels: tuple[str, ...]
    modalities: tuple[Modality, ...]
    text: TextSpec | None
    image: ImageSpec | None
    fusion: FusionSpec
    temperatures: Mapping[str, float]
    graphs: Mapping[Precision, Mapping[str, Path]]
    files: Mapping[str, int]  # bytes
    metrics: Mapping[str, Any]
    parity: Mapping[str, Any]
    provenance: Mapping[str, Any]
    digest: str  # SHA-256 of bundle.json, which holds those of all other files
    adaptation: Adaptation | None = None
    languages: tuple[str, ...] = ()
    shared: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return all fields as `sentimm info --json` prints them; files are named without their folder."""
        fields = asdict(self) | {"path": str(self.path)}
        if self.text is not None:
            fields["text"]["tokenizer"] = self.text.tokenizer.name
        if self.adaptation is not None and self.adaptation.head is not None:
            fields["adaptation"]["head"] = self.adaptation.head.name
        fields["graphs"] = {
            precision: {part: path.name for part, path in graphs.items()} for precision, graphs in self.graphs.items()
        }
        return fields

    def locate(self, file: str) -> Path:
        """Return the path of one of `files`."""
        return locate_file(self.path, file, self.shared.get(file))

    @property
    def precisions(self) -> tuple[Precision, ...]:
        """The precisions that the bundle holds graphs for."""
        return tuple(self.graphs)


def default_bundle_path() -> Path:
    """Return the folder of the model that `score` uses by default."""
    return Path(str(resources.files("sentimm"))) / "bundles" / "default"


def list_shipped() -> dict[str, Path]:
    """Return the folders of the models that ship with sentimm, by name."""
    return {path.parent.name: path.parent for path in sorted(default_bundle_path().parent.glob(f"*/{MANIFEST}"))}


def load_bundle(model: Path | str | None = None) -> Bundle:
    """Load and check a bundle: that in a folder or at a URL, or one that ships, by its name; None is the default one.

    A name alone is that of a folder only where none ships under it: `./world` is always the folder.

    Raises:
        UsageError: a name is both that of one that ships and of one in the working directory.
        BundleNotFoundError: there is no bundle there.
        BundleError: a file is missing, damaged, a link or not as the manifest says, a graph asks for what none of ours
            does, or the format is a newer one.
    """
    folder = _find_folder(model)
    folder = fetch_bundle(folder) if is_remote(folder) else folder
    content = _read_manifest(folder, is_default=model is None)
    manifest = parse_manifest(folder, content)
    bundle = _read_bundle(folder, manifest, hashlib.sha256(content).hexdigest())
    check_files(folder, manifest.fields("files"), may_be_linked=_is_shipped(folder))
    _check_graphs(bundle)
    return bundle


def _find_folder(model: Path | str | None) -> Path:
    if model is None:
        return default_bundle_path()
    if not isinstance(model, str):
        return model
    shipped = list_shipped().get(model)
    if shipped is None:
        return to_path(model)
    if Path(model, MANIFEST).exists() and not Path(model).samefile(shipped):
        raise UsageError(
            f"{model} is a model that ships with sentimm, and a bundle here: write ./{model} for the one here, or "
            "rename that to use the other."
        )
    return shipped


def write_manifest(folder: Path, fields: Mapping[str, Any], shared: Mapping[str, str] | None = None) -> None:
    """Write `bundle.json` in `folder`: `fields`, the format, and size and SHA-256 of every file there.

    `shared` are files of another bundle beside it, with its name; those need not be in `folder`. The manifest is
    written last and durably: a bundle that has one is complete.

    Raises:
        BundleError: `folder` holds a folder or a link, or `fields` do not describe what is in it.
        OutputError: it can't be written.
    """
    files: dict[str, dict[str, Any]] = {}
    for path in sorted(folder.iterdir()):
        if path.name in _UNLISTED or path.name == MANIFEST + TEMPORARY:
            continue
        if path.is_symlink() or not path.is_file():
            raise BundleError(f"{path} is not a plain file: a bundle holds no folders or links.")
        files[path.name] = _describe_file(path)
    for name, other in (shared or {}).items():
        files[name] = _describe_file(locate_file(folder, name, other)) | {"bundle": other}
    # Bundles without an adaptation stay readable to versions that know none.
    manifest = {"format": FORMAT if fields.get("adaptation") else 1, **fields, "files": dict(sorted(files.items()))}
    content = json.dumps(manifest, indent=1, ensure_ascii=False, allow_nan=False)
    _read_bundle(folder, parse_manifest(folder, content.encode()), digest="")
    for name in files.keys() - (shared or {}).keys():
        sync_file(folder / name)
    write_file(folder / MANIFEST, f"{content}\n".encode())


def _describe_file(path: Path) -> dict[str, Any]:
    return {"sha256": hash_file(path), "bytes": path.stat().st_size}


def _read_manifest(folder: Path, *, is_default: bool) -> bytes:
    path = folder / MANIFEST
    try:
        if measure_plain_file(path, may_be_linked=_is_shipped(folder)) > MOST_BYTES:
            raise BundleError(f"{path} is damaged: a manifest has at most {MOST_BYTES:,} bytes; {REMEDY}")
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        remedy = "name a folder that `sentimm export` wrote"
        if is_default:
            message = f"The model that ships with sentimm is missing from {folder}: reinstall sentimm, or use --model."
        elif not folder.exists():
            names = ", ".join(list_shipped())
            message = f"The model bundle {folder} is not there: {remedy}, or a model that ships with sentimm ({names})."
        elif not folder.is_dir():
            message = f"{folder} is a file, not a model bundle: {remedy}."
        else:
            message = f"{folder} has no {MANIFEST}, so it is not a model bundle: {remedy}."
        raise BundleNotFoundError(message) from None
    except OSError as error:
        raise BundleError(f"{path} can't be read: {error.strerror or error}.") from error


def _read_bundle(folder: Path, manifest: Fields, digest: str) -> Bundle:
    files = manifest.fields("files")
    for name in files.value:
        if not _is_flat(name):
            raise manifest.error("files", "names of files in the bundle's own folder", name)
    shared = _read_shared(folder, files)
    modalities = manifest.strings("modalities", MODALITIES, least=1)
    pair = len(modalities) == len(MODALITIES)
    temperatures = manifest.fields("temperatures")
    fusion = _read_fusion(manifest.fields("fusion"), modalities)
    text = _read_text(manifest.fields("text"), files) if "text" in modalities else None
    image = _read_image(manifest.fields("image"), fusion.attends) if "image" in modalities else None
    labels = manifest.strings("labels", least=2, most=_MOST_LABELS)
    adaptation = None
    if manifest.value.get("adaptation") is not None:
        widths = [spec.width for spec in (text, image) if spec is not None]
        adaptation = read_adaptation(manifest.fields("adaptation"), files, len(labels), widths)
    return Bundle(
        path=folder,
        name=manifest.string("name"),
        labels=labels,
        modalities=tuple(modality for modality in MODALITIES if modality in modalities),
        text=text,
        image=image,
        fusion=fusion,
        temperatures={key: temperatures.positive(key) for key in (TEMPERATURES if pair else modalities)},
        graphs=_read_graphs(manifest, modalities, files),
        files={name: files.fields(name).integer("bytes", 0) for name in files.value},
        metrics=manifest.optional("metrics"),
        parity=manifest.optional("parity"),
        provenance=manifest.optional("provenance"),
        digest=digest,
        adaptation=adaptation,
        languages=manifest.strings("languages") if "languages" in manifest.value else (),
        shared=shared,
    )


def _read_text(fields: Fields, files: Fields) -> TextSpec:
    return TextSpec(
        encoder=fields.string("encoder"),
        normalization=fields.string("normalization"),
        max_tokens=fields.integer("max_tokens", 3, _MOST_TOKENS),
        tokenizer=fields.file("tokenizer", files),
        pad_id=fields.integer("pad_id", 0),
        width=fields.integer("width", 1, _MOST_WIDTH),
    )


def _read_image(fields: Fields, has_sequence: bool) -> ImageSpec:
    return ImageSpec(
        encoder=fields.string("encoder"),
        size=fields.integer("size", 1, _MOST_PIXELS),
        width=fields.integer("width", 1, _MOST_WIDTH),
        cells=fields.integer("cells", 1, _MOST_CELLS) if has_sequence else None,
    )


def _read_fusion(fields: Fields, modalities: tuple[str, ...]) -> FusionSpec:
    # Bundles of earlier versions, none of which attend, do not say so.
    return FusionSpec(
        name=fields.string("name"),
        heads=cast(tuple[Modality, ...], fields.strings("heads", modalities)),
        attends=fields.flag("attends"),
        literal=fields.flag("literal"),
        composed=fields.flag("composed"),
    )


def _read_graphs(manifest: Fields, modalities: tuple[str, ...], files: Fields) -> dict[Precision, dict[str, Path]]:
    graphs = manifest.fields("graphs")
    if not graphs.value or not set(graphs.value) <= set(PRECISIONS):
        raise manifest.error("graphs", f"an object of one or more of {', '.join(PRECISIONS)}", list(graphs.value))
    return {
        precision: {part: graphs.fields(precision).file(part, files) for part in (*modalities, "fusion")}
        for precision in PRECISIONS
        if precision in graphs.value
    }


def _read_shared(folder: Path, files: Fields) -> dict[str, str]:
    """Return the files of another bundle, with its name; only those that ship with sentimm may have any."""
    entries = {name: files.fields(name) for name in files.value}
    shared = {name: entry.string("bundle") for name, entry in entries.items() if "bundle" in entry.value}
    others = list_shipped() if shared and _is_shipped(folder) else {}
    for name, other in shared.items():
        if other not in others:
            raise BundleError(
                f"{folder} takes {name} from another bundle ({other}), which only models that ship with sentimm may: "
                "use such a one by its name, or export the model again."
            )
    return shared


def _is_flat(name: str) -> bool:
    return name not in ("", ".", "..", *_UNLISTED) and not set(name) & set("/\\:\0")


def _is_shipped(folder: Path) -> bool:
    """Check whether `folder` came with sentimm: installers may link its files to those of other environments."""
    return os.path.realpath(folder) in map(os.path.realpath, (default_bundle_path(), *list_shipped().values()))


def _check_graphs(bundle: Bundle) -> None:
    graphs = {path for parts in bundle.graphs.values() for path in parts.values()}
    others = graphs if bundle.text is None else graphs | {bundle.text.tokenizer}
    if bundle.adaptation is not None and bundle.adaptation.head is not None:
        others = others | {bundle.adaptation.head}
    weights = {bundle.locate(name): size for name, size in bundle.files.items() if bundle.locate(name) not in others}
    for path in sorted(graphs):
        # ONNX Runtime looks for weights beside the graph, wherever that is.
        check_graph(path, {file.name: size for file, size in weights.items() if file.parent == path.parent})
