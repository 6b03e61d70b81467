"""The filter of system calls, run here as the kernel runs it, on both machines."""

import ctypes
import ctypes.util
import errno
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trapline.competitions.code_execution.seccomp import refused_calls, seccomp_filter

ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
KILL, ALLOW, ERROR = 0x8000_0000, 0x7FFF_0000, 0x0005_0000
NAMED = {
    "x86_64": {
        "socket": 41,
        "socketpair": 53,
        "clone": 56,
        "read": 0,
        "openat": 257,
        "execve": 59,
        "mmap": 9,
    },
    "aarch64": {"socket": 198, "socketpair": 199, "clone": 220, "read": 63, "openat": 56, "execve": 221},
}
NEW = {"io_uring_setup": 425, "io_uring_enter": 426, "open_tree": 428, "fsmount": 432, "clone3": 435}
machines = pytest.mark.parametrize("machine", ARCHITECTURES)


def answer(machine: str, number: int, argument: int = 0, architecture: int | None = None) -> int:
    """What the filter answers to a call."""
    architecture = ARCHITECTURES[machine] if architecture is None else architecture
    data = struct.pack("=IIQQ", number, architecture, 0, argument)
    program = list(struct.iter_unpack("=HBBI", seccomp_filter(machine)))
    at, held = 0, 0
    while True:
        code, if_so, if_not, value = program[at]
        at += 1
        if code == 0x06:
            return int(value)
        if code == 0x20:
            (held,) = struct.unpack_from("=I", data, value)
        else:
            at += (
                if_so
                if {0x15: held == value, 0x35: held >= value, 0x45: bool(held & value)}[code]
                else if_not
            )


@machines
def test_a_filter_is_one_that_the_kernel_takes(machine: str) -> None:
    program = list(struct.iter_unpack("=HBBI", seccomp_filter(machine)))
    assert len(program) < 4096
    for place, (code, if_so, if_not, _) in enumerate(program):
        if code not in (0x06, 0x20):
            assert place + 1 + max(if_so, if_not) < len(program)
    assert program[-1][0] == 0x06


@machines
def test_what_programs_live_on_is_allowed(machine: str) -> None:
    for name in ("read", "openat", "execve", "clone"):
        assert answer(machine, NAMED[machine][name]) == ALLOW, name
    thread = 0x003D0F00  # the flags by which C libraries make one
    assert answer(machine, NAMED[machine]["clone"], thread) == ALLOW


@machines
@given(family=st.integers(0, 2**32 - 1))
def test_sockets_are_made_of_three_families(machine: str, family: int) -> None:
    for name in ("socket", "socketpair"):
        found = answer(machine, NAMED[machine][name], family)
        assert found == (ALLOW if family in (1, 2, 10) else ERROR | errno.EAFNOSUPPORT)


@machines
@pytest.mark.parametrize(
    "flag", [0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000]
)
def test_no_namespace_is_made(machine: str, flag: int) -> None:
    assert answer(machine, NAMED[machine]["clone"], flag | 17) == ERROR | errno.EPERM
    assert refused_calls(machine).keys() >= {"unshare", "setns"}


@machines
@given(number=st.integers(457, 0x3FFF_FFFF) | st.sampled_from(sorted(NEW.values())))
def test_calls_that_nobody_has_looked_at_are_as_if_not_there(machine: str, number: int) -> None:
    assert answer(machine, number) == (ALLOW if number == 462 else ERROR | errno.ENOSYS)


@machines
def test_listed_calls_are_refused(machine: str) -> None:
    for number in refused_calls(machine).values():
        assert answer(machine, number) == ERROR | errno.EPERM


@machines
@given(number=st.integers(0, 2**32 - 1))
def test_other_abis_end_the_process(machine: str, number: int) -> None:
    assert answer(machine, number, architecture=0x40000003) == KILL  # i386
    assert answer(machine, number | 0x4000_0000) == KILL  # x32


@machines
def test_the_numbers_are_those_of_libseccomp(machine: str) -> None:
    found = ctypes.util.find_library("seccomp")
    if found is None:
        pytest.skip("libseccomp is not on this machine")
    resolve = ctypes.CDLL(found).seccomp_syscall_resolve_name_arch
    resolve.argtypes = [ctypes.c_uint32, ctypes.c_char_p]
    known = refused_calls(machine) | NAMED[machine] | NEW
    assert {name: resolve(ARCHITECTURES[machine], name.encode()) for name in known} == known
