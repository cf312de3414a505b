from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from sentimm.errors import InputError, JobConflictError, OutputError, UsageError
from sentimm.training.comparison.compare import compare_models
from sentimm.training.comparison.options import CompareOptions
from sentimm.training.comparison.results import Comparison
from sentimm.training.comparison.seen import flag_seen, hash_images
from sentimm.training.data.tables import load_posts
from sentimm.training.events import ComparedRun, ComparisonEvent, FeaturesExtracted, StepTrained
from sentimm.training.options import TrainOptions
from sentimm.training.run_folder import TrainingStopped, open_run
from sentimm.training.train import resume_run
from tests.support.tiny.models import IMAGE_SIZE

MODELS = ("ote", "cmac", "resnet")
BOTH = ("text", "image")


@pytest.fixture(scope="module")
def compared(options: TrainOptions, tmp_path_factory: pytest.TempPathFactory) -> CompareOptions:
    """Three models on two folds, in an empty folder."""
    training = replace(options, folds=2, heads=(), freeze=BOTH, literal=True)
    return CompareOptions(training, tmp_path_factory.mktemp("whole") / "comparison", MODELS)


@pytest.fixture(scope="module")
def whole(compared: CompareOptions) -> tuple[Comparison, list[ComparisonEvent]]:
    """The comparison that nobody disturbed."""
    events: list[ComparisonEvent] = []
    return compare_models(compared, events.append), events


def stop_after(steps: int) -> Callable[[], bool]:
    asked = iter(range(1, 1000))
    return lambda: next(asked) >= steps


def states(events: list[ComparisonEvent]) -> Iterator[tuple[str, str]]:
    return ((event.name, event.state) for event in events if isinstance(event, ComparedRun))


@pytest.mark.slow
def test_every_model_is_trained_on_every_fold(
    compared: CompareOptions, whole: tuple[Comparison, list[ComparisonEvent]]
) -> None:
    found, events = whole
    names = [f"{model}-seed1-fold{fold}" for fold in (1, 2) for model in MODELS]
    assert [name for name, _ in states(events)] == names
    assert sorted(path.name for path in (compared.folder / "runs").iterdir()) == sorted(names)
    assert (found.done, found.planned, found.training + found.validation) == (6, 6, 48)
    literal = {name: open_run(compared.folder / "runs" / name).fusion.literal for name in names[:3]}
    assert literal == {"ote-seed1-fold1": False, "cmac-seed1-fold1": True, "resnet-seed1-fold1": False}
    assert [sum(run.best.posts for run in each.runs) for each in found.models] == [48, 48, 42]
    assert not list(compared.folder.glob("runs/*/trainer.pt"))


@pytest.mark.slow
def test_models_of_text_and_image_are_composed(compared: CompareOptions, tmp_path: Path) -> None:
    training = replace(compared.training, folds=None, heads=BOTH, literal=False, composed=0.5, epochs=1)
    asked = replace(compared, training=training, folder=tmp_path / "composed", models=("native-cat", "bert"))
    compare_models(asked, lambda _: None)
    shares = {name: open_run(asked.folder / "runs" / f"{name}-seed1").fusion.composed for name in asked.models}
    assert shares == {"native-cat": 0.5, "bert": 0.0}


@pytest.mark.slow
def test_frozen_encoders_run_once_for_all_runs(whole: tuple[Comparison, list[ComparisonEvent]]) -> None:
    done = [event.modality for event in whole[1] if isinstance(event, FeaturesExtracted) and event.done == event.total]
    assert sorted(done) == ["image", "image", "text", "text"]  # pooled, and as sequences


