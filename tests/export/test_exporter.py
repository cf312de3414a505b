from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import sentimm_export.exporter as exporter
import sentimm_export.scales as scales
import torch
from sentimm_export import bundle_graphs
from sentimm_export.exporter import ExportResult, export_run
from sentimm_export.int8.precision import find_second_products
from sentimm_export.int8.speed import Speed
from sentimm_export.options import ExportOptions
from sentimm_export.parity import NEIGHBOUR_TOLERANCE, Parity, check_parity
from sentimm_export.scales import ScalePosts
from torch import nn

from sentimm.bundle.bundle import Bundle, load_bundle
from sentimm.errors import InputError, ParityError, UsageError
from sentimm.models.sentiment_model import SentimentModel
from sentimm.runtime.engine import Engine
from sentimm.training.run_folder import Run, open_run, save_weights
from sentimm.training.train import start_run
from tests.support.tiny.bundles import make_bundle
from tests.support.tiny.models import WORDS, make_options

pytestmark = pytest.mark.slow
CI = pytest.mark.ci


def spread_answers(model: SentimentModel) -> None:
    """Scale the last layers, so that scores vary from post to post: constant answers would agree with anything."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.startswith(("fusion.classifier.4.weight", "text_head.weight", "image_head.weight")):
                parameter.mul_(6)


def make_run(folder: Path, fusion: str) -> Run:
    run = start_run(make_options(folder, fusion=fusion, epochs=1), folder / "run", lambda _: None)
    model = run.build_model("last")
    spread_answers(model)
    save_weights(model, run.path / "best.safetensors")
    return run


@pytest.fixture(scope="module", params=["ote", pytest.param("bert", marks=CI), pytest.param("resnet", marks=CI)])
def any_run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return make_run(tmp_path_factory.mktemp("runs"), request.param)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return make_run(tmp_path_factory.mktemp("runs"), "native-cat")


def export(run: Run, output: Path, **changes: object) -> ExportResult:
    options = ExportOptions(run=run.path, output=output, min_agreement=0.8)
    return export_run(replace(options, **changes), lambda _: None)  # type: ignore[arg-type]


def answers(bundle: Bundle) -> np.ndarray:
    """Score six made-up posts: probabilities, float32 (6, labels)."""
    engine = Engine(bundle, device="cpu", precision="fp32")
    rng = np.random.default_rng(0)
    text = image = text_index = image_index = None
    if bundle.text is not None:
        text = engine.encode_texts([rng.integers(4, 20, length).astype(np.int64) for length in (3, 4, 5, 9, 12, 30)])
        text_index = np.arange(6, dtype=np.int64)
    if bundle.image is not None:
        image = engine.encode_images(rng.integers(0, 256, (6, 3, 32, 32), dtype=np.uint8))
        image_index = np.arange(6, dtype=np.int64)
    return engine.fuse(text, image, text_index, image_index)


def test_every_precision_answers_as_the_model(any_run: Run, tmp_path: Path) -> None:
    exported = export(any_run, tmp_path / "bundle")
    assert set(exported.parity) == {"fp32", "fp16", "int8"}
    assert exported.parity["fp32"].largest_difference <= 1e-4
    assert exported.parity["fp16"].largest_difference <= 2e-2
    for precision, parity in exported.parity.items():
        assert parity.neighbour_difference <= NEIGHBOUR_TOLERANCE[precision]
    bundle = load_bundle(tmp_path / "bundle")
    assert bundle.modalities == open_run(any_run.path).build_model().modalities
    assert answers(bundle).std(axis=0).max() > 1e-3
    assert bundle.parity["int8"]["agreement"] == round(exported.parity["int8"].agreement, 6)
    assert "Against the PyTorch model" in (tmp_path / "bundle" / "MODEL_CARD.md").read_text()
    for graph in (tmp_path / "bundle").glob("*.onnx"):
        assert b"site-packages" not in graph.read_bytes()  # nor any other trace of the machine that wrote it


def test_temperatures_are_fitted_and_the_answers_compared_with_them(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sentimm_export.held_out.MIN_POSTS", 4)
    exported = export(run, tmp_path / "bundle", precisions=("fp32",))
    bundle = exported.bundle
    fitted = bundle.metrics["calibration"]
    assert set(fitted) == set(bundle.temperatures) == {"text+image", "text", "image"}
    assert {kind: each["temperature"] for kind, each in fitted.items()} == dict(bundle.temperatures)
    assert any(abs(temperature - 1) > 0.05 for temperature in bundle.temperatures.values())
    assert exported.parity["fp32"].largest_difference <= 1e-4
    card = (bundle.path / "MODEL_CARD.md").read_text()
    assert f"| text and image | {bundle.temperatures['text+image']:.3f} | {fitted['text+image']['posts']} |" in card


def test_a_literal_model_keeps_its_formula(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sentimm_export.held_out.MIN_POSTS", 4)
    options = make_options(tmp_path, fusion="native-combine", literal=True, epochs=1)
    literal = start_run(options, tmp_path / "run", lambda _: None)
    exported = export(literal, tmp_path / "bundle", precisions=("fp32",))
    assert set(exported.bundle.temperatures.values()) == {1.0}
    assert "calibration" not in exported.bundle.metrics
    assert any("--literal is the formula as printed" in note for note in exported.notes)


def test_the_card_has_generated_and_hand_written_sections(run: Run, tmp_path: Path) -> None:
    written = "For research.\n\n## Known failures\n\nIrony.\n\n## Ethics\n\nAsk first.\n"
    (tmp_path / "card.md").write_text(written)
    exported = export(run, tmp_path / "bundle", precisions=("fp32",), card=tmp_path / "card.md")
    assert set(exported.bundle.temperatures.values()) == {1.0}  # few posts are held out
    assert "the temperature of text posts stays 1" in " ".join(exported.notes)
    card = (tmp_path / "bundle" / "MODEL_CARD.md").read_text()
    headings = [line[3:] for line in card.splitlines() if line.startswith("## ")]
    assert headings == [
        "Data",
        "Recipe",
        "Figures",
        "Calibration",
        "Precisions",
        "Known failures",
        "Licences",
        "Ethics",
    ]
    assert card.index("# bundle") < card.index("For research.") < card.index("## Data")
    assert "## Known failures\n\nIrony.\n\n## Licences" in card
    assert "Not measured: irony" not in card
    assert card.endswith("## Ethics\n\nAsk first.\n")
    assert re.search(r"\| text and image \| \d+ \| \d+\.\d% \(\d+\.\d% to \d+\.\d%\)", card)
    assert "| learning rate of the encoders | 0.001 |" in card
    with pytest.raises(InputError, match=r"--card, .*nowhere\.md, can't be read: No such file"):
        export(run, tmp_path / "other", precisions=("fp32",), card=tmp_path / "nowhere.md")


@pytest.mark.parametrize(
    ("teacher", "shown"),
    [([], None), ("runs/large", "large, 0.5"), (["runs/large", "default"], "large, default, 0.5"), (None, None)],
)
def test_the_card_names_the_teachers(run: Run, tmp_path: Path, teacher: object, shown: str | None) -> None:
    shutil.copytree(run.path, tmp_path / "run")
    options = run.options | {"teacher": teacher, "teacher_weight": [0.5]}
    taught = replace(run, path=tmp_path / "run", options=options)
    taught.write_config()
    export(taught, tmp_path / "bundle", precisions=("fp32",))
    rows = [
        line for line in (tmp_path / "bundle/MODEL_CARD.md").read_text().splitlines() if "answers were learned" in line
    ]
    expected = [f"| models whose answers were learned, and their share beside the labels | {shown} |"]
    assert rows == (expected if shown else [])


def test_shared_weights_are_stored_once(run: Run, tmp_path: Path) -> None:
    shared = export(run, tmp_path / "shared", precisions=("fp16", "int8"), share_weights=True)
    assert shared.parity["fp16"].agreement >= 0.8
    for modality in shared.bundle.modalities:
        locations = {}
        for precision in ("fp16", "int8"):
            graph = onnx.load(tmp_path / "shared" / f"{modality}.{precision}.onnx", load_external_data=False).graph
            outside = [tensor for tensor in graph.initializer if tensor.external_data]
            locations[precision] = {tuple((e.key, e.value) for e in tensor.external_data) for tensor in outside}
        if modality == "image":
            assert locations["int8"] and locations["int8"] == locations["fp16"]


def test_large_shared_weights_lie_in_several_files(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = export(run, tmp_path / "whole", precisions=("fp16", "int8"), share_weights=True)
    monkeypatch.setattr("sentimm_export.int8.precision.LARGEST_FILE", 20_000)
    cut = export(run, tmp_path / "cut", precisions=("fp16", "int8"), share_weights=True)
    files = {name for name in cut.bundle.files if name.endswith(".weights")}
    assert {"text.weights", "image.weights", "image.2.weights"} <= files
    assert "image.2.weights" not in whole.bundle.files
    assert cut.parity["int8"].largest_difference == whole.parity["int8"].largest_difference


@pytest.mark.parametrize("shared", [False, True])
def test_an_encoder_that_is_slower_in_int8_stays_fp32(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shared: bool
) -> None:
    speeds = {"text.fp32.onnx": Speed(20, 40), "image.fp32.onnx": Speed(20, 10)}
    monkeypatch.setattr(bundle_graphs, "measure_speed", lambda fp32, int8, feeds: speeds[fp32.name])
    exported = export(run, tmp_path / "bundle", precisions=("fp16", "int8"), share_weights=shared)
    graphs = {part: path.name for part, path in exported.bundle.graphs["int8"].items()}
    assert graphs == {"text": "text.fp32.onnx", "image": "image.int8.onnx", "fusion": "fusion.onnx"}
    assert not (tmp_path / "bundle/text.int8.onnx").exists() and (tmp_path / "bundle/text.fp16.onnx").exists()
    assert [note for note in exported.notes if note.startswith("int8 text")] == [
        "int8 text: the graph stays fp32, as int8 was slower on the machine that exported it (0.50 times its speed): "
        "export on the machine that will score, where that is another"
    ]
    card = (tmp_path / "bundle/MODEL_CARD.md").read_text()
    assert "In int8 the text graph is that of fp32: quantised, it was slower" in card
    assert len(Engine(exported.bundle, device="cpu", precision="int8").encode_texts([np.array([2, 5, 3])])) == 1


def test_scales_are_found_with_the_posts_of_a_table(run: Run, tmp_path: Path) -> None:
    table = Path(run.options["inputs"][0])
    given = {"calibration": table, "images": table.parent / "images"}
    exported = export(run, tmp_path / "other", precisions=("int8",), **given)
    assert exported.parity["int8"].posts > 0
    kept = export(run, tmp_path / "kept", precisions=("int8",), calibration=run.path / "calibration.parquet")
    own = export(run, tmp_path / "own", precisions=("int8",))
    graph = "text.int8.onnx"
    assert (own.bundle.path / graph).read_bytes() == (kept.bundle.path / graph).read_bytes()
    assert (own.bundle.path / graph).read_bytes() != (exported.bundle.path / graph).read_bytes()


@pytest.mark.parametrize(
    ("texts", "most_tokens", "taken"), [(10, 1000, 10), (100, 1000, 64), (100, 4000, 83), (40, 1, 40)]
)
def test_of_long_texts_some_from_all_over_make_the_scales(
    run: Run, monkeypatch: pytest.MonkeyPatch, texts: int, most_tokens: int, taken: int
) -> None:
    monkeypatch.setattr(scales, "MOST_TOKENS", most_tokens)
    words = tuple(f"{WORDS[number % 2]} " * 60 for number in range(texts))  # cut to 48 tokens
    feeds = ScalePosts(run.path, words, ()).make_text_feeds(run)
    assert sum(len(feed["input_ids"]) for feed in feeds) == taken
    assert {feed["input_ids"].shape[1] for feed in feeds} == {48}
    seconds = np.concatenate([feed["input_ids"][:, 1] for feed in feeds])
    assert len(np.unique(seconds)) == 2


def test_posts_without_what_scales_need_are_named(run: Run, tmp_path: Path) -> None:
    (tmp_path / "texts.csv").write_text("text\ngood\n")
    with pytest.raises(InputError, match=r"texts\.csv holds no image, .* --calibration FILE --images DIR, or leave"):
        export(run, tmp_path / "bundle", calibration=tmp_path / "texts.csv")
    with pytest.raises(InputError, match=r"gone\.csv"):
        export(run, tmp_path / "bundle", calibration=tmp_path / "gone.csv")
    with pytest.raises(UsageError, match="--images is the folder of the images of --calibration"):
        export(run, tmp_path / "bundle", images=tmp_path)


def test_of_epochs_that_are_as_good_the_first_is_the_best(run: Run, tmp_path: Path) -> None:
    (record,) = run.read_metrics()
    metrics = run.path / "metrics.ndjson"
    before = metrics.read_text()
    try:
        later = {**record, "epoch": 2, "tables": {}}
        metrics.write_text(before + json.dumps(later) + "\n")
        exported = export(run, tmp_path / "best", precisions=("fp32",))
        assert exported.bundle.metrics["validation"] == record["tables"]
    finally:
        metrics.write_text(before)


def test_a_bundle_that_is_there_is_kept_unless_it_may_be_replaced(run: Run, tmp_path: Path) -> None:
    make_bundle(tmp_path / "bundle")
    with pytest.raises(UsageError, match="--overwrite"):
        export(run, tmp_path / "bundle", precisions=("fp32",))
    export(run, tmp_path / "bundle", precisions=("fp32",), overwrite=True)
    assert load_bundle(tmp_path / "bundle").name != "tiny"
    (tmp_path / "mine").mkdir()
    with pytest.raises(UsageError, match="is not a bundle"):
        export(run, tmp_path / "mine", overwrite=True)


def test_nothing_is_written_where_the_graphs_answer_otherwise(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = exporter.write_graphs

    def write_another_model(model: SentimentModel, folder: Path) -> dict[str, Path]:
        for parameter in model.fusion.parameters():
            nn.init.normal_(parameter)
        paths = write(model, folder)
        model.load_state_dict(run.build_model("best").state_dict())
        return paths

    monkeypatch.setattr(exporter, "write_graphs", write_another_model)
    with pytest.raises(ParityError, match="fp32 graphs differ from PyTorch"):
        export(run, tmp_path / "bundle", precisions=("fp32",))
    assert list(tmp_path.iterdir()) == []


def test_checks_name_what_failed() -> None:
    good = Parity(100, 0.99, 1e-6, 0.0, 0.8, 0.8)
    check_parity(good, "int8", 0.97)
    with pytest.raises(ParityError, match=r"label on 90\.0% of 100 held-out posts, fewer than 97%"):
        check_parity(replace(good, agreement=0.9), "int8", 0.97)
    with pytest.raises(ParityError, match=r"move by .* with its neighbours"):
        check_parity(replace(good, neighbour_difference=1e-2), "int8", 0.97)


def test_options_are_checked(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--precision takes fp32, fp16, int8"):
        ExportOptions(tmp_path, tmp_path, precisions=("int4",))  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="--share-weights"):
        ExportOptions(tmp_path, tmp_path, precisions=("fp32",), share_weights=True)
    with pytest.raises(UsageError, match=r"--composed is 1, but it must be at least 0 and less than 1"):
        ExportOptions(tmp_path, tmp_path, composed=1.0)


def test_second_products_are_found_by_their_shape() -> None:
    weights = [
        onnx.numpy_helper.from_array(np.zeros(shape, dtype=np.float32), name)
        for name, shape in (("up", (4, 16)), ("down", (16, 4)), ("square", (4, 4)))
    ]
    nodes = [
        onnx.helper.make_node("MatMul", ["x", "up"], ["a"], name="first"),
        onnx.helper.make_node("Gelu", ["a"], ["b"]),
        onnx.helper.make_node("MatMul", ["b", "down"], ["c"], name="second"),
        onnx.helper.make_node("MatMul", ["c", "square"], ["d"], name="other"),
    ]
    graph = onnx.helper.make_graph(nodes, "g", [], [], weights)
    assert find_second_products(graph) == ["second"]
