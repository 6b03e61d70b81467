"""Each benchmark in its smallest form, with its rivals, so that none rots: it ends well, with its table."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from little_sets import little_caltech_night, little_jura, little_trailcam_bursts

pytest.importorskip("torch")
pytestmark = pytest.mark.slow

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
PARTS = {
    "running.py": "what the others have in common",
    "small_model.py": "made by cluster_kills.py, kill_test.py and memory.py where they are given no model",
    "formats_peers.py": "run by formats_check.py",
    "keras_prediction.py": "run by predict.py",
    "published_prediction.py": "run by predict.py",
    "published_detector.py": "run by detect_speed.py",
    "published_small_cnn.py": "run by train.py",
    "published_conser_vision.py": "run by train.py",
    "rivals/litserve_server.py": "run by serve.py",
    "rivals/cleanlab_ranking.py": "run by label_errors.py",
    "rivals/published_gateway.py": "run by serve.py",
    "rivals/triton_server.py": "run by serve.py and gateway.py",
}
"""Files that are no benchmark by themselves -> which one runs them."""


@dataclass(frozen=True)
class Bench:
    """What the benchmarks are given, and how they are run."""

    folder: Path
    model: Path
    other: Path
    photos: Path
    field: Path

    def run(self, script: str, *arguments: object) -> str:
        """What a benchmark printed; it must end well."""
        interpreter = [sys.executable] if script.endswith(".py") else ["bash"]
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        done = subprocess.run(
            [*interpreter, str(BENCHMARKS / script), *map(str, arguments)],
            cwd=self.folder,
            env=os.environ | {"PATH": path, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{script} {arguments}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout

    def trapline(self, *arguments: object) -> None:
        """A command whose output a benchmark reads."""
        command = [sys.executable, "-m", "trapline", *map(str, arguments)]
        subprocess.run(command, cwd=self.folder, check=True, capture_output=True)

    def caltech_night(self, **counts: int) -> Path:
        """A small caltech-night."""
        return little_caltech_night(self.field / "caltech-night", self.folder / "caltech-night", **counts)

    def trailcam_bursts(self, every: int = 4) -> Path:
        """A small trailcam-bursts."""
        return little_trailcam_bursts(self.field / "trailcam-bursts", self.folder / "trailcam-bursts", every)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory, write_tiny_model: Callable[..., Path]) -> list[Path]:
    """Two model files that answer differently."""
    folder = tmp_path_factory.mktemp("models")
    return [write_tiny_model(folder / f"{seed}.onnx", seed=seed) for seed in (0, 1)]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of photos of the synthetic world."""
    folder = tmp_path_factory.mktemp("world")
    small = ["--locations", "4", "--events-per-location", "3"]
    command = [sys.executable, "-m", "trapline", "quickstart", str(folder / "world"), "--data-only", *small]
    subprocess.run(command, check=True, capture_output=True)
    return folder / "world"


@pytest.fixture
def bench(models: list[Path], photos: Path, tmp_path: Path, field: Path) -> Bench:
    """Everything."""
    return Bench(tmp_path, models[0], models[1], photos, field)


def smallest_big_catalog(bench: Bench) -> str:
    return bench.run("big_catalog.py", "--sequences", 500, "--folder", bench.folder / "big")


def smallest_many_answers(bench: Bench) -> str:
    return bench.run(
        *("many_answers.py", "--rows", 3000, "--labels", 3, "--journal", 100),
        *("--folder", bench.folder / "many", "--only", "pool", "evaluate"),
    )


def smallest_buckets(bench: Bench) -> str:
    return bench.run(
        "buckets.py", bench.model, bench.photos, "--count", 250, "--rounds", 1, "--kills", 1, "--away", 1
    )


def smallest_ecology_coverage(bench: Bench) -> str:
    return bench.run("ecology_coverage.py", "--sets", 2, "--resamples", 100, "--only", "level,diversity")


def smallest_many_rows(bench: Bench) -> str:
    small = ("--rows", 500, "--sequences", 300, "--folder", bench.folder / "many")
    return bench.run("many_rows.py", *small, "--only", "explore", "split by event")


