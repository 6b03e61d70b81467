"""Pieces: what one process keeps all others find; damage, death and rivals cost values and never lie."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trapline.storage import Pieces, drop_oldest
from trapline.storage import pieces as module


def key(number: int) -> bytes:
    return number.to_bytes(16, "little")


def fill(folder: Path, numbers: range, blocks: int = 1) -> Path:
    """A new piece with these keys and their decimal digits."""
    before = set(folder.glob("*"))
    with Pieces(folder) as pieces:
        for block in range(blocks):
            pieces.put({key(one): str(one).encode() for one in numbers[block::blocks]})
    (piece,) = set(folder.glob("*")) - before
    return piece


def found(folder: Path, numbers: range) -> dict[int, int]:
    values = Pieces(folder).get([key(one) for one in numbers])
    return {int.from_bytes(one, "little"): int(value) for one, value in values}


def test_all_find_what_one_has_put(tmp_path: Path) -> None:
    folder = tmp_path / "g"
    assert found(folder, range(9)) == {}
    fill(folder, range(5), blocks=2)
    fill(folder, range(3, 8))
    assert found(folder, range(2, 20)) == {number: number for number in range(2, 8)}


@given(st.data())
def test_whatever_happens_to_a_piece_a_value_is_right_or_not_there(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("g")
    piece = fill(folder, range(40), blocks=4)
    content = bytearray(piece.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        del content[place:]
    else:
        content[place : place + 4] = data.draw(st.binary(min_size=0, max_size=9))
    piece.write_bytes(content)
    there = found(folder, range(40))
    assert all(number == value for number, value in there.items())
    fill(folder, range(40))
    assert len(found(folder, range(40))) == 40


def test_damaged_values_cost_their_block_alone(tmp_path: Path) -> None:
    piece = fill(tmp_path, range(0, 40), blocks=4)
    content = piece.read_bytes()
    spot = content.index(b"04812")  # the values of the first block
    piece.write_bytes(content[:spot] + b"9" + content[spot + 1 :])
    assert set(found(tmp_path, range(40))) == {number for number in range(40) if number % 4}


def _write(folder: Path, process: int) -> None:
    with Pieces(folder) as pieces:
        for number in range(process * 100, process * 100 + 150):
            pieces.put({key(number): str(number).encode()})
            drop_oldest(folder.parent, 2**30)


def test_four_processes_put_and_drop_at_once(tmp_path: Path) -> None:
    rivals = [
        multiprocessing.get_context("spawn").Process(target=_write, args=(tmp_path / "g", process))
        for process in range(4)
    ]
    for rival in rivals:
        rival.start()
    for rival in rivals:
        rival.join()
    assert found(tmp_path / "g", range(450)) == {number: number for number in range(450)}


def test_pieces_end_when_they_are_large_and_the_oldest_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PIECE_BYTES", 1000)
    with Pieces(tmp_path / "g") as pieces:
        for number in range(6):
            pieces.put({key(number): b"1" * 1000})
    first, *others = list((tmp_path / "g").iterdir())
    assert len(others) == 5
    os.utime(first, (1000, 1000))
    drop_oldest(tmp_path, 5 * first.stat().st_size)
    assert sorted((tmp_path / "g").iterdir()) == sorted(others)
    drop_oldest(tmp_path, 0)
    assert not (tmp_path / "g").exists()


def test_after_a_write_that_failed_nothing_is_put_behind_its_half(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Pieces(tmp_path) as pieces:
        pieces.put({key(1): b"1"})
        whole = module._encode
        monkeypatch.setattr(module, "_encode", lambda values: whole(values)[:-3])
        pieces.put({key(2): b"22222"})
        monkeypatch.setattr(module, "_encode", lambda values: (_ for _ in ()).throw(OSError("full")))
        with pytest.raises(OSError, match="full"):
            pieces.put({key(3): b"3"})
        monkeypatch.setattr(module, "_encode", whole)
        pieces.put({key(4): b"4"})
    assert found(tmp_path, range(9)) == {1: 1, 4: 4}
