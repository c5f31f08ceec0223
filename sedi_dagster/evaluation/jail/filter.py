"""The system call filter: a BPF program that allows what pure computing needs and denies the rest.

An allow list, so that a call the kernel learns tomorrow is denied. Denied are with it: sockets, new
processes and threads, running programs, signals to others, tracing, mounting, files opened for writing.
"""

import errno
import os
import struct

_LOAD, _AND, _EQUALS, _AT_LEAST, _RETURN = 0x20, 0x54, 0x15, 0x35, 0x06
_ALLOW, _KILL = 0x7FFF0000, 0x80000000
_DENY, _NOT_THERE = 0x00050000 | errno.EPERM, 0x00050000 | errno.ENOSYS
_NUMBER_AT, _ARCHITECTURE_AT, _ARGUMENTS_AT = 0, 4, 16
_X32_CALLS = 0x40000000  # the second call table of x86_64, which would go round the numbers below

_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}

# Calls by name: their numbers on x86_64 and aarch64, None where the call does not exist.
_ALLOWED: dict[str, tuple[int | None, int | None]] = {
    "read": (0, 63), "write": (1, 64), "close": (3, 57), "stat": (4, None), "fstat": (5, 80), "lstat": (6, None),
    "poll": (7, None), "lseek": (8, 62), "mmap": (9, 222), "mprotect": (10, 226), "munmap": (11, 215),
    "brk": (12, 214), "rt_sigaction": (13, 134), "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139),
    "pread64": (17, 67), "readv": (19, 65), "writev": (20, 66), "access": (21, None), "pipe": (22, None),
    "select": (23, None), "sched_yield": (24, 124), "mremap": (25, 216), "madvise": (28, 233), "dup": (32, 23),
    "dup2": (33, None), "nanosleep": (35, 101), "getitimer": (36, 102), "alarm": (37, None), "setitimer": (38, 103),
    "getpid": (39, 172), "exit": (60, 93), "uname": (63, 160), "getcwd": (79, 17), "gettimeofday": (96, 169),
    "getrlimit": (97, 163), "getrusage": (98, 165), "sysinfo": (99, 179), "times": (100, 153), "getuid": (102, 174),
    "getgid": (104, 176), "geteuid": (107, 175), "getegid": (108, 177), "getppid": (110, 173),
    "rt_sigpending": (127, 136), "rt_sigtimedwait": (128, 137), "rt_sigsuspend": (130, 133),
    "sigaltstack": (131, 132), "gettid": (186, 178), "time": (201, None), "futex": (202, 98),
    "sched_getaffinity": (204, 123), "getdents64": (217, 61), "restart_syscall": (219, 128), "fadvise64": (221, 223),
    "clock_gettime": (228, 113), "clock_getres": (229, 114), "clock_nanosleep": (230, 115), "exit_group": (231, 94),
    "newfstatat": (262, 79), "faccessat": (269, 48), "pselect6": (270, 72), "ppoll": (271, 73), "dup3": (292, 24),
    "pipe2": (293, 59), "getrandom": (318, 278), "membarrier": (324, 283), "statx": (332, 291), "rseq": (334, 293),
    "faccessat2": (439, 439),
}  # fmt: skip
_OPENAT, _FCNTL, _IOCTL, _KILL_CALL, _TGKILL = (257, 56), (72, 25), (16, 29), (62, 129), (234, 131)
_WAIT4, _PRLIMIT64, _CLONE3 = (61, 260), (302, 261), (435, 435)

_TO_WRITE = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND | 0o20000000  # the last is O_TMPFILE's
_FCNTL_COMMANDS = (0, 1, 2, 3, 4, 1030)  # no F_SETOWN or F_SETSIG: with them the kernel would signal other processes
_IOCTL_REQUESTS = (0x5401, 0x5450, 0x5451)  # isatty, and the close-on-exec flag

_Step = tuple[int, int, int, int]


def program(machine: str, pid: int, child: int | None, may_open: bool) -> bytes:
    """The filter as the kernel takes it.

    Args:
        machine: the processor, as in `os.uname().machine`.
        pid: this process, which may signal itself.
        child: a process which may be killed and waited for, or None.
        may_open: whether files may be opened for reading (another layer says which).

    Raises:
        KeyError: the processor is not known here.
    """
    architecture = _ARCHITECTURES[machine]
    column = list(_ARCHITECTURES).index(machine)
    steps: list[_Step] = [
        (_LOAD, 0, 0, _ARCHITECTURE_AT),
        (_EQUALS, 1, 0, architecture),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER_AT),
        (_AT_LEAST, 0, 1, _X32_CALLS),
        (_RETURN, 0, 0, _DENY),
    ]
    for numbers in _ALLOWED.values():
        steps += _for_call(numbers[column], [(_RETURN, 0, 0, _ALLOW)])
    if may_open:
        steps += _for_call(_OPENAT[column], _allow_if_none_set(2, _TO_WRITE))
    steps += _for_call(_FCNTL[column], _allow_if_one_of(1, _FCNTL_COMMANDS))
    steps += _for_call(_IOCTL[column], _allow_if_one_of(1, _IOCTL_REQUESTS))
    steps += _for_call(_TGKILL[column], _allow_if_one_of(0, (pid,)))
    steps += _for_call(_PRLIMIT64[column], _allow_if_null(2))
    steps += _for_call(_CLONE3[column], [(_RETURN, 0, 0, _NOT_THERE)])
    if child is not None:
        steps += _for_call(_KILL_CALL[column], _allow_if_one_of(0, (child,)))
        steps += _for_call(_WAIT4[column], _allow_if_one_of(0, (child,)))
    steps.append((_RETURN, 0, 0, _DENY))
    return b"".join(struct.pack("HBBI", *step) for step in steps)


def _for_call(number: int | None, block: list[_Step]) -> list[_Step]:
    """Runs `block`, which ends in a return, for one system call."""
    return [] if number is None else [(_EQUALS, 0, len(block), number), *block]


def _argument(index: int) -> _Step:
    """Loads the lower half of an argument; the kernel reads no more of an int or an unsigned int."""
    return (_LOAD, 0, 0, _ARGUMENTS_AT + 8 * index)


def _allow_if_one_of(index: int, values: tuple[int, ...]) -> list[_Step]:
    tests = [(_EQUALS, len(values) - place, 0, value) for place, value in enumerate(values)]
    return [_argument(index), *tests, (_RETURN, 0, 0, _DENY), (_RETURN, 0, 0, _ALLOW)]


def _allow_if_none_set(index: int, mask: int) -> list[_Step]:
    return [_argument(index), (_AND, 0, 0, mask), *_zero_or_deny(), (_RETURN, 0, 0, _ALLOW)]


def _allow_if_null(index: int) -> list[_Step]:
    low = _argument(index)
    high = (_LOAD, 0, 0, low[3] + 4)
    return [low, *_zero_or_deny(), high, *_zero_or_deny(), (_RETURN, 0, 0, _ALLOW)]


def _zero_or_deny() -> list[_Step]:
    return [(_EQUALS, 1, 0, 0), (_RETURN, 0, 0, _DENY)]