def smallest_caltech_night(bench: Bench) -> str:
    return bench.run("caltech_night.py", bench.caltech_night(), "-o", "out", "--row", "head, full frame")


def smallest_axes(bench: Bench) -> str:
    bench.caltech_night(locations=14, each=3)
    bench.trailcam_bursts(12)
    little_jura(bench.field / "jura", bench.folder / "jura", 8)
    (bench.folder / "taxonomy.csv").symlink_to(bench.field / "taxonomy.csv")
    return bench.run("axes.py", bench.folder, "-o", "out", "--row", 8, "--drawings", 2)


def smallest_difference(bench: Bench) -> str:
    smallest_caltech_night(bench)
    bench.trapline("catalog", "caltech-night", "--part", "train", "-o", "train.parquet")
    table = "out/head-full-frame.csv"
    return bench.run("caltech-night/difference.py", "train.parquet", table, table)


def smallest_nested(bench: Bench) -> str:
    source = bench.caltech_night(each=4)
    bench.trapline("catalog", source, "--part", "train", "-o", "out/train.parquet")
    recipe = ("-r", "lite0-frozen", "--recipe-file", BENCHMARKS / "caltech-night" / "head.yaml")
    small = ("--set", "folds=2", "--set", "preprocessing.height=32", "--set", "preprocessing.width=32")
    bench.trapline("train", "out/train.parquet", *recipe, "-o", "out/head", *small)
    for member in ("lite0", "lite2", "lite2-close"):
        shutil.copytree(bench.folder / "out" / "head", bench.folder / "out" / member)
    few = ("--minutes", 5, "--weights", 0.1, 1, "--days", 0, "--deals", 1)
    return bench.run("caltech-night/nested.py", "out", *few)


def smallest_drift(bench: Bench) -> str:
    bench.caltech_night(locations=24, each=3)
    bench.trailcam_bursts(8)
    little_jura(bench.field / "jura", bench.folder / "jura", every=10)
    return bench.run("drift.py", bench.folder, "-o", "out", "--photos", 80)


def smallest_blank_filter(bench: Bench) -> str:
    return bench.run("blank_filter.py", bench.trailcam_bursts(12), "-o", "out")


def smallest_recalibration(bench: Bench) -> str:
    few = ("--draws", 1, "--halves", 1, "--every", 60, "--networks", "resnet50", "--sets")
    return bench.run("recalibration.py", bench.field, "-o", "out", *few)


def smallest_clients(bench: Bench) -> str:
    from running import rival, rival_python
    from serve import free_port, process

    http, grpc = free_port(), free_port()
    command = [sys.executable, "-m", "trapline", "serve", f"it={bench.model}"]
    command += ["--port", http, "--grpc-port", grpc]
    photo = next(bench.photos.rglob("*.JPG"))
    client = [rival_python("tritonclient", ["tritonclient[grpc,http]"]), BENCHMARKS / "clients.py", photo]
    with process(command, http, bench.folder / "log"):
        return rival("tritonclient", [*client, "--http", f"127.0.0.1:{http}", "--grpc", f"127.0.0.1:{grpc}"])


def smallest_detect_speed(bench: Bench) -> str:
    source = bench.caltech_night(each=1)
    small = ["--boxes", source / "boxes.json", "--count", 4, "--rounds", 1, "--cores", 1]
    return bench.run("detect_speed.py", source / "train_features", *small)


def smallest_detector(bench: Bench) -> str:
    source = bench.caltech_night()
    boxes = source / "boxes.json"
    bench.trapline("catalog", source, "--part", "train", "--boxes", boxes, "-o", "found.parquet")
    sources = bench.field / "caltech-night" / "boxes_source.csv"
    return bench.run("detector.py", "found.parquet", boxes, "--sources", sources)


def smallest_detector_tiles(bench: Bench) -> str:
    few = ("--sides", 320, 640, "--every", 40)
    return bench.run("detector_tiles.py", bench.field / "caltech-night", "-o", "out", *few)


def smallest_formats_check(bench: Bench) -> str:
    return bench.run("formats_check.py", bench.model, bench.field)


