"""A block that was freed is used again without a fault for each of its pages."""

import gc
import subprocess
import sys

import pytest

from trapline.models import put_off_collecting

COUNT_FAULTS = """
import resource
from trapline.training.memory import keep_memory

length = 48 * 2**20

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    b"x" * length
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults()
usual = faults()
kept = keep_memory()
faults()
print(kept, usual, faults())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the allocator is glibc's")
def test_a_large_block_is_kept_for_the_next_step():
    done = subprocess.run(
        [sys.executable, "-c", COUNT_FAULTS], capture_output=True, text=True, check=True, timeout=60
    )
    kept, usual, afterwards = done.stdout.split()
    if kept == "False":
        pytest.skip("this C library has no mallopt")
    assert int(usual) > 50
    assert int(afterwards) < int(usual) / 5


def test_collecting_is_put_off_and_goes_on_whatever_happens():
    seen = []

    @put_off_collecting()
    def fail() -> None:
        seen.append(gc.isenabled())
        raise RuntimeError("it broke")

    with pytest.raises(RuntimeError, match="it broke"):
        fail()
    assert seen == [False]
    assert gc.isenabled()
    gc.disable()
    try:
        with put_off_collecting():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
