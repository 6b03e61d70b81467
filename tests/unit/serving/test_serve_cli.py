"""`trapline serve`: what cannot be right is said before anything is opened."""

from pathlib import Path
from typing import Any

import pytest

from trapline.cli import main


@pytest.mark.parametrize(
    ("options", "status", "said"),
    [
        (["--backend-protocol", "soap"], 2, "v2 or tensorflow, not 'soap'"),
        (["--allow-url", "https://a.example/"], 2, "takes the name of a host"),
        (["--batch", "200", "--queue", "100"], 2, "can never fill"),
        (["--backend", "models"], 2, "model server's address"),
        (["--runtime", "abacus"], 2, "no runtime 'abacus'"),
        (["--tf-range", "0-256"], 2, "--tf-range is 0-1 or 0-255, not '0-256'"),
        (["--tf-input", ""], 2, "--tf-input takes a layer's name"),
        (["--tf-output", "two words"], 2, "--tf-output takes a layer's name"),
        (["--token", ""], 2, "token must be some ASCII text"),
    ],
)
def test_options_that_cannot_be_right_are_refused(
    write_tiny_model: Any, tmp_path: Path, capsys: Any, options: list[str], status: int, said: str
) -> None:
    model = write_tiny_model(tmp_path / "model.onnx")
    with pytest.raises(SystemExit) as ended:
        main(["serve", str(model), "--port", "0", "--no-grpc", *options])
    assert ended.value.code == status
    assert said in capsys.readouterr().err


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    import importlib

    plain = importlib.import_module

    def without(name: str, *rest: Any) -> Any:
        if name == "fastapi":
            raise ModuleNotFoundError("No module named 'fastapi'", name="fastapi")
        return plain(name, *rest)

    monkeypatch.setattr(importlib, "import_module", without)
    with pytest.raises(SystemExit) as ended:
        main(["serve", "model.onnx"])
    assert ended.value.code == 1
    assert "pip install '.[serve]'" in capsys.readouterr().err