def smallest_label_errors(bench: Bench) -> str:
    small = ["--share", 0.1, "--seeds", 1]
    return bench.run("label_errors.py", bench.caltech_night(), "-o", "out", *small)


def smallest_thresholds(bench: Bench) -> str:
    return bench.run("thresholds.py", bench.field, "--draws", 1, "--sites", 20)


def smallest_shares_kept(bench: Bench) -> str:
    return bench.run("shares_kept.py", "--draws", 1)


def smallest_coverage(bench: Bench) -> str:
    return bench.run("coverage.py", "--sets", 2, "--promises", 1, "--pool", 200)


def smallest_occupancy_coverage(bench: Bench) -> str:
    return bench.run("occupancy_coverage.py", "--sets", 1)


def smallest_camtrap_dp_versions(bench: Bench) -> str:
    packages = [bench.field / "fixtures" / "camtrapdp_example", bench.field / "ecology" / "mica"]
    return bench.run("camtrap_dp_versions.py", *packages)


def smallest_fuzz(bench: Bench) -> str:
    return bench.run("fuzz.py", "--minutes", 0.1, "--target", "csv")


def smallest_gateway(bench: Bench) -> str:
    return bench.run("gateway.py", bench.model, bench.photos)


def smallest_hostile(bench: Bench) -> str:
    return bench.run("hostile.py", bench.model, "--seconds", 0.5, "--share", 0.1)


def smallest_kill_test(bench: Bench) -> str:
    fixtures = bench.field / "fixtures" / "speciesnet_testdata"
    few = ("--kills", 2, "--count", 60)
    return bench.run("kill_test.py", bench.photos, fixtures, "--model", bench.model, *few)


def smallest_memory(bench: Bench) -> str:
    return bench.run("memory.py", bench.photos, "--model", bench.model, "--counts", "20,40")


def smallest_predict(bench: Bench) -> str:
    return bench.run("predict.py", bench.photos, "--count", 4, "--rounds", 1, "--without", "resnet50")


def smallest_published_client(bench: Bench) -> str:
    return bench.run("published_client.py", bench.model, bench.photos, "--count", 3)


def smallest_cluster_kills(bench: Bench) -> str:
    few = ("--kills", 2, "--count", 20, "--at-once", 1)
    return bench.run("cluster_kills.py", bench.photos, "--model", bench.model, *few)


def smallest_review_kills(bench: Bench) -> str:
    return bench.run("review_kills.py", bench.photos, "--kills", 2, "--server-kills", 1)


def smallest_review_audit(bench: Bench) -> str:
    return bench.run("review_audit.py", "--reviews", 2, "--row", "one camera", "--row", "no model at first")


def smallest_review_audit_photos(bench: Bench) -> str:
    source = little_jura(bench.field / "jura", bench.folder / "jura", every=3) / "labels.csv"
    return bench.run("review_audit_photos.py", source, "-o", "cache", "--reviews", 1, "--audited", 20)


def smallest_review_curve(bench: Bench) -> str:
    few = ["--seeds", 1, "--folds", 0, "--jobs", 1, "--plan", "20,10"]
    printed = bench.run("review_curve.py", bench.caltech_night(), "-o", "out", *few)
    assert "| start, learn |" in printed
    return printed


def smallest_review_keys(bench: Bench) -> str:
    pytest.importorskip("playwright")
    if not any(map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))):
        pytest.skip("needs a Chromium on the path")
    truth = little_jura(bench.field / "jura", bench.folder / "jura", every=60) / "labels.csv"
    few = bench.folder / "jura" / "few"
    few.mkdir()
    for name in re.findall(r"^(.+?\.jpg)", truth.read_text("utf-8"), re.MULTILINE):
        shutil.copy(bench.field / "jura" / name, few)
    truth.write_text(truth.read_text("utf-8").replace("site-8.2-G/", "few/"), "utf-8")
    return bench.run("review_keys.py", few, "--truth", truth, "-o", "out")


def smallest_saved_model_check(bench: Bench) -> str:
    return bench.run("saved_model_check.py", bench.model, bench.photos, "--count", 3)


