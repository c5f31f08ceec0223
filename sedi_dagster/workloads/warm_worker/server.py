"""The fork server: imports the modules that workloads need, then forks for each job it receives.

    python -m sedi_dagster.workloads.warm_worker.server SOCKET MODULE...

The server has a single thread and runs no model, because in a fork of a process with threads, a lock may be held
forever. It ends after `IDLE_S` without use, or when the last connection closes and was one without a job
(`address.warm_worker_ready`).

If a client ends, its job is killed; if the server ends, the kernel kills its jobs.
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
    """Accepts connections, forks, forwards signals, and reports how jobs end."""

    def __init__(self, listener: socket.socket) -> None:
        self._selector = selectors.DefaultSelector()
        self._listener = listener
        self._connections: set[_Connection] = set()
        self._ended = False
        self._selector.register(listener, selectors.EVENT_READ, self._accept)

    def serve(self) -> Job | None:
        """Serve until the server should end. Return the job in each forked process, None in the server itself."""
        while not self._ended:
            ready = self._selector.select(None if self._connections else IDLE_S)
            if not ready:
                return None
            for key, _ in ready:
                if self._selector.get_map().get(key.fd) is key:  # the previous event may have closed it
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
        """Fork for a job; return it in the new process, None in the server."""
        job, descriptors = receive_job(connection.socket)
        connection.pid = os.fork()
        if connection.pid == 0:
            try:
                self._release()
                _prepare(job, descriptors)
                return job
            except BaseException:  # noqa: BLE001 - the fork must not continue as a second server
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
        with suppress(OSError):  # the client may have ended
            connection.socket.sendall((f"{EXITED} {code}\n" if code >= 0 else f"{KILLED} {-code}\n").encode())
        self._selector.unregister(connection.pidfd)
        os.close(connection.pidfd)
        connection.pidfd = -1
        self._close(connection)

    def _close(self, connection: _Connection) -> None:
        if connection.pidfd >= 0:  # the client ended first: kill its job and the processes that it started
            with suppress(ProcessLookupError):
                os.killpg(connection.pid, signal.SIGKILL)
            self._selector.unregister(connection.pidfd)
            os.close(connection.pidfd)
            os.waitpid(connection.pid, 0)
        self._selector.unregister(connection.socket)
        connection.socket.close()
        self._connections.discard(connection)
        self._ended = not connection.pid and not self._connections

    def _release(self) -> None:
        """In a forked process, close everything that belongs to the server."""
        self._selector.close()
        self._listener.close()
        for connection in self._connections:
            connection.socket.close()
            if connection.pidfd >= 0:
                os.close(connection.pidfd)


def _prepare(job: Job, descriptors: Sequence[int]) -> None:
    """Make a forked process equivalent to a new interpreter for the job."""
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
    if threads.isdigit() and "torch" in sys.modules:  # libgomp has already read the variable
        sys.modules["torch"].set_num_threads(int(threads))


def preload(modules: Sequence[str]) -> None:
    """Import the modules that are installed; a job that needs another one will report it."""
    for module in modules:
        with suppress(ImportError):
            importlib.import_module(module)
    gc.collect()
    gc.freeze()  # otherwise, garbage collection in a fork would write to all objects and thereby copy them


def threads() -> list[str]:
    """Return the names of the threads of this process."""
    return [(task / "comm").read_text().strip() for task in Path("/proc/self/task").iterdir()]


def cuda_is_initialized() -> bool:
    """Return whether a library has initialized the CUDA driver in this process; its forks can then use no GPU."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    # On any error (not initialized, no device, a stub of the library), there is nothing that a fork could lose.
    return bool(driver.cuDeviceGetCount(ctypes.byref(ctypes.c_int())) == _CUDA_SUCCESS)


def main(path: Path, modules: Sequence[str]) -> Job | None:
    """Serve on a socket; return as `Server.serve` does, or None if another server runs or this one refuses to."""
    lock = path.with_suffix(".lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return None  # another server has just been started
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen(16)  # clients wait while the libraries are imported
    preload(modules)
    problems = [f"the threads {', '.join(threads())}"] if len(threads()) > 1 else []
    problems += ["the GPU"] if cuda_is_initialized() else []
    if problems:
        path.with_suffix(".declined").write_text(f"A fork would lose {' and '.join(problems)}.\n")
        path.unlink()
        return None
    server = os.getpid()
    job = Server(listener).serve()
    if os.getpid() == server:
        path.unlink(missing_ok=True)
    else:
        lock.close()
    return job


if __name__ == "__main__":
    received = main(Path(sys.argv[1]), sys.argv[2:])
    if received is not None:
        sys.argv = [received.module, *received.arguments]
        runpy.run_module(received.module, run_name="__main__", alter_sys=True)
