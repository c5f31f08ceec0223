"""Finding the fork server that is compatible with a process, and starting it.

A job must behave as if it ran in a new interpreter. Therefore a server is shared only by processes with the same user,
interpreter, installed packages, checkout, resource limits, CPU affinity, and values of the environment variables that
libraries read at import. A hash of these is the name of its socket.
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
"""The modules that a server imports: none of this project, so that jobs run the current code, and none that starts
threads (polars does), which do not survive a fork."""

_INHERITED = ("PATH", "HOME", "USER", "LANG", "LANGUAGE", "TMPDIR", "TZ", "VIRTUAL_ENV")
_READ_AT_IMPORT = (
    *("LC_", "LD_", "PYTHON", "OMP_", "GOMP_", "MKL_", "TORCH", "PYTORCH", "ATEN_", "TRANSFORMERS_", "HF_", "TRL_"),
    *("PEFT_", "ACCELERATE_", "DATASETS_", "CUDA_", "XDG_"),
)
_READ_LATER = ("OMP_NUM_THREADS", "HF_TOKEN")
"""Variables that take effect in the job: through `set_num_threads`, and in requests to the hub."""

_FORKABLE = {
    "OPENBLAS_NUM_THREADS": "1",  # otherwise it starts threads at import
    "JE_ARROW_MALLOC_CONF": "background_thread:false",  # otherwise pyarrow's allocator starts one
    "PYTORCH_NVML_BASED_CUDA_CHECK": "1",  # lets torch detect a GPU without initializing CUDA
}
_OTHER_GPUS = ("/dev/kfd", "/dev/dxg")
_BIND_TIMEOUT_S = 5.0


def is_possible() -> bool:
    """Return whether this machine supports a fork server: Linux, without a GPU or with an NVIDIA GPU."""
    linux = sys.platform == "linux" and hasattr(os, "pidfd_open")
    return linux and not any(Path(gpu).exists() for gpu in _OTHER_GPUS)


def server_environment(offline: bool) -> dict[str, str]:
    """Return the environment of a server, which contains no API keys."""
    variables = {**environment(offline), **os.environ}
    return {
        name: value
        for name, value in sorted(variables.items())
        if (name in _INHERITED or name.startswith(_READ_AT_IMPORT)) and name not in _READ_LATER
    } | _FORKABLE


def address(offline: bool, root: Path) -> Path:
    """Return the path of the socket of the server that is compatible with this process.

    Args:
        offline: whether its jobs work without the hub, which is determined when libraries are imported.
        root: working folder of the jobs, from which `sedi_dagster` is imported.

    Raises:
        SediError: the folder for sockets is not private.
    """
    packages = sysconfig.get_path("purelib")
    limits = [
        resource.getrlimit(getattr(resource, name)) for name in sorted(dir(resource)) if name.startswith("RLIMIT")
    ]
    mask = os.umask(0)
    os.umask(mask)
    properties = [
        (sys.executable, sys.version, packages, Path(packages).stat().st_mtime_ns, str(root), PRELOADED),
        (limits, mask, os.getpriority(os.PRIO_PROCESS, 0), sorted(os.sched_getaffinity(0))),
        Path("/proc/self/cgroup").read_text(),
        server_environment(offline),
    ]
    return _private_folder() / f"{hashlib.sha256(repr(properties).encode()).hexdigest()[:16]}.sock"


def connect(socket_path: Path, offline: bool, root: Path) -> socket.socket:
    """Connect to the server, which may still be importing; start it if it is not running.

    Raises:
        OSError: it could not be started, or refused to run because a fork would lose threads or the GPU.
    """
    end = time.monotonic() + _BIND_TIMEOUT_S
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
    """Start a server in its own session. If several are started at once, only one keeps running."""
    command = [sys.executable, "-m", "sedi_dagster.workloads.warm_worker.server", str(socket_path), *preloaded]
    with socket_path.with_suffix(".log").open("ab") as log:
        return subprocess.Popen(
            command, cwd=root, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )


@contextmanager
def warm_worker_ready(offline: bool, root: Path) -> Iterator[None]:
    """Keep a server running within the context, so that it imports meanwhile; unless used by others, it then ends."""
    with ExitStack() as stack:
        with suppress(OSError, SediError):  # without a server, jobs run in their own interpreters
            stack.enter_context(connect(address(offline, root), offline, root))
        yield


def _private_folder() -> Path:
    """A folder that only this user can access, because anyone who can connect can run code as this user."""
    folder = Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()) / f"sedi-workers-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    stat = folder.lstat()
    if stat.st_uid != os.getuid() or stat.st_mode & 0o077 or not folder.is_dir() or folder.is_symlink():
        raise SediError(f"{folder} belongs to another user, or is accessible to others.", "Remove it.")
    return folder
