"""Photos that take long to decode hold up each other and nobody else, and can be ended."""

import asyncio
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from trapline import ModelFile
from trapline.images import Decoder, decoders
from trapline.serving import lanes as lanes_module
from trapline.serving.answers import PreparedPhoto, RequestPhoto
from trapline.serving.lanes import Lanes
from trapline.serving.refusals import NOT_READY, RefusedError
from trapline.serving.shelf import Served

pytestmark = pytest.mark.slow

SLOW, QUICK = RequestPhoto(b"slow", "slow"), RequestPhoto(b"quick", "quick")
SECONDS = 4.0
"""That a slow photo takes: longer than a decoder takes to begin on a busy machine."""

HAUNTED = """
import sys, time; sys.path[:] = {path}
from trapline.images import worker
import numpy as np
from trapline.images.prepare import Prepared
def prepare(source, size, *rest):
    if source == b"slow":
        time.sleep({seconds})
    return Prepared(np.zeros((size.height, size.width, 3), np.uint8), None, (1, 1))
worker.prepare = prepare
worker.main({life})
"""


@pytest.fixture
def served(write_tiny_model: Any, tmp_path: Path) -> Served:
    return Served("tiny", ModelFile(write_tiny_model(tmp_path / "tiny.onnx")))


@pytest.fixture
def haunted(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def command(life: int | None) -> list[str]:
        return [sys.executable, "-c", HAUNTED.format(path=sys.path, seconds=SECONDS, life=life)]

    monkeypatch.setattr(decoders, "_command", command)
    return


def started(number: int) -> Lanes:
    lanes = Lanes(number)
    lanes.warm_up()
    return lanes


async def look(
    lanes: Lanes, served: Served, photo: RequestPhoto, ended: list[str], seconds: float = 60
) -> PreparedPhoto:
    deadline = asyncio.get_running_loop().time() + seconds
    view = await lanes.run(lanes.view, photo, served, deadline)
    ended.append(photo.name or "")
    return view


@pytest.mark.usefixtures("haunted")
def test_slow_photos_make_way_and_are_all_answered(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes_module, "LONG", 0.2)

    async def ask() -> None:
        lanes, ended = started(1), list[str]()
        slow = [asyncio.create_task(look(lanes, served, SLOW, ended)) for _ in range(2)]
        await asyncio.sleep(0.05)
        await asyncio.gather(*(look(lanes, served, QUICK, ended) for _ in range(5)))
        assert ended == ["quick"] * 5
        views = await asyncio.gather(*slow)
        assert all(view.pixels is not None for view in views)
        assert sorted(ended[5:]) == ["slow"] * 2
        lanes.close()

    asyncio.run(ask())


@pytest.mark.usefixtures("haunted")
def test_a_deadline_ends_the_decoding(served: Served) -> None:
    async def ask() -> None:
        lanes = started(1)
        with pytest.raises(RefusedError) as refused:
            await look(lanes, served, SLOW, [], 0.3)
        assert refused.value.kind.http == 504
        assert (await look(lanes, served, QUICK, [])).pixels is not None
        lanes.close()

    asyncio.run(ask())


@pytest.mark.usefixtures("haunted")
def test_photos_that_wait_too_long_make_the_server_unready(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lanes_module, "STUCK", 0.3)

    async def ask() -> None:
        lanes, ended = started(1), list[str]()
        await lanes.check_ready()
        asking = [asyncio.create_task(look(lanes, served, SLOW, ended)) for _ in range(2)]
        await asyncio.sleep(0.4)
        with pytest.raises(RefusedError, match="waiting for") as refused:
            await lanes.check_ready()
        assert refused.value.kind is NOT_READY
        await asyncio.gather(*asking)
        await lanes.check_ready()
        lanes.close()

    asyncio.run(ask())


@pytest.mark.usefixtures("haunted")
def test_closing_ends_what_is_being_decoded(served: Served) -> None:
    others = set(threading.enumerate())

    async def ask() -> None:
        lanes = started(2)
        asking = [asyncio.create_task(look(lanes, served, SLOW, [])) for _ in range(2)]
        await asyncio.sleep(0.2)
        lanes.close()
        views = await asyncio.gather(*asking)
        assert [view.reason for view in views] == ["its decoding was ended"] * 2

    asyncio.run(ask())
    for thread in set(threading.enumerate()) - others:
        if thread.name.startswith("photo"):
            thread.join(SECONDS)
            assert not thread.is_alive()


def test_a_server_without_decoders_is_not_ready_until_one_can_be_had(
    served: Served, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def ask() -> None:
        lanes = Lanes(1)
        with monkeypatch.context() as patch:
            patch.setattr(decoders, "_command", lambda _: [str(tmp_path / "no-python")])
            with pytest.raises(RefusedError, match="No process for decoding") as refused:
                await look(lanes, served, QUICK, [])
            assert refused.value.kind is NOT_READY
            with pytest.raises(RefusedError, match="No process for decoding"):
                await lanes.check_ready()
        await lanes.check_ready()
        assert (await look(lanes, served, QUICK, [])).reason is not None  # it is looked at, and no picture
        lanes.close()

    asyncio.run(ask())


def test_a_decoder_that_is_done_with_a_photo_is_not_ended_for_it() -> None:
    async def ask() -> None:
        place, decoder = lanes_module.Slot(asyncio.Semaphore()), Decoder()
        with place.decoding(decoder):
            assert place.decodes_since(0)
        assert not place.decodes_since(0)
        assert not place.make_way()
        assert not place.step_back()
        assert not any((place.made_way, decoder.ended, decoder.worn))

    asyncio.run(ask())


@pytest.mark.usefixtures("haunted")
def test_slow_photos_that_come_together_hold_no_lane(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes_module, "LONG", 0.2)

    async def ask() -> None:
        lanes, ended = started(2), list[str]()
        slow = [asyncio.create_task(look(lanes, served, SLOW, ended)) for _ in range(5)]
        await asyncio.sleep(0.05)
        await asyncio.gather(*(look(lanes, served, QUICK, ended) for _ in range(4)))
        assert ended == ["quick"] * 4
        views = await asyncio.gather(*slow)
        assert all(view.pixels is not None for view in views)
        assert not lanes._free.locked()
        assert not lanes._aside.locked()
        assert (lanes._free._value, lanes._aside._value) == (2, 2)
        lanes.close()

    asyncio.run(ask())


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="the system stops no processes")
@pytest.mark.usefixtures("haunted")
def test_a_decoder_that_is_stopped_keeps_no_lane(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes_module, "OVERDUE", 0.4)

    async def ask() -> None:
        lanes = started(1)
        process = lanes._decoders._idle[-1]._process
        assert process is not None
        process.send_signal(signal.SIGSTOP)
        assert (await look(lanes, served, QUICK, [])).reason == "its decoding was ended"
        assert (await look(lanes, served, QUICK, [])).pixels is not None
        lanes.close()

    asyncio.run(ask())


@pytest.mark.usefixtures("haunted")
def test_slow_photos_that_nobody_waits_for_are_decoded_no_further(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lanes_module, "LONG", 0.2)
    monkeypatch.setattr(sys.modules[__name__], "SECONDS", 60.0)

    async def give_up(lanes: Lanes, asking: asyncio.Task[PreparedPhoto]) -> None:
        asking.cancel()
        for _ in range(100):  # five seconds; by itself it would be ended after ten
            await asyncio.sleep(0.05)
            if asking.done() and not lanes._decoders._lent:
                return
        raise AssertionError("it is decoded on")

    async def ask() -> None:
        lanes, ended = started(1), list[str]()
        first, second, third = (asyncio.create_task(look(lanes, served, SLOW, ended)) for _ in range(3))
        await asyncio.sleep(2)  # the first went aside; the second made way for the third
        third.cancel()
        first.cancel()
        await asyncio.sleep(1.5)  # and is begun anew where the first was
        assert len(lanes._decoders._lent) == 1
        await give_up(lanes, second)
        last = asyncio.create_task(look(lanes, served, SLOW, ended))
        await asyncio.sleep(0.5)
        await give_up(lanes, last)  # from its lane
        assert ended == []
        lanes.close()

    asyncio.run(ask())
