"""The door of the Python face: what a signature says is checked, and refused by the parameter's name."""

import ast
import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pytest

import trapline
from trapline import api
from trapline.arguments import Count, File, checked, describe, fits, naming_options
from trapline.catalog import Catalog
from trapline.errors import DataError, TraplineError, UsageError
from trapline.evaluation import Evaluation
from trapline.models import Detector, ModelFile
from trapline.prediction import Predictions

LONG = "x" * 5000
PATHS = [None, 3, b"a.parquet", "", "a\0b", LONG, Path(LONG), [], {}]


@pytest.mark.parametrize(
    ("hint", "good", "bad"),
    [
        (int, [3, np.int64(3), -1], [True, 2.5, "3", None]),
        (float, [3, 2.5, np.float32(2)], [True, "3", None]),
        (Count, [1, np.int32(7)], [0, -2, "1", True, 1.0]),
        (str, ["", "a"], [None, 3, b"a"]),
        (bool, [True, False], [1, "yes", None]),
        (File, ["a", Path("a")], [None, "", " ", "a\0", b"a", 3]),
        (File | None, [None, "a"], ["", 3]),
        (Sequence[str], [["a"], ("a",), []], ["a", [1], None, {"a"}]),
        (Mapping[str, str], [{"a": "b"}, {}], ["a", {"a": 1}, {1: "a"}, None]),
        (Literal["a", "b"], ["a"], ["c", None, ["a"]]),
        (Callable[[int], object], [print], [None, "print"]),
        (Annotated[int | None, "a text for people"], [None, 1], ["1"]),
        (object, [None, 1], []),
    ],
    ids=str,
)
def test_a_value_is_of_a_type_or_not(hint: Any, good: list[Any], bad: list[Any]) -> None:
    assert [value for value in good if not fits(value, hint)] == []
    assert [value for value in bad if fits(value, hint)] == []
    assert describe(hint)


@checked
def example(output: File, *, batch_size: Count = 1, rows: Literal["media", "event"] = "media") -> object:
    """An example."""
    if batch_size == 7:
        raise UsageError("The --batch-size is odd; name another with -o, or run `trapline x --rows y`.")
    return Path(output).read_bytes()


def test_an_error_names_the_parameter_or_in_a_command_the_option() -> None:
    with pytest.raises(UsageError, match=r"^batch_size must be a whole number from 1 on, not '3'\.$"):
        example("a", batch_size="3")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"^rows must be one of media, event, not 'box'\.$"):
        example("a", rows="box")  # type: ignore[arg-type]
    with pytest.raises(
        UsageError, match=r"^The batch_size is odd; .* with output, or run `trapline x --rows y`"
    ):
        example("a", batch_size=7)
    with naming_options(), pytest.raises(UsageError, match=r"^The --batch-size is odd; .* with -o, or run"):
        example("a", batch_size=7)
    with naming_options(), pytest.raises(UsageError, match=r"^--batch-size must be"):
        example("a", batch_size=0)


def test_a_function_keeps_its_signature_and_what_python_says_of_calls() -> None:
    assert list(inspect.signature(example).parameters) == ["output", "batch_size", "rows"]
    assert example.__doc__ == "An example."
    with pytest.raises(TypeError, match="unexpected keyword argument 'colour'"):
        example("a", colour="red")  # type: ignore[call-arg]


@pytest.mark.parametrize("path", [LONG, "."])
def test_what_the_system_says_of_a_path_is_an_error_of_trapline(path: str) -> None:
    with pytest.raises(DataError, match="Check the path"):
        example(path)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: repr(path)[:20])
@pytest.mark.parametrize(
    "call",
    [
        Catalog.load,
        Predictions.load,
        Evaluation.load_json,
        ModelFile,
        Detector,
        trapline.read,
        api.open_model,
        lambda path: api.check_submission(path, path),
        lambda path: api.check_package(path, path),
        lambda path: api.download("https://example.org/a", path),
        lambda path: api.export_detector(path, "out.onnx"),
        lambda path: api.package(path, "out.zip"),
    ],
)
def test_a_path_that_is_none_is_an_error_of_trapline(call: Callable[[Any], object], path: Any) -> None:
    with pytest.raises(TraplineError):
        call(path)


