"""Which fork server fits a process, where it listens, and how it is started.

A job must behave as if its own interpreter had been started. A server is therefore shared only by processes with the
same user, interpreter, installed packages, checkout, limits, processors, and values of the variables that libraries
read at import. A hash over these is the name of its socket.
"""

import hashlib
import os
import resource
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from sedi_dagster.errors import SediError
from sedi_dagster.workloads.process import environment

PRELOADED = (
    "torch",
    "datasets",
    "accelerate",
    "peft",
    "transformers.modeling_utils",
    "transformers.models.auto.modeling_auto",
    "transformers.models.auto.tokenization_auto",
    "transformers.models.llama.modeling_llama",
    "transformers.trainer",
    "trl.trainer.sft_trainer",
)
"""What a server imports. Nothing of this project, so that a job runs the code as it is now; nothing that starts a
thread, as a fork has but one (polars does)."""

_INHERITED = ("PATH", "HOME", "USER", "LANG", "LANGUAGE", "TMPDIR", "TZ", "VIRTUAL_ENV")
_READ_AT_IMPORT = (
    *("LC_", "LD_", "PYTHON", "OMP_", "GOMP_", "MKL_", "TORCH", "PYTORCH", "ATEN_", "TRANSFORMERS_", "HF_", "TRL_"),
    *("PEFT_", "ACCELERATE_", "DATASETS_", "CUDA_", "XDG_"),
)
_READ_LATER = ("OMP_NUM_THREADS", "HF_TOKEN")
"""Set in the job: the number of threads by `set_num_threads`, the token when a hub is asked."""

_FORKABLE = {
    "OPENBLAS_NUM_THREADS": "1",  # it would start its threads at import
    "JE_ARROW_MALLOC_CONF": "background_thread:false",  # pyarrow's allocator would start one
    "PYTORCH_NVML_BASED_CUDA_CHECK": "1",  # torch looks for a GPU without initialising CUDA, which a fork cannot use
}
_OTHER_GPUS = ("/dev/kfd", "/dev/dxg")
BINDING_S = 5.0


def is_possible() -> bool:
    """Whether this machine can have a fork server: Linux, without a GPU or with NVIDIA's."""
    linux = sys.platform == "linux" and hasattr(os, "pidfd_open")
    return linux and not any(Path(gpu).exists() for gpu in _OTHER_GPUS)


def server_environment(offline: bool) -> dict[str, str]:
    """All variables that a server is started with. No key of an endpoint is among them."""
    given = {**environment(offline), **os.environ}
    return {
        name: value
        for name, value in sorted(given.items())
        if (name in _INHERITED or name.startswith(_READ_AT_IMPORT)) and name not in _READ_LATER
    } | _FORKABLE


def address(offline: bool, root: Path) -> Path:
    """The socket of the server that fits this process.

    Args:
        offline: whether its jobs keep the hub out, which is decided when libraries are imported.
        root: folder that jobs run in, where `sedi_dagster` is imported from.

    Raises:
        SediError: the private folder for sockets cannot be had.
    """
    packages = sysconfig.get_path("purelib")
    limits = [
        resource.getrlimit(getattr(resource, name)) for name in sorted(dir(resource)) if name.startswith("RLIMIT")
    ]
    mask = os.umask(0)
    os.umask(mask)
    alike = [
        (sys.executable, sys.version, packages, Path(packages).stat().st_mtime_ns, str(root), PRELOADED),
        (limits, mask, os.getpriority(os.PRIO_PROCESS, 0), sorted(os.sched_getaffinity(0))),
        Path("/proc/self/cgroup").read_text(),
        server_environment(offline),
    ]
    return _private_folder() / f"{hashlib.sha256(repr(alike).encode()).hexdigest()[:16]}.sock"


def connect(socket_path: Path, offline: bool, root: Path) -> socket.socket:
    """A connection to the server, which is started if there is none. It may still be importing.

    Raises:
        OSError: there is none, or it has declined: some library started a thread.
    """
    end = time.monotonic() + BINDING_S
    started = False
    while True:
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(str(socket_path))
            return connection
        except (FileNotFoundError, ConnectionRefusedError):
            connection.close()
            if socket_path.with_suffix(".declined").exists() or time.monotonic() > end:
                raise
        if not started:
            started = True
            start(socket_path, server_environment(offline), root, PRELOADED)
        time.sleep(0.01)


def start(socket_path: Path, env: Mapping[str, str], root: Path, preloaded: tuple[str, ...]) -> subprocess.Popen[bytes]:
    """Start a server in a session of its own. Of several started at once, one stays."""
    command = [sys.executable, "-m", "sedi_dagster.workloads.warm_worker.server", str(socket_path), *preloaded]
    with socket_path.with_suffix(".log").open("ab") as log:
        return subprocess.Popen(
            command, cwd=root, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )


@contextmanager
def warm_worker_ready(offline: bool, root: Path) -> Iterator[None]:
    """A server that imports while other work is done, and ends with the block unless another process uses it."""
    with ExitStack() as stack:
        with suppress(OSError, SediError):  # each job still runs, in an interpreter of its own
            stack.enter_context(connect(address(offline, root), offline, root))
        yield


def _private_folder() -> Path:
    """A folder that only this user can look into: who can connect can run code as this user."""
    folder = Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()) / f"sedi-workers-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if found.st_uid != os.getuid() or found.st_mode & 0o077 or not folder.is_dir() or folder.is_symlink():
        raise SediError(f"{folder} belongs to another user, or is accessible to others.", "Remove it.")
    return folder
