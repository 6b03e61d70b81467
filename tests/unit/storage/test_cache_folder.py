"""Where the cache is for a user with a home, without one, and with one that is not his to write to."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from trapline.storage import cache_folder
from trapline.storage.cache_folder import user_cache_folder

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="homes are other things there")


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    for name in ("TRAPLINE_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    cache_folder._temporary.cache_clear()
    yield
    cache_folder._temporary.cache_clear()


def test_a_home_that_can_be_written_to_has_the_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert tmp_path in user_cache_folder().parents
    assert not list(tmp_path.iterdir())  # only named


@pytest.mark.parametrize("home", [None, "/proc/1/nowhere", "file"])
def test_without_such_a_home_it_is_among_the_temporary_files_and_private(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, home: str | None
) -> None:
    (tmp_path / "file").touch()

    def nobody() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", nobody if home is None else lambda: tmp_path / home)
    found = user_cache_folder()
    assert (found.parent, user_cache_folder()) == (tmp_path, found)
    assert not found.stat().st_mode & 0o077


def test_what_another_user_has_laid_there_is_not_taken(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / f"trapline-cache-{os.getuid()}").symlink_to(tmp_path / "theirs")
    monkeypatch.setattr(Path, "home", lambda: Path("/proc/1/nowhere"))
    found = user_cache_folder()
    assert found.parent == tmp_path
    assert not found.is_symlink()


def test_a_folder_that_the_user_named_is_taken_at_his_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAPLINE_CACHE", "/proc/1/nowhere")
    assert user_cache_folder() == Path("/proc/1/nowhere")
