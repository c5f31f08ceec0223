"""Layers that take rights away from the running process, for good. Linux on x86_64 and aarch64.

`confine` is called before the fork and holds for test runner and worker, `filter_system_calls` after it, in each.
Layers that must hold raise `LayerError`; the extra ones are left out of the list of layers where the kernel
refuses them.
"""

import contextlib
import ctypes
import errno
import os
import resource
import stat
import struct
import sys
from collections.abc import Collection

from .filter import program

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 1, 4, 22, 38
_SECCOMP_MODE_FILTER = 2
_SIGKILL = 9
_NEW_NAMESPACES = {"user": 0x10000000, "network": 0x40000000, "ipc": 0x08000000}
_CAPSET = {"x86_64": 126, "aarch64": 91}
_CAPABILITY_VERSION_3 = 0x20080522

_LANDLOCK_CREATE_RULESET, _LANDLOCK_ADD_RULE, _LANDLOCK_RESTRICT_SELF = 444, 445, 446
_LANDLOCK_CREATE_RULESET_VERSION = 1
_READ_FILE, _READ_DIR = 1 << 2, 1 << 3
_SYSTEM_LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache", "/usr/share/zoneinfo")

_COMMON_MODULES = """
    abc bisect cmath collections copy dataclasses datetime decimal enum fractions functools heapq itertools json
    math operator random re statistics string textwrap time types typing unicodedata""".split()

_libc = ctypes.CDLL(None, use_errno=True)


class LayerError(RuntimeError):
    """A layer that must hold could not be put in force; nothing untrusted may run."""


def confine(memory_bytes: int, cpu_s: int, missing: Collection[str]) -> list[str]:
    """Puts all layers but the system call filter in force and returns their names.

    Args:
        memory_bytes: limit of the address space.
        cpu_s: limit of processor time.
        missing: layers to do without, as if the kernel had none of them (for tests of the fall-backs).
    """
    layers = []
    if "namespaces" not in missing and _libc.unshare(sum(_NEW_NAMESPACES.values())) == 0:
        layers.append("namespaces")
    _limit_resources(memory_bytes, cpu_s)
    layers.append("rlimits")
    _set(_PR_SET_NO_NEW_PRIVS, 1, "no_new_privs")
    layers.append("no_new_privs")
    _drop_capabilities()
    layers.append("no capabilities")
    _set(_PR_SET_DUMPABLE, 0, "not dumpable")
    die_with_parent()
    if "landlock" not in missing and _landlock():
        layers.append("landlock")
    else:
        for name in _COMMON_MODULES:  # what answers use: no file can be opened any more
            __import__(name)
        layers.append("no file access")
    return layers


def die_with_parent() -> None:
    """Has the kernel kill this process when its parent ends, so that nothing outlives the caller."""
    _set(_PR_SET_PDEATHSIG, _SIGKILL, "parent death signal")


def filter_system_calls(layers: Collection[str], child: int | None, missing: Collection[str]) -> list[str]:
    """Puts the system call filter in force, proves it, and returns all layers.

    Args:
        layers: what `confine` returned; without Landlock the filter forbids to open any file.
        child: a process that may be killed and waited for (the runner's worker), or None.
        missing: see `confine`.
    """
    if "seccomp" in missing:
        raise LayerError("the kernel offers no seccomp filters")
    try:
        code = program(os.uname().machine, os.getpid(), child, may_open="landlock" in layers)
    except KeyError as unknown:
        raise LayerError(f"no system call filter is known for the processor {unknown}") from None
    buffer = ctypes.create_string_buffer(code)
    filters = struct.pack("HxxxxxxQ", len(code) // 8, ctypes.addressof(buffer))
    _set(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, "seccomp", filters)
    _prove()
    return [*layers, "seccomp"]


def _set(option: int, value: int, layer: str, pointer: bytes | int = 0) -> None:
    argument = ctypes.c_char_p(pointer) if isinstance(pointer, bytes) else ctypes.c_ulong(pointer)
    if _libc.prctl(option, ctypes.c_ulong(value), argument, ctypes.c_ulong(0), ctypes.c_ulong(0)):
        raise LayerError(f"the kernel refused {layer}: {os.strerror(ctypes.get_errno())}")


def _limit_resources(memory_bytes: int, cpu_s: int) -> None:
    _lower(resource.RLIMIT_AS, memory_bytes)
    _lower(resource.RLIMIT_CPU, cpu_s)
    _lower(resource.RLIMIT_FSIZE, 0)
    _lower(resource.RLIMIT_NOFILE, 64)
    _lower(resource.RLIMIT_CORE, 0)


def forbid_processes() -> None:
    """Sets the limit of processes to none; after the fork, since it holds for the next one."""
    _lower(resource.RLIMIT_NPROC, 0)


def _lower(name: int, limit: int) -> None:
    _, hard = resource.getrlimit(name)
    limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
    resource.setrlimit(name, (limit, limit))


def _drop_capabilities() -> None:
    header = struct.pack("Ii", _CAPABILITY_VERSION_3, 0)
    number = _CAPSET.get(os.uname().machine)
    if number is None or _libc.syscall(number, header, bytes(24)):
        raise LayerError("the capabilities of the process could not be dropped")


def _landlock() -> bool:
    """Forbids files but for reading the libraries of Python and the system; False when the kernel cannot."""
    abi = _libc.syscall(_LANDLOCK_CREATE_RULESET, None, 0, _LANDLOCK_CREATE_RULESET_VERSION)
    if abi < 1:
        return False
    file_rights = (1 << 13) - 1 | (abi >= 2) << 13 | (abi >= 3) << 14 | (abi >= 5) << 15
    network_rights, scopes = (0b11 if abi >= 4 else 0), (0b11 if abi >= 6 else 0)
    size = 24 if abi >= 6 else 16 if abi >= 4 else 8
    attributes = struct.pack("QQQ", file_rights, network_rights, scopes)[:size]
    ruleset = _libc.syscall(_LANDLOCK_CREATE_RULESET, attributes, ctypes.c_size_t(size), 0)
    if ruleset < 0:
        return False
    for path in {*sys.path, f"{sys.base_prefix}/lib", *_SYSTEM_LIBRARIES}:
        _allow_reading(ruleset, path)
    restricted = _libc.syscall(_LANDLOCK_RESTRICT_SELF, ruleset, 0) == 0
    os.close(ruleset)
    return restricted and _cannot_open("/proc/self/status", os.O_RDONLY)


def _allow_reading(ruleset: int, path: str) -> None:
    with contextlib.suppress(OSError):
        opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
        rights = _READ_FILE | (_READ_DIR if stat.S_ISDIR(os.fstat(opened).st_mode) else 0)
        _libc.syscall(_LANDLOCK_ADD_RULE, ruleset, 1, struct.pack("=Qi", rights, opened), 0)
        os.close(opened)


def _prove() -> None:
    """Tries what must fail; a kernel which only pretends to filter (some emulate it) is found out here."""
    socket = _libc.socket(1, 1, 0)
    if socket >= 0 or ctypes.get_errno() != errno.EPERM:
        raise LayerError("the system call filter is not in force: a socket could be made")
    if not _cannot_open("written", os.O_WRONLY | os.O_CREAT):
        raise LayerError("the system call filter is not in force: a file could be written")


def _cannot_open(path: str, flags: int) -> bool:
    try:
        os.close(os.open(path, flags))
    except PermissionError:
        return True
    except OSError:
        return False
    return False
