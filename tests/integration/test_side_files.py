"""What lies beside an output and is not Trapline's stays as it is, and is noticed before the work."""

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from trapline.cli import main


@pytest.mark.parametrize("force", [(), ("--force",), ("--force", "--fresh")])
@pytest.mark.parametrize("beside", ["p.csv.json", "p.csv.journal"])
def test_a_run_touches_nothing_of_others(
    beside: str,
    force: tuple[str, ...],
    tmp_path: Path,
    write_tiny_model: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (20, 20)).save(tmp_path / "photos" / "a.jpg")
    model = write_tiny_model(tmp_path / "tiny.onnx")
    (tmp_path / beside).write_text('{"my": "field notes"}')
    with pytest.raises(SystemExit) as ended:
        main(["predict", str(model), str(tmp_path / "photos"), "-o", str(tmp_path / "p.csv"), *force])
    assert ended.value.code in (1, 2)
    assert beside in capsys.readouterr().err
    assert (tmp_path / beside).read_text() == '{"my": "field notes"}'
    assert not (tmp_path / "p.csv").exists()
