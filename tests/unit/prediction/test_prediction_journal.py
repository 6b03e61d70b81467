"""The journal: whatever happens to its bytes, what is read back is a prefix of what was written."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trapline.errors import DataError, TraplineError, UsageError
from trapline.prediction.inputs import key, state
from trapline.prediction.journal import Journal, JournalEntry, read_header, read_index

HEADER = {"model": "abc", "labels": ["hare", "lynx"], "batch_size": 2}


def entry(name: str, status: str = "ok", reason: str | None = None) -> JournalEntry:
    return JournalEntry(name, None, f"cards/{name}.jpg", 1000, 1_600_000_000_000_000_001, "", status, reason)


def batch(number: int, size: int = 2) -> tuple[list[JournalEntry], np.ndarray]:
    entries = [entry(f"m{number}-{place}") for place in range(size)]
    return entries, np.arange(size * 2, dtype=np.float32).reshape(size, 2) / 7 + number


def written(path: Path, batches: int = 4) -> Path:
    with Journal(path, HEADER) as journal:
        for number in range(batches):
            journal.append(*batch(number))
    return path


def entries(journal: Journal) -> list[JournalEntry]:
    return [entry for batch in journal.batches() for entry in batch.entries]


def ids(journal: Journal) -> list[str]:
    return [entry.media_id for entry in entries(journal)]


def numbers(journal: Journal) -> np.ndarray:
    return np.concatenate(
        [np.empty((0, 2), np.float32), *(batch.probabilities for batch in journal.batches())]
    )


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    odd = [
        JournalEntry("naïve 猫", 3, "a.jpg", None, None, "0.1,0.2,0.3,0.4", "failed", "no such file"),
        entry("b", reason="truncated"),
    ]
    chances = np.array([[np.nan, np.nan], [0.25, 1e-38]], np.float32)
    with Journal(tmp_path / "j", HEADER) as journal:
        journal.append(odd, chances)
        journal.append(*batch(0))
    with Journal(tmp_path / "j", HEADER) as journal:
        assert journal.dropped_bytes == 0
        assert entries(journal) == [*odd, *batch(0)[0]]
        assert numbers(journal).tobytes() == np.concatenate([chances, batch(0)[1]]).tobytes()


def test_of_an_input_written_twice_the_last_counts_and_a_box_is_not_its_media(tmp_path: Path) -> None:
    with Journal(tmp_path / "j", HEADER) as journal:
        assert journal.index().find([key("m0-0", None)]).tolist() == [-1]
        journal.append(*batch(0))
        again = [entry("m0-0", "failed", "gone"), entry("m0-1")._replace(number=0)]
        journal.append(again, np.array([[np.nan, np.nan], [0.25, 0.75]], np.float32))
        index = journal.index()
        keys = [key("m0-0", None), key("m0-1", None), key("m0-1", 0), key("m0-1", 1)]
        found = index.find(keys)
        assert found[3] == -1
        said = [
            (batch.entries[where], batch.probabilities[where].tolist())
            for begin, where in np.transpose(index.spots_at(found[:3])).tolist()
            for batch in [journal.batch_at(begin)]
        ]
        assert [one[0] for one in said] == [again[0], batch(0)[0][1], again[1]]
        assert said[2][1] == [0.25, 0.75]
        assert index.states[found[0]] == 0  # failed: not done
        assert index.states[found[1]] not in (0, index.states[found[2]])
        journal.append(*batch(1))  # reading leaves the place to write at the end
        assert len(ids(journal)) == 6


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
            assert "Delete it" in str(error)  # noqa: PT017 - only some damage is an error
            return
        with journal:
            count = len(ids(journal)) // 2
            assert ids(journal) == [f"m{number}-{place}" for number in range(count) for place in range(2)]
            expected = [batch(number)[1] for number in range(count)]
            assert np.array_equal(numbers(journal), np.concatenate([np.empty((0, 2)), *expected]))
            journal.append(*batch(9))
        with Journal(path, HEADER) as journal:
            assert ids(journal)[-2:] == ["m9-0", "m9-1"]
            assert journal.dropped_bytes == 0


def test_two_journals_joined_are_not_one(tmp_path: Path) -> None:
    one, other = written(tmp_path / "one"), written(tmp_path / "other", 6)
    header = len(one.read_bytes()) - 4 * ((len(other.read_bytes()) - len(one.read_bytes())) // 2)
    one.write_bytes(one.read_bytes() + other.read_bytes()[header:])
    with Journal(one, HEADER) as journal:
        assert len(ids(journal)) == 8
        assert journal.dropped_bytes > 0


def test_another_model_or_option_is_refused_and_fresh_begins_again(tmp_path: Path) -> None:
    path = written(tmp_path / "j")
    with pytest.raises(UsageError, match=r"model was 'abc', is 'xyz'.*--fresh"):
        Journal(path, HEADER | {"model": "xyz"})
    assert read_header(path) == HEADER
    with Journal(path, HEADER | {"model": "xyz"}, fresh=True) as journal:
        assert ids(journal) == []
    assert read_header(path) == HEADER | {"model": "xyz"}


def test_a_file_that_is_no_journal_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "j").write_text("my thesis, only copy")
    for fresh in (False, True):
        with pytest.raises(DataError, match=r"no journal.*move it away"):
            Journal(tmp_path / "j", HEADER, fresh=fresh)
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
        assert ids(journal) == ["m0-0", "m0-1"]
        journal.append(*batch(1))
        assert len(ids(journal)) == 4


def test_an_index_of_a_journal_that_is_being_written_stops_at_its_torn_end(tmp_path: Path) -> None:
    path = written(tmp_path / "j", 3)
    whole = path.read_bytes()
    index = read_index(path, HEADER)
    with Journal(path, HEADER) as journal:
        own = journal.index()
        for name in ("keys", "states", "spots"):
            assert np.array_equal(getattr(index, name), getattr(own, name))
        (begin,), (where,) = index.spots_at(index.find([key("m2-1", None)]))
        assert where == 1
        assert journal.batch_at(begin).entries[where].media_id == "m2-1"
    path.write_bytes(whole[:-1])
    torn = read_index(path, HEADER)
    assert torn.find([key(f"m{batch}-0", None) for batch in range(3)]).tolist().count(-1) == 1
    assert path.read_bytes() == whole[:-1], "only looked at"
    with pytest.raises(UsageError, match=r"/j holds the work .*model was 'abc', is 'xyz'"):
        read_index(path, HEADER | {"model": "xyz"})
    path.write_bytes(whole[:10])  # killed while it began
    assert len(read_index(path, HEADER).keys) == 0
    path.write_bytes(b"something else")
    with pytest.raises(DataError, match="/j is no journal"):
        read_index(path, HEADER)


def test_an_index_says_of_which_file_and_box_an_input_was_done(tmp_path: Path) -> None:
    same = entry("a")
    changed = [
        same,
        same._replace(media_id="b", size=1001),
        same._replace(media_id="c", modified=2),
        same._replace(media_id="d", box="0,0,1,1"),
        same._replace(media_id="e", file_path="x.jpg"),
    ]
    with Journal(tmp_path / "j", HEADER) as journal:
        journal.append(changed, np.zeros((5, 2), np.float32))
        index = journal.index()
    states = index.states[index.find([key(name, None) for name in "abcde"])]
    expected = [state(one.media_id, None, one.file_path, one.box, one.size, one.modified) for one in changed]
    assert states.tolist() == expected
    assert (np.diff(index.keys.astype(np.float64)) > 0).all()
    assert index.find([key("z", None), key("a", None)]).tolist()[0] == -1
    assert index.find([2**63 - 1, 0]).tolist() == [-1, -1]
    assert index.find([]).tolist() == []


def test_a_batch_that_does_not_fit_is_never_written(tmp_path: Path) -> None:
    with Journal(tmp_path / "deep" / "er" / "j", HEADER) as journal:
        for shape in ((2, 3), (1, 2), (2,)):
            with pytest.raises(ValueError, match="2 entries with numbers"):
                journal.append(batch(0)[0], np.zeros(shape, np.float32))
        many = [entry("m")] * 65_537
        with pytest.raises(ValueError, match="65537 entries"):
            journal.append(many, np.zeros((65_537, 2), np.float32))
        assert ids(journal) == []
        journal.append(many[:-1], np.zeros((65_536, 2), np.float32))
        assert journal.index().spots_at(np.array([0]))[1] == 65_535, (
            "the last place of the frame, and not the next frame"
        )


def test_a_header_that_says_more_or_less_is_another_run(tmp_path: Path) -> None:
    path = written(tmp_path / "j", 1)
    with pytest.raises(UsageError, match=r"\(crop was None, is True\).*another output with -o"):
        Journal(path, HEADER | {"crop": True})
    with pytest.raises(UsageError, match="batch_size was 2, is None"):
        Journal(path, {name: value for name, value in HEADER.items() if name != "batch_size"})
    with Journal(path, HEADER) as journal:
        assert journal.header == HEADER


def test_a_run_that_was_killed_while_it_began_begins_again(tmp_path: Path) -> None:
    path = written(tmp_path / "j", 0)
    whole = path.read_bytes()
    for left in (b"", whole[:1], whole[:-1]):
        for fresh in (False, True):
            path.write_bytes(left)
            with Journal(path, HEADER, fresh=fresh) as journal:
                journal.append(*batch(0))
            with Journal(path, HEADER) as journal:
                assert ids(journal) == ["m0-0", "m0-1"]
                assert journal.dropped_bytes == 0


def test_what_is_cut_off_is_counted_and_the_chain_goes_on_behind_it(tmp_path: Path) -> None:
    path = written(tmp_path / "j", 2)
    length = len(path.read_bytes())
    path.write_bytes(path.read_bytes() + b"torn" * 5)
    with Journal(path, HEADER) as journal:
        assert journal.dropped_bytes == 20
        assert len(path.read_bytes()) == length
        list(journal.batches())
        journal.append(*batch(2))
    journal.close()  # once more is no harm
    with Journal(path, HEADER) as journal:
        assert (len(ids(journal)), journal.dropped_bytes) == (6, 0)


def test_the_disk_is_made_to_write_every_few_seconds_and_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, synced = [100.0], []
    monkeypatch.setattr("trapline.prediction.journal.time.monotonic", lambda: clock[0])
    with Journal(tmp_path / "j", HEADER) as journal:
        monkeypatch.setattr("trapline.prediction.journal.os.fsync", lambda _: synced.append(clock[0]))
        for moment in (101.0, 105.0, 105.1, 110.1, 110.2):
            clock[0] = moment
            journal.append(*batch(0))
    assert synced == [105.1, 110.2, 110.2]


def test_the_state_of_an_input_is_all_that_its_answer_rests_on() -> None:
    plain = ("m", 1, "m.jpg", "0,0,1,1", 1000, 17)
    others = ("n", 2, "n.jpg", "0,0,1,2", 1001, 18)
    assert state(*plain) == state(*plain)
    changed = {state(*plain[:place], others[place], *plain[place + 1 :]) for place in range(6)}  # type: ignore[arg-type]
    assert len(changed | {state(*plain)}) == 7


def test_a_run_that_did_nothing_binds_no_other(tmp_path: Path) -> None:
    written(tmp_path / "j", batches=0)
    with Journal(tmp_path / "j", HEADER | {"model": "xyz"}) as journal:
        assert journal.header["model"] == "xyz"
        journal.append(*batch(0))
    with pytest.raises(UsageError, match="model was 'xyz', is 'abc'"):
        Journal(tmp_path / "j", HEADER)
