"""The bundled model, served by llama.cpp in a child process on a free loopback port.

The child gets a random API key over its standard input, not in arguments or the environment, where others on the
machine could see it. It ends when its standard input closes or its parent is gone, even after kill -9.
`python -m sedi_dagster.teacher.local_server` is that child.
"""

import asyncio
import json
import os
import secrets
import select
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO, Any, Self

from joblib import cpu_count

from sedi_dagster.errors import ModelError, TeacherError
from sedi_dagster.models import BUNDLED_TEACHER, bundled_gguf, file_digest
from sedi_dagster.teacher.endpoint import Endpoint

START_TIMEOUT_S = 60.0
_START_ATTEMPTS = 3
_LOG_TAIL_BYTES = 2000
_KEPT_LOGS = 10
_PARENT_CHECK_S = 1.0
_PROMPT_CACHE_MIB = 64


class LocalServer:
    """The server as a context manager. While it runs, it has a `base_url`."""

    def __init__(self, log_folder: Path, *, slots: int = 8, context: int = 2048, threads: int = 0) -> None:
        self.api_key = secrets.token_urlsafe(32)
        self.base_url = ""
        self.log = log_folder / f"teacher-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.log"
        self._slots = slots
        self._context = context
        self._threads = threads or cpu_count()
        self._child: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *details: object) -> None:
        self.stop()

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child is not None else None

    def is_running(self) -> bool:
        return self._child is not None and self._child.poll() is None

    def start(self) -> None:
        """Start the server unless it is running.

        Raises:
            ModelError: the model is not installed.
            TeacherError: the server does not start.
        """
        if self.is_running():
            return
        model = bundled_gguf()
        self.log.parent.mkdir(parents=True, exist_ok=True)
        for old in sorted(self.log.parent.glob("teacher-*.log"))[:-_KEPT_LOGS]:
            old.unlink(missing_ok=True)
        for _ in range(_START_ATTEMPTS):
            self.stop()
            address = self._start_child(model)
            if address:
                self.base_url = f"{address}/v1"
                return
        raise TeacherError(f"The bundled model's server does not start. {_tail(self.log)}", f"See {self.log}.")

    def stop(self) -> None:
        """End the child process, if there is one."""
        child, self._child = self._child, None
        if child is None:
            return
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                pipe.close()
        try:
            child.wait(timeout=3)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()

    def _start_child(self, model: Path) -> str:
        """Start the child and return the address at which it listens; empty if it ended instead."""
        with self.log.open("ab") as log:
            child = subprocess.Popen(
                [sys.executable, "-m", "sedi_dagster.teacher.local_server"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        self._child = child
        config = {
            "api_key": self.api_key,
            "model": str(model),
            "slots": self._slots,
            "context": self._context,
            "threads": self._threads,
            "parent": os.getpid(),
        }
        assert child.stdin is not None and child.stdout is not None
        try:
            child.stdin.write(json.dumps(config).encode() + b"\n")
            child.stdin.flush()
        except BrokenPipeError:
            return ""
        return _read_line(child.stdout, START_TIMEOUT_S)


class BundledEndpoint(Endpoint):
    """The bundled model as an endpoint, with the same identity in every run, whatever the port."""

    def __init__(self, log_folder: Path, *, slots: int, context: int, threads: int) -> None:
        self.server = LocalServer(log_folder, slots=slots, context=context, threads=threads)
        self.identity = f"bundled:{BUNDLED_TEACHER}@{file_digest(bundled_gguf())}"
        self.shown = "The bundled model's server"
        self.api_key = self.server.api_key
        self.secrets = [self.api_key]
        self._lock = asyncio.Lock()

    async def start(self) -> None:
        await asyncio.to_thread(self.server.start)
        self.base_url = self.server.base_url

    async def stop(self) -> None:
        await asyncio.to_thread(self.server.stop)

    async def revive(self) -> None:
        """Restart the server if it crashed; calls are retried at its new address."""
        async with self._lock:
            if not self.server.is_running():
                await self.start()


def _read_line(pipe: IO[bytes], timeout_s: float) -> str:
    """Return the line that arrives within the time; empty if none does, or the pipe closes."""
    ready, _, _ = select.select([pipe], [], [], timeout_s)
    return pipe.readline().decode().strip() if ready else ""


def _tail(log: Path) -> str:
    text = log.read_bytes()[-_LOG_TAIL_BYTES:].decode("utf-8", "replace") if log.exists() else ""
    return " | ".join(text.splitlines()[-3:])


def _serve(config: dict[str, Any], output: IO[str]) -> Any:
    """Start llama.cpp's server in this process and print its address."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = config["model"]
    params.model_alias = {BUNDLED_TEACHER}
    params.n_parallel = config["slots"]
    params.n_ctx = config["slots"] * config["context"]
    params.cpuparams.n_threads = config["threads"]
    params.cpuparams_batch.n_threads = config["threads"]
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [config["api_key"]]
    params.cache_ram_mib = _PROMPT_CACHE_MIB
    params.ui = False
    server = xllamacpp.Server(params)
    print(server.listening_address, file=output, flush=True)
    return server


def _watch_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_PARENT_CHECK_S)
    os._exit(0)


def main() -> None:
    """Run the child: read the configuration, serve, and end with the parent."""
    output = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what llama.cpp prints goes to the log
    config = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_watch_parent, args=(config["parent"],), daemon=True).start()
    try:
        server = _serve(config, output)
    except ImportError as error:
        raise ModelError(
            f"The bundled model's server is not installed: {error}.", "Run `make clean install`."
        ) from None
    sys.stdin.buffer.read()
    del server
    os._exit(0)


if __name__ == "__main__":
    main()
