"""The fork server: imports what workloads need, then forks for each job it receives.

    python -m sedi_dagster.workloads.warm_worker.server SOCKET MODULE...

Single-threaded, and it runs no model, because a fork of a process with threads may find a lock held forever. It ends
when it has not been used for `IDLE_S`, or when a connection that sent no job (`address.warm_worker_ready`) closes and
was the last.

When a client ends, its job is killed; when the server ends, the kernel kills the jobs.
"""

import ctypes
import fcntl
import gc
import importlib
import os
import runpy
import selectors
import signal
import socket
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from sedi_dagster.workloads.warm_worker.protocol import EXITED, KILLED, STARTED, Job, receive_job

IDLE_S = 300.0
REQUEST_S = 5.0
_PR_SET_PDEATHSIG = 1
_CUDA_SUCCESS = 0


@dataclass(eq=False)
class _Connection:
    socket: socket.socket
    pid: int = 0  # of the job; 0: none was sent
    pidfd: int = -1
    unread: bytes = field(default=b"")


class Server:
    """Accepts connections, forks, passes signals on, and tells how jobs end."""

    def __init__(self, listener: socket.socket) -> None:
        self._selector = selectors.DefaultSelector()
        self._listener = listener
        self._connections: set[_Connection] = set()
        self._ended = False
        self._selector.register(listener, selectors.EVENT_READ, self._accept)

    def serve(self) -> Job | None:
        """The job to run, in each forked process; None in the server, when it is to end."""
        while not self._ended:
            ready = self._selector.select(None if self._connections else IDLE_S)
            if not ready:
                return None
            for key, _ in ready:
                if self._selector.get_map().get(key.fd) is key:  # an event before this one may have closed it
                    job: Job | None = key.data()
                    if job is not None:
                        return job
        return None

    def _accept(self) -> None:
        accepted, _ = self._listener.accept()
        connection = _Connection(accepted)
        accepted.settimeout(REQUEST_S)
        self._connections.add(connection)
        self._selector.register(accepted, selectors.EVENT_READ, lambda: self._read(connection))

    def _read(self, connection: _Connection) -> Job | None:
        try:
            if not connection.pid:
                return self._start(connection)
            received = connection.socket.recv(1024)
        except (OSError, ValueError, TypeError):
            received = b""
        if not received:
            self._close(connection)
            return None
        *lines, connection.unread = (connection.unread + received).split(b"\n")
        for line in lines:
            signal.pidfd_send_signal(connection.pidfd, int(line))
        return None

    def _start(self, connection: _Connection) -> Job | None:
        """Fork for a job. Returns it in the new process, None in this one."""
        job, descriptors = receive_job(connection.socket)
        connection.pid = os.fork()
        if connection.pid == 0:
            try:
                self._leave()
                _become(job, descriptors)
                return job
            except BaseException:  # noqa: BLE001  it must not go on as a second server
                traceback.print_exc()
                os._exit(1)
        for descriptor in descriptors:
            os.close(descriptor)
        connection.pidfd = os.pidfd_open(connection.pid)
        self._selector.register(connection.pidfd, selectors.EVENT_READ, lambda: self._end(connection))
        connection.socket.sendall(f"{STARTED} {connection.pid}\n".encode())
        return None

    def _end(self, connection: _Connection) -> None:
        _, status = os.waitpid(connection.pid, 0)
        code = os.waitstatus_to_exitcode(status)
        with suppress(OSError):  # nobody may be there to hear it
            connection.socket.sendall((f"{EXITED} {code}\n" if code >= 0 else f"{KILLED} {-code}\n").encode())
        self._selector.unregister(connection.pidfd)
        os.close(connection.pidfd)
        connection.pidfd = -1
        self._close(connection)

    def _close(self, connection: _Connection) -> None:
        if connection.pidfd >= 0:  # the client is gone: its job goes the same way, with what it started
            with suppress(ProcessLookupError):
                os.killpg(connection.pid, signal.SIGKILL)
            self._selector.unregister(connection.pidfd)
            os.close(connection.pidfd)
            os.waitpid(connection.pid, 0)
        self._selector.unregister(connection.socket)
        connection.socket.close()
        self._connections.discard(connection)
        self._ended = not connection.pid and not self._connections

    def _leave(self) -> None:
        """In a forked process: let go of all that is the server's."""
        self._selector.close()
        self._listener.close()
        for connection in self._connections:
            connection.socket.close()
            if connection.pidfd >= 0:
                os.close(connection.pidfd)


def _become(job: Job, descriptors: Sequence[int]) -> None:
    """Make a forked process what the job's own interpreter would have been."""
    server = os.getppid()
    os.setpgid(0, 0)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL) or os.getppid() != server:
        os._exit(1)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        default = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
        signal.signal(number, signal.SIG_IGN if number in job.ignored_signals else default)
    for target, descriptor in enumerate(descriptors):
        os.dup2(descriptor, target)
        os.close(descriptor)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    os.environ.clear()
    os.environ.update(job.environment)
    os.chdir(job.cwd)
    sys.path[0] = job.cwd
    threads = job.environment.get("OMP_NUM_THREADS", "").split(",")[0]
    if threads.isdigit() and "torch" in sys.modules:  # libgomp read the variable when it was loaded
        sys.modules["torch"].set_num_threads(int(threads))


def preload(modules: Sequence[str]) -> None:
    """Import what is there: a job that needs what is missing says so itself."""
    for module in modules:
        with suppress(ImportError):
            importlib.import_module(module)
    gc.collect()
    gc.freeze()  # a collection in a fork would else write to, and so copy, all of it


def threads() -> list[str]:
    """Names of the threads of this process."""
    return [(task / "comm").read_text().strip() for task in Path("/proc/self/task").iterdir()]


def cuda_is_initialized() -> bool:
    """Whether a library has initialised NVIDIA's driver in this process; then no fork of it can use a GPU."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    # Any error (not initialised, no device, a stub of the library in an image) leaves nothing that a fork could lose.
    return bool(driver.cuDeviceGetCount(ctypes.byref(ctypes.c_int())) == _CUDA_SUCCESS)


def main(path: Path, modules: Sequence[str]) -> Job | None:
    """Serve on a socket; see `Server.serve`."""
    lock = path.with_suffix(".lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return None  # another one has just been started
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen(16)  # clients wait while the libraries are imported
    preload(modules)
    lost = [f"the threads {', '.join(threads())}"] if len(threads()) > 1 else []
    lost += ["the GPU"] if cuda_is_initialized() else []
    if lost:
        path.with_suffix(".declined").write_text(f"A fork would lose {' and '.join(lost)}.\n")
        path.unlink()
        return None
    server = os.getpid()
    job = Server(listener).serve()
    if os.getpid() == server:
        path.unlink(missing_ok=True)
    else:
        lock.close()
    return job


def _run(job: Job) -> None:
    sys.argv = [job.module, *job.arguments]
    runpy.run_module(job.module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    asked = main(Path(sys.argv[1]), sys.argv[2:])
    if asked is not None:
        _run(asked)