def smallest_serve(bench: Bench) -> str:
    return bench.run("serve.py", bench.model, bench.photos, "--seconds", 0.3, "--rounds", 1)


def smallest_soak(bench: Bench) -> str:
    return bench.run("soak.py", bench.model, bench.other, bench.photos, "--requests", 300, "--kills", 2)


def little_network(weights: Path) -> list[str]:
    """Settings that put timm's smallest network in the place of a recipe's; its weights are written."""
    import timm
    from safetensors.torch import save_file

    save_file(timm.create_model("test_efficientnet", pretrained=False).state_dict(), weights)
    return ["--set", "backbone=timm/test_efficientnet", "--set", f"weights={weights}"]


def smallest_caltech_submission(bench: Bench) -> str:
    source = bench.caltech_night(each=4, withheld=6)
    small = ["--set", "epochs=1", "--set", "folds=2", *little_network(bench.folder / "little.safetensors")]
    small += ["--set", "preprocessing.height=32", "--set", "preprocessing.width=32"]
    bench.run("caltech-night/submit.sh", source, "auto", "out", *small)
    return (bench.folder / "out" / "submission.csv").read_text()


def smallest_bursts_submission(bench: Bench) -> str:
    small = ["--set", "preprocessing.height=64", "--set", "preprocessing.width=64"]
    bench.run("trailcam-bursts/submit.sh", bench.trailcam_bursts(8), "out", *small)
    return (bench.folder / "out" / "submission.csv").read_text()


def smallest_taxonomy(bench: Bench) -> str:
    bench.caltech_night()
    bench.trailcam_bursts(8)
    little_jura(bench.field / "jura", bench.folder / "jura")
    shutil.copy(bench.field / "taxonomy.csv", bench.folder)
    return bench.run("taxonomy.py", bench.folder, "-o", "out", "--only", "fit", "--way", "taxa-flat")


def smallest_blank_frames(bench: Bench) -> str:
    return bench.run("blank_frames.py", bench.trailcam_bursts(8), "--cache", "cache", "--samples", 20)


def smallest_pooling_choice(bench: Bench) -> str:
    return bench.run("pooling_choice.py", "--repeats", 1, "--judged", 50)


def smallest_trailcam_bursts(bench: Bench) -> str:
    row = ["--row", "serengeti-benchmark"]
    return bench.run("trailcam_bursts.py", bench.trailcam_bursts(8), "-o", "out", *row)


def smallest_train(bench: Bench) -> str:
    few = ["--epochs", 1, "--runs", 1]
    source = bench.caltech_night(each=3)
    return "".join(
        bench.run("train.py", source, "--recipe", recipe, *few)
        for recipe in ("small-cnn", "conser-vision-resnet50")
    )


def smallest_ecology_rows(bench: Bench) -> str:
    return bench.run("ecology_rows.py", "--rows", 2000, "--locations", 5)


