"""The journal: whatever happens to its bytes, what is read back is a prefix of what was written."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trapline.errors import DataError, TraplineError, UsageError
from trapline.prediction.journal import Contents, Entry, Journal, read_header

HEADER = {"model": "abc", "labels": ["hare", "lynx"], "batch_size": 2}


def entry(name: str, status: str = "ok", reason: str | None = None) -> Entry:
    return Entry(name, f"cards/{name}.jpg", 1000, 1_600_000_000_000_000_001, "", status, reason)


def batch(number: int, size: int = 2) -> tuple[list[Entry], np.ndarray]:
    entries = [entry(f"m{number}-{place}") for place in range(size)]
    return entries, np.arange(size * 2, dtype=np.float32).reshape(size, 2) / 7 + number


def written(path: Path, batches: int = 4) -> Path:
    with Journal(path, HEADER) as journal:
        for number in range(batches):
            journal.append(*batch(number))
    return path


def ids(contents: Contents) -> list[str]:
    return contents.entries["media_id"].to_list()


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    odd = [
        Entry("naïve 猫", "a.jpg", None, None, "0.1,0.2,0.3,0.4", "failed", "no such file"),
        entry("b", reason="truncated"),
    ]
    numbers = np.array([[np.nan, np.nan], [0.25, 1e-38]], np.float32)
    with Journal(tmp_path / "j", HEADER) as journal:
        journal.append(odd, numbers)
        journal.append(*batch(0))
    with Journal(tmp_path / "j", HEADER) as journal:
        contents = journal.read()
        assert journal.dropped_bytes == 0
    assert contents.probabilities.tobytes() == np.concatenate([numbers, batch(0)[1]]).tobytes()
    assert contents.entries["reason"].to_list() == ["no such file", "truncated", None, None]
    assert contents.entries["modified"].to_list() == [None, *[1_600_000_000_000_000_001] * 3]


def test_of_a_media_written_twice_the_last_counts(tmp_path: Path) -> None:
    with Journal(tmp_path / "j", HEADER) as journal:
        journal.append(*batch(0))
        journal.append([entry("m0-0", "failed", "gone")], np.full((1, 2), np.nan, np.float32))
        contents = journal.read()
    found = contents.entries.filter(media_id="m0-0").row(0, named=True)
    assert (found["status"], found["row"]) == ("failed", 2)
    assert len(ids(contents)) == 2


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damage_leaves_a_prefix_and_never_a_wrong_row(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = written(Path(folder) / "j")
        content = bytearray(path.read_bytes())
        place = data.draw(st.integers(0, len(content) - 1))
        kind = data.draw(st.sampled_from(["cut", "flip", "insert", "delete", "zeros"]))
        if kind == "cut":
            del content[place:]
        elif kind == "flip":
            content[place] ^= 1 << data.draw(st.integers(0, 7))
        elif kind == "insert":
            content[place:place] = data.draw(st.binary(min_size=1, max_size=40))
        elif kind == "delete":
            del content[place : place + data.draw(st.integers(1, 40))]
        else:
            content[place:] = b"\0" * (len(content) - place)
        path.write_bytes(content)
        try:
            journal = Journal(path, HEADER)
        except DataError as error:
            assert "--fresh" in str(error)  # noqa: PT017 - only some damage is an error
            return
        with journal:
            contents = journal.read()
            count = len(ids(contents)) // 2
            assert ids(contents) == [f"m{number}-{place}" for number in range(count) for place in range(2)]
            expected = [batch(number)[1] for number in range(count)]
            assert np.array_equal(contents.probabilities, np.concatenate([np.empty((0, 2)), *expected]))
            journal.append(*batch(9))
        with Journal(path, HEADER) as journal:
            assert ids(journal.read())[-2:] == ["m9-0", "m9-1"]
            assert journal.dropped_bytes == 0


def test_two_journals_joined_are_not_one(tmp_path: Path) -> None:
    one, other = written(tmp_path / "one"), written(tmp_path / "other", 6)
    header = len(one.read_bytes()) - 4 * ((len(other.read_bytes()) - len(one.read_bytes())) // 2)
    one.write_bytes(one.read_bytes() + other.read_bytes()[header:])
    with Journal(one, HEADER) as journal:
        assert len(ids(journal.read())) == 8
        assert journal.dropped_bytes > 0


def test_another_model_or_option_is_refused_and_fresh_begins_again(tmp_path: Path) -> None:
    path = written(tmp_path / "j")
    with pytest.raises(UsageError, match=r"model was 'abc', is 'xyz'.*--fresh"):
        Journal(path, HEADER | {"model": "xyz"})
    assert read_header(path) == HEADER
    with Journal(path, HEADER | {"model": "xyz"}, fresh=True) as journal:
        assert ids(journal.read()) == []
    assert read_header(path) == HEADER | {"model": "xyz"}


def test_a_file_that_is_no_journal_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "j").write_text("my thesis, only copy")
    with pytest.raises(DataError, match="no journal"):
        Journal(tmp_path / "j", HEADER)
    assert (tmp_path / "j").read_text() == "my thesis, only copy"
    assert read_header(tmp_path / "j") is None
    assert read_header(tmp_path / "none") is None


def test_two_runs_cannot_write_one_journal(tmp_path: Path) -> None:
    with Journal(tmp_path / "j", HEADER), pytest.raises(UsageError, match="Another run"):
        Journal(tmp_path / "j", HEADER)
    Journal(tmp_path / "j", HEADER).close()


def test_a_full_disk_is_said_and_costs_nothing_written_before(tmp_path: Path) -> None:
    path = tmp_path / "j"
    with Journal(path, HEADER) as journal:
        journal.append(*batch(0))
        real = journal._file

        class Full:
            def __getattr__(self, name: str) -> object:
                return getattr(real, name)

            def write(self, content: bytes) -> int:
                real.write(content[: len(content) // 2])
                real.flush()
                raise OSError(28, "No space left on device")

        journal._file = Full()  # type: ignore[assignment]
        with pytest.raises(TraplineError, match=r"No space left.*run the same command again"):
            journal.append(*batch(1))
    with Journal(path, HEADER) as journal:
        assert ids(journal.read()) == ["m0-0", "m0-1"]
        journal.append(*batch(1))
        assert len(ids(journal.read())) == 4
