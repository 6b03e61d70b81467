"""The system calls that a submission is refused, as the filter that bubblewrap gives to the kernel.

What Docker's own profile refuses is refused here: namespaces, mounts, other processes' memory, the kernel's
keys, tracing and modules. Beyond it sockets of other families than a computer's own network needs, because a
network namespace does not hold all of them (vsock); memory that no process shows (System V's); and every
call that is newer than the ones listed, `io_uring` among them, as a kernel without them would.
"""

from __future__ import annotations

import errno
import platform
import socket
import struct

_REFUSED = """
acct 163 89, add_key 248 217, bpf 321 280, chroot 161 51, clock_adjtime 305 266, clock_settime 227 112,
create_module 174 -, delete_module 176 106, fanotify_init 300 262, finit_module 313 273,
get_kernel_syms 177 -, init_module 175 105, ioperm 173 -, iopl 172 -, kcmp 312 272,
kexec_file_load 320 294, kexec_load 246 104, keyctl 250 219, lookup_dcookie 212 18, mount 165 40,
move_pages 279 239, msgget 68 186, name_to_handle_at 303 264, nfsservctl 180 42, open_by_handle_at 304 265,
perf_event_open 298 241, personality 135 92, pivot_root 155 41, process_vm_readv 310 270,
process_vm_writev 311 271, ptrace 101 117, query_module 178 -, quotactl 179 60, reboot 169 142,
request_key 249 218, semget 64 190, setns 308 268, settimeofday 164 170, shmget 29 194, swapoff 168 225,
swapon 167 224, _sysctl 156 -, sysfs 139 -, syslog 103 116, umount2 166 39, unshare 272 97, uselib 134 -,
userfaultfd 323 282, ustat 136 -, vhangup 153 58
"""
"""Name, number on x86_64, number on aarch64; a number is missing where there is no such call."""

_FIRST_NEW = 424
"""From here on a call has the same number on both machines."""
_NEW = {
    **{"pidfd_send_signal": 424, "pidfd_open": 434, "close_range": 436, "openat2": 437, "faccessat2": 439},
    **{"epoll_pwait2": 441, "landlock_create_ruleset": 444, "landlock_add_rule": 445},
    **{"landlock_restrict_self": 446, "futex_waitv": 449, "cachestat": 451, "fchmodat2": 452},
    **{"map_shadow_stack": 453, "futex_wake": 454, "futex_wait": 455, "futex_requeue": 456, "mseal": 462},
}
"""The new calls that are allowed; C libraries do without the others, `clone3` among them."""

_MACHINES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
_LOOKED_AT = {"socket": (41, 198), "socketpair": (53, 199), "clone": (56, 220)}
_FAMILIES = (socket.AF_UNIX if hasattr(socket, "AF_UNIX") else 1, socket.AF_INET, socket.AF_INET6)
_NEW_NAMESPACES = 0x7E02_0000
"""`CLONE_NEW…` for mounts, cgroups, host names, IPC, users, processes and networks."""
_OTHER_ABI = 0x4000_0000
"""The bit by which x32 tells its calls from those of x86_64."""

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _ARGUMENT = 0, 4, 16
_KILL, _ALLOW, _ERROR = 0x8000_0000, 0x7FFF_0000, 0x0005_0000

Instruction = tuple[int, int, int, int]


def refused_calls(machine: str) -> dict[str, int]:
    """Name -> number of the calls that are refused whatever their arguments."""
    column = _MACHINES[machine][1]
    lines = (entry.split() for entry in _REFUSED.replace("\n", " ").split(","))
    return {name: int(numbers[column]) for name, *numbers in lines if numbers[column] != "-"}


def knows_machine() -> bool:
    """Whether there is a filter for this computer."""
    return platform.machine() in _MACHINES


def seccomp_filter(machine: str | None = None) -> bytes:
    """The filter as a classic BPF program: 8 bytes an instruction, as `bwrap --seccomp` reads it.

    Args:
        machine: `x86_64` or `aarch64`; None is this one. Calls by the rules of another end the process.
    """
    machine = machine or platform.machine()
    architecture, column = _MACHINES[machine]
    looked_at = {name: numbers[column] for name, numbers in _LOOKED_AT.items()}
    families = [
        (_LOAD, 0, 0, _ARGUMENT),
        *(step for family in _FAMILIES for step in _if(_EQUAL, family, _ALLOW)),
        (_RETURN, 0, 0, _ERROR | errno.EAFNOSUPPORT),
    ]
    spaces = [
        (_LOAD, 0, 0, _ARGUMENT),
        *_if(_ANY_BIT, _NEW_NAMESPACES, _ERROR | errno.EPERM),
        (_RETURN, 0, 0, _ALLOW),
    ]
    new = [step for number in _NEW.values() for step in _if(_EQUAL, number, _ALLOW)]
    new.append((_RETURN, 0, 0, _ERROR | errno.ENOSYS))
    program = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
        *_if(_AT_LEAST, _OTHER_ABI, _KILL),
        (_AT_LEAST, 0, len(new), _FIRST_NEW),
        *new,
    ]
    for number in refused_calls(machine).values():
        program += _if(_EQUAL, number, _ERROR | errno.EPERM)
    for name, steps in (("socket", families), ("socketpair", families), ("clone", spaces)):
        program += [(_EQUAL, 0, len(steps), looked_at[name]), *steps]
    program.append((_RETURN, 0, 0, _ALLOW))
    return b"".join(struct.pack("=HBBI", *step) for step in program)


def _if(test: int, value: int, answer: int) -> list[Instruction]:
    """Answer so if the test holds, else go on."""
    return [(test, 0, 1, value), (_RETURN, 0, 0, answer)]