@pytest.mark.parametrize("path", [*PATHS, "folder.parquet"], ids=lambda path: repr(path)[:20])
def test_nothing_is_saved_where_nothing_can_be(
    path: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    world: Callable[..., Catalog],
    write_tiny_model: Any,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.parquet").mkdir()
    catalog = world()
    predictions = trapline.predict(write_tiny_model(tmp_path / "m.onnx", labels=("a", "b")), catalog, "p.csv")
    evaluation = predictions.evaluate(samples=10)
    for save in (
        catalog.save,
        catalog.write,
        predictions.save,
        evaluation.save_json,
        evaluation.save_report,
        lambda path: predictions.write("csv", path, force=True),
    ):
        with pytest.raises(TraplineError):
            save(path)


@pytest.mark.parametrize(
    "call",
    [
        lambda catalog: catalog.part(3),
        lambda catalog: api.train(catalog, "head", changes=None),
        lambda catalog: api.as_recipe("head", 3),
        lambda catalog: api.write("p.csv", catalog, "out.csv", format=None),
        lambda catalog: api.download(3, "out"),
        lambda catalog: api.pool("p.csv", catalog, place_days="3"),
        lambda catalog: api.predict("m.onnx", catalog, "p.csv", batch_size="4"),
        lambda catalog: api.predict("m.onnx", catalog, "p.csv", level="evnt"),
        lambda catalog: api.predict("m.onnx", catalog, "p.csv", say="print"),
        lambda catalog: api.evaluate(catalog, "p.csv", samples=9),
        lambda catalog: api.evaluate(catalog, "p.csv", answers="best"),
        *(
            lambda catalog, n=n: api.predict("m.onnx", catalog, "p.csv", threads=n)
            for n in ("2", 0, -2, True, 1.5)
        ),
        *(lambda catalog, n=n: api.open_model("m.onnx", threads=n) for n in ("2", 0, -2)),
        *(lambda catalog, n=n: ModelFile("m.onnx", threads=n) for n in ("2", 0, -2)),
        lambda catalog: api.read("a.csv", columns=[("label", "x")]),
        lambda catalog: api.run("a.csv", "out", format=3),
        lambda catalog: api.tune(catalog, "head", folds=1),
        lambda catalog: api.submit("p.csv", "format.csv", clip="0.1"),
    ],
)
def test_a_wrong_argument_names_its_parameter(
    call: Callable[[Any], object], world: Callable[..., Catalog]
) -> None:
    with pytest.raises(UsageError, match=r"^[a-z_0-9]+ must be .+, not "):
        call(world())


OPTIONS = {
    node.name: {field.target.id: ast.unparse(field.annotation) for field in node.body[1:]}
    for node in ast.walk(ast.parse(inspect.getsource(api)))
    if isinstance(node, ast.ClassDef) and node.name.endswith("Options")
}
METHODS = [Catalog.explore, Catalog.detect, Catalog.train, Catalog.tune, ModelFile.predict, ModelFile.export]
METHODS += [Predictions.evaluate, Predictions.pool, Predictions.write, Predictions.submit]


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.__qualname__)
def test_the_options_of_a_method_are_those_of_its_function(method: Callable[..., object]) -> None:
    function = getattr(api, method.__name__)
    own = set(inspect.signature(method).parameters) - {"options"}
    keywords = {
        name: parameter.annotation
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY and name not in own
    }
    if method is ModelFile.predict:  # which is open already
        del keywords["threads"], keywords["runtime"]
    packed = inspect.signature(method).parameters["options"].annotation
    assert packed == f"Unpack[api.{method.__name__.title()}Options]"
    assert OPTIONS[f"{method.__name__.title()}Options"] == keywords