@pytest.mark.slow
def test_results_say_what_the_runs_say(
    compared: CompareOptions, whole: tuple[Comparison, list[ComparisonEvent]]
) -> None:
    results = json.loads((compared.folder / "results.json").read_text())
    assert results == {"format": 1, **json.loads(json.dumps(asdict(whole[0])))}
    for model in results["models"]:
        accuracies = []
        for run in model["runs"]:
            records = open_run(compared.folder / run["run"]).read_metrics()
            best = max(records, key=lambda record: record["score"])
            for kind, record in (("best", best), ("last", records[-1])):
                assert run[kind]["epoch"] == record["epoch"]
                assert run[kind]["accuracy"] == pytest.approx(record["tables"]["posts.csv"]["accuracy"])
                assert run[kind]["macro_f1"] == pytest.approx(record["tables"]["posts.csv"]["macro_f1"])
            accuracies.append(run["best"]["accuracy"])
        assert model["summary"]["best"]["accuracy"]["mean"] == pytest.approx(np.mean(accuracies))
    assert results["options"]["epochs"] == 2 and results["options"]["folds"] == 2
    assert (compared.folder / "table.md").read_text().count("| cmac |") == 2
    assert (compared.folder / "comparison.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_a_stopped_comparison_goes_on_as_an_undisturbed_one(
    compared: CompareOptions, whole: tuple[Comparison, list[ComparisonEvent]], tmp_path: Path
) -> None:
    again = replace(compared, folder=tmp_path / "again")
    for steps in (3, 8):
        with pytest.raises(TrainingStopped):
            compare_models(again, lambda _: None, stop_after(steps))
    begun = again.folder / "runs" / "resnet-seed1-fold2"  # as a kill leaves a run that was about to begin
    begun.mkdir()
    (begun / "tokenizer.json").write_text("{}")
    events: list[ComparisonEvent] = []
    found = compare_models(again, events.append)
    assert [state for _, state in states(events)] == ["finished", "interrupted", *["new"] * 4]
    assert found == whole[0]
    assert (again.folder / "results.json").read_bytes() == (compared.folder / "results.json").read_bytes()


@pytest.mark.slow
def test_finished_runs_stay_and_models_and_seeds_may_change(
    compared: CompareOptions, whole: tuple[Comparison, list[ComparisonEvent]]
) -> None:
    events: list[ComparisonEvent] = []
    fewer = compare_models(replace(compared, models=("cmac",)), events.append)
    assert not any(isinstance(event, StepTrained) for event in events)
    ote, cmac, resnet = whole[0].models
    assert (fewer.models, fewer.done, fewer.planned) == ((cmac, ote, resnet), 2, 2)
    run = compared.folder / "runs" / "cmac-seed1-fold1"
    assert resume_run(run, lambda _: None).is_finished()
    compare_models(compared, lambda _: None)  # all three again, for the other tests


@pytest.mark.slow
def test_another_comparison_s_folder_is_refused(
    compared: CompareOptions, whole: tuple[Comparison, list[ComparisonEvent]], tmp_path: Path
) -> None:
    same = replace(compared.training, pooling="mean", image_levels=1)
    assert compare_models(replace(compared, training=same), lambda _: None).done == 6
    other = replace(compared.training, epochs=3, learning_rate=0.5)
    with pytest.raises(JobConflictError, match=r"epochs was 2 and is 3, learning_rate was 0\.001 and is 0\.5"):
        compare_models(replace(compared, training=other), lambda _: None)
    facts = compared.folder / "comparison.json"
    stored = json.loads(facts.read_text())
    earlier = {name: value for name, value in stored["options"].items() if name not in ("ema", "epochs")}
    earlier |= {"teacher": None, "teacher_weight": [0.5]}  # which comparisons have not
    facts.write_text(json.dumps(stored | {"options": earlier}))  # as of a version that lacked these options
    with pytest.raises(JobConflictError, match=r"\(epochs was \d+ and is 2\)"):  # ema has its default
        compare_models(compared, lambda _: None)
    facts.write_text(json.dumps(stored))
    posts = Path(compared.training.inputs[0]).read_text().splitlines()
    (tmp_path / "fewer.csv").write_text("\n".join(posts[:-1]) + "\n")
    fewer = replace(compared.training, inputs=(str(tmp_path / "fewer.csv"),))
    with pytest.raises(JobConflictError, match="holds a comparison on other posts: name another folder with -o"):
        compare_models(replace(compared, training=fewer), lambda _: None)