PLAIN = {
    "big_catalog.py": (smallest_big_catalog, "| split by location |"),
    "buckets.py": (smallest_buckets, "| server killed and started again"),
    "clients.py": (smallest_clients, "the same"),
    "occupancy_coverage.py": (smallest_occupancy_coverage, "| scores, 100 audited elsewhere | psi |"),
    "ecology_coverage.py": (smallest_ecology_coverage, "| 40 species, many rare | 100 | 2 | the whole |"),
    "ecology_rows.py": (smallest_ecology_rows, "| rates |"),
    "shares_kept.py": (smallest_shares_kept, "| loses at most |"),
    "coverage.py": (smallest_coverage, "| 0.9 | 42 | unequal | 0% |"),
    "fuzz.py": (smallest_fuzz, "| all |"),
    "many_rows.py": (smallest_many_rows, "| split by event |"),
    "gateway.py": (smallest_gateway, "Triton, v2"),
    "hostile.py": (smallest_hostile, "| what | found |"),
    "many_answers.py": (smallest_many_answers, "| rows of the table, with the index |"),
    "memory.py": (smallest_memory, "| list | 40 |"),
    "predict.py": (smallest_predict, "b0 keras"),
    "published_client.py": (smallest_published_client, "SavedModel, session, all_outputs    3 photos"),
    "cluster_kills.py": (smallest_cluster_kills, "equal to the single run"),
    "feature_cache.py": (lambda bench: bench.run("feature_cache.py", "--views", 640), "| pieces | 4 | 640 |"),
    "review_kills.py": (smallest_review_kills, "nothing lost, nothing doubled"),
    "review_audit.py": (smallest_review_audit, "| one camera | 326 | 5 | 50 |"),
    "saved_model_check.py": (smallest_saved_model_check, "same most probable label: 100.0%"),
    "serve.py": (smallest_serve, "| LitServe | 32 |"),
    "soak.py": (smallest_soak, "| right | 300 |"),
}
FIELD = {
    "axes.py": (smallest_axes, "| jura by blocks of days → trailcam-bursts, kinds |"),
    "blank_filter.py": (smallest_blank_filter, "| 4 : 3: the burst's best box |"),
    "camtrap_dp_versions.py": (smallest_camtrap_dp_versions, "'media': 423"),
    "caltech-night/difference.py": (smallest_difference, "accuracy: +0.000 (+0.000 to +0.000)"),
    "caltech-night/nested.py": (smallest_nested, "| chosen at other locations, mean of 1 |"),
    "caltech-night/submit.sh": (smallest_caltech_submission, "id,bobcat"),
    "caltech_night.py": (smallest_caltech_night, "| head, full frame |"),
    "detect_speed.py": (smallest_detect_speed, "| suppression |"),
    "detector.py": (smallest_detector, "| gt |"),
    "detector_tiles.py": (smallest_detector_tiles, "| whole and tiles, 320 |"),
    "drift.py": (smallest_drift, "| caltech-night | 24 locations |"),
    "formats_check.py": (smallest_formats_check, "jura: cct_to_md | ok"),
    "label_errors.py": (smallest_label_errors, "| 10%, seed 0 | 9 |"),
    "thresholds.py": (smallest_thresholds, "| precision | 20 |"),
    "review_keys.py": (smallest_review_keys, "| 1.000 |\n| sorting |"),
    "kill_test.py": (smallest_kill_test, "equal to the byte"),
    "review_audit_photos.py": (smallest_review_audit_photos, "| table accuracy |"),
    "recalibration.py": (smallest_recalibration, "| resnet50 | auto |"),
    "review_curve.py": (smallest_review_curve, "| table |"),
    "taxonomy.py": (smallest_taxonomy, ""),
    "trailcam-bursts/submit.sh": (smallest_bursts_submission, "seq_id,black_bear"),
    "blank_frames.py": (smallest_blank_frames, "| own word on blanks (the default) |"),
    "pooling_choice.py": (smallest_pooling_choice, "| 30 | 5 |"),
    "trailcam_bursts.py": (smallest_trailcam_bursts, "serengeti-benchmark"),
    "train.py": (smallest_train, "| conser-vision-resnet50, 1 epochs"),
}
FORMS = PLAIN | FIELD
MARKED = [*PLAIN, *(pytest.param(name, marks=pytest.mark.field) for name in FIELD)]


def test_every_script_is_run() -> None:
    scripts = {
        path.relative_to(BENCHMARKS).as_posix()
        for path in BENCHMARKS.rglob("*")
        if path.suffix in (".py", ".sh") and "__pycache__" not in path.parts
    }
    assert scripts == FORMS.keys() | PARTS.keys()


@pytest.mark.parametrize("script", MARKED)
def test_a_benchmark_runs_in_its_smallest_form(
    script: str, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)
    run, line = FORMS[script]
    assert line in run(bench)


def test_a_benchmark_whose_rival_fails_says_so_and_stops(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)
    from running import rival, rival_python

    with pytest.raises(
        SystemExit, match="rival Keras failed, so nothing is compared; status 3:\nout of tune"
    ):
        rival("Keras", [sys.executable, "-c", "import sys; print('out of tune'); sys.exit(3)"])
    with pytest.raises(SystemExit, match="rival nobody failed, so nothing is compared"):
        rival_python("nobody", ("--no-such-package",))