@pytest.mark.slow
def test_posts_seen_in_training_are_left_out_on_request(options: TrainOptions, tmp_path: Path) -> None:
    header, *rows = Path(options.inputs[0]).read_text().splitlines()
    (tmp_path / "train.csv").write_text("\n".join([header, *rows[:40]]) + "\n")
    (tmp_path / "val.csv").write_text("\n".join([header, *rows[32:]]) + "\n")
    training = replace(options, inputs=(str(tmp_path / "train.csv"),), val=str(tmp_path / "val.csv"), epochs=1)
    asked = CompareOptions(training, tmp_path / "comparison", ("bert", "resnet"), without_seen=True)
    found = compare_models(asked, lambda _: None)
    posts, validation = (
        load_posts([table], training, BOTH, IMAGE_SIZE) for table in (training.inputs[0], training.val)
    )
    seen = flag_seen(posts, validation, *(hash_images(side, lambda *_: None) for side in (posts, validation)))
    assert found.seen == seen.sum() and seen[:8].all() and not seen.all()
    for model, there in (("bert", validation.text >= 0), ("resnet", validation.image >= 0)):
        (run,) = next(each for each in found.models if each.model == model).runs
        assert run.best.posts == there.sum()
        assert run.best_unseen is not None and run.best_unseen.posts == (there & ~seen).sum()
        scores = open_run(asked.folder / run.run).read_scores("best")
        right = scores.argmax(axis=1) == validation.label[there]
        assert run.best_unseen.accuracy == pytest.approx(right[~seen[there]].mean())
        assert run.best.accuracy == pytest.approx(right.mean())


def test_mistakes_are_found_before_anything_is_trained(
    compared: CompareOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(changes: dict[str, object], error: type[Exception], message: str) -> None:
        with pytest.raises(error, match=message):
            compare_models(replace(compared, **{"folder": tmp_path / "new", **changes}), lambda _: None)
        assert not (tmp_path / "new").exists()

    (tmp_path / "file").write_text("")
    refuse({"models": ("ote", "sum")}, UsageError, "--models: sum is not one of ote, cmac")
    refuse({"models": ("ote",)}, UsageError, "--literal changes none of ote")
    refuse({"training": replace(compared.training, width=25)}, UsageError, "25")
    plain = replace(compared.training, literal=False, freeze=())
    refuse({"training": replace(plain, heads=BOTH), "models": ("bert",)}, UsageError, "--heads change none of bert")
    frozen = replace(plain, freeze=("image",))
    refuse({"training": frozen, "models": ("bert",)}, UsageError, "--freeze image: none of bert has such an encoder")
    composed = replace(compared.training, composed=0.5, literal=False)
    refuse({"training": composed}, UsageError, "--composed needs both heads: use --heads text,image")
    refuse({"training": composed, "models": ("bert",)}, UsageError, "--composed changes none of bert")
    labels = {"labels": ("sad", "glad"), "heads": BOTH}
    refuse({"training": replace(composed, **labels)}, UsageError, "needs a label named `neutral`")
    refuse({"folder": tmp_path / "file"}, OutputError, "is a file: name a folder with -o")
    refuse({"folder": tmp_path}, UsageError, "already exists and holds no comparison")
    texts = replace(compared.training, images=None, freeze=())
    refuse(
        {"training": texts},
        InputError,
        "None of the 21 posts to train on has an image .*, and ote learns from both",
    )
    for changes, error, message in (
        ({"image_encoder": "resnet5"}, UsageError, "--image-encoder 'resnet5' is not a supported model"),
        ({"image_levels": 9}, UsageError, "--image-levels 9: the image encoder"),
        ({"text_encoder": str(tmp_path)}, InputError, "can't be loaded from the folder"),
    ):
        refuse({"training": replace(compared.training, **changes)}, error, message)
    refuse({"models": ()}, UsageError, "--models needs one or more different models")
    refuse({"seeds": 0}, UsageError, "--seeds is 0, but it must be at least 1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    refuse({}, UsageError, "trains in one process")
