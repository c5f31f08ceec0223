"""The code sandbox: runs untrusted Python code against tests, in processes that can only compute.

Belongs here: starting the processes, the time limit, the output cap, the verdict. What happens inside is in `jail/`;
`docs/sandbox.md` describes what it does and does not protect against.
"""

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MEMORY_BYTES = 512 * 1024 * 1024
MAX_OUTPUT_BYTES = 1_000_000
MAX_CODE_CHARS = 100_000
_TAIL_CHARS = 2_000
_TAIL_BYTES = 4 * _TAIL_CHARS
_GRACE_S = 5.0  # the test runner ends a trial by itself when the time is over; later than this it is killed
_FIX = "code is judged on Linux (x86_64 or aarch64, with seccomp filters) alone: run there, or in a container on it"
_START = (
    "import sys; folder = sys.argv.pop(); sys.path.append(folder); "
    "from jail.runner import main; import json; sys.path.remove(folder); "
    "main(int(sys.argv[1]), json.loads(sys.argv[2]))"
)


class SandboxUnavailable(RuntimeError):
    """This machine cannot hold untrusted code, so none was run."""


@dataclass(frozen=True)
class TestOutcome:
    """How one test ended; `detail` says what was wrong."""

    __test__ = False  # pytest takes the name for a test class

    passed: bool
    reason: str = "passed"
    detail: str = ""


@dataclass(frozen=True)
class SandboxResult:
    """The verdict on a piece of code.

    Attributes: outcomes: one for each test, in order. reason: "passed", or why the first test that failed
    did: "failed", "syntax error", "timeout", "memory", "ended" (the process did), "output" (too much of
    it), or "unavailable" (nothing was run). detail: one sentence on the reason; for "unavailable" what is
    missing and how to fix it. output_tail: the end of what the code printed, standard error included.
    layers: the protective layers that were in force.
    """

    outcomes: tuple[TestOutcome, ...]
    reason: str
    detail: str = ""
    output_tail: str = ""
    layers: tuple[str, ...] = ()

    @property
    def passed(self) -> int:
        """How many tests passed."""
        return sum(outcome.passed for outcome in self.outcomes)


def run_tests(
    code: str, function: str, tests: Sequence[str], timeout_s: float = 5.0, missing: Collection[str] = ()
) -> SandboxResult:
    """Runs `code`, which should define `function` (or a class of that name), and then each test.

    A test is Python source that names the function and asserts something. It is run outside the process of
    the code, with the code's objects behind a proxy. No code runs where the protective layers cannot be put
    in force.

    Args:
        code: untrusted Python source.
        function: what the code must define.
        tests: trusted Python source, each run by itself.
        timeout_s: wall-clock limit for the code and all tests together.
        missing: protective layers to do without, as on an older kernel: for tests of the fall-backs.
    """
    if not sys.platform.startswith("linux") or not sys.executable:
        return _verdict(len(tests), [{"unavailable": f"this is {sys.platform}"}], _Output())
    if len(code) > MAX_CODE_CHARS:
        detail = f"the code is over {MAX_CODE_CHARS} characters"
        return _verdict(len(tests), [{"loaded": False, "reason": "failed", "detail": detail}], _Output())
    deadline = time.monotonic() + timeout_s + _GRACE_S
    options = {"timeout_s": timeout_s, "memory_bytes": MEMORY_BYTES, "missing": sorted(missing)}
    with tempfile.TemporaryFile() as job, tempfile.TemporaryDirectory(prefix="sandbox-") as folder:
        job.write(json.dumps({"code": code, "function": function, "tests": list(tests)}).encode("ascii"))
        job.seek(0)
        events, output = _trial(options, job.fileno(), folder, deadline)
    return _verdict(len(tests), events, output)


@dataclass
class _Output:
    """What the code printed: the end of it, and how much it was."""

    tail: bytes = b""
    size: int = 0

    def add(self, piece: bytes) -> None:
        self.size += len(piece)
        self.tail = (self.tail + piece)[-_TAIL_BYTES:]

    @property
    def too_much(self) -> bool:
        return self.size > MAX_OUTPUT_BYTES


_Event = dict[str, Any]


def _trial(options: _Event, job_fd: int, folder: str, deadline: float) -> tuple[list[_Event], _Output]:
    """Starts the test runner, reads until it ends or time is over, and leaves nothing behind."""
    result_read, result_write = os.pipe()
    output_read, output_write = os.pipe()
    try:
        with _closing(result_write, output_write):
            child = _start_runner(options, job_fd, folder, result_write, output_write)
    except OSError as error:
        os.close(result_read)
        os.close(output_read)
        return [{"unavailable": f"Python could not be started: {error}"}], _Output()
    try:
        return _read(result_read, output_read, deadline)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()


@contextlib.contextmanager
def _closing(*descriptors: int) -> Iterator[None]:
    try:
        yield
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def _start_runner(options: _Event, job_fd: int, folder: str, result_fd: int, output_fd: int) -> subprocess.Popen[bytes]:
    here = str(Path(__file__).parent)
    return subprocess.Popen(
        [sys.executable, "-I", "-S", "-X", "utf8", "-c", _START, str(result_fd), json.dumps(options), here],
        stdin=job_fd,
        stdout=output_fd,
        stderr=output_fd,
        cwd=folder,
        env={},
        pass_fds=(result_fd,),
        start_new_session=True,
    )


def _read(result_fd: int, output_fd: int, deadline: float) -> tuple[list[_Event], _Output]:
    """The test runner's events and the output. Output beyond the cap is not read: its writer gets an error."""
    events, output = bytearray(), _Output()
    with selectors.DefaultSelector() as selector, _closing(result_fd), contextlib.ExitStack() as output_end:
        output_end.enter_context(_closing(output_fd))
        selector.register(result_fd, selectors.EVENT_READ)
        selector.register(output_fd, selectors.EVENT_READ)
        while result_fd in selector.get_map() and (left := deadline - time.monotonic()) > 0:
            for key, _ in selector.select(left):
                piece = os.read(key.fd, 1 << 16)
                if key.fd == result_fd:
                    events += piece
                else:
                    output.add(piece)
                if not piece:
                    selector.unregister(key.fd)
                elif output.too_much and output_fd in selector.get_map():
                    selector.unregister(output_fd)
                    output_end.close()
        late = result_fd in selector.get_map()
    complete = bytes(events).split(b"\n")[:-1]
    return [*(json.loads(line) for line in complete), {"late": late}], output


def _verdict(count: int, events: list[_Event], output: _Output) -> SandboxResult:
    """The result of a trial from what the test runner has reported."""
    by_kind = {kind: event[kind] for event in events for kind in ("unavailable", "layers") if kind in event}
    tail = output.tail.decode("utf-8", "replace")[-_TAIL_CHARS:]
    layers = tuple(by_kind.get("layers", ()))
    if not layers and not any("loaded" in event for event in events):
        missing = by_kind.get("unavailable") or f"the test runner did not start: {tail.strip()[-300:]}"
        return SandboxResult((), "unavailable", f"{missing}; {_FIX}", tail, layers)
    late = any(event.get("late") for event in events)
    ended = TestOutcome(False, *(("timeout", "the time is over") if late else ("ended", "the test runner has ended")))
    refused = next((_outcome(event) for event in events if "loaded" in event), ended)
    found = {event["test"]: _outcome(event) for event in events if "test" in event}
    outcomes = tuple(found.get(number, refused) for number in range(count))
    worst = next((outcome for outcome in outcomes if not outcome.passed), TestOutcome(True))
    reason = "output" if output.too_much and not worst.passed else worst.reason
    return SandboxResult(outcomes, reason, worst.detail, tail, layers)


def _outcome(event: _Event) -> TestOutcome:
    """A reported event as an outcome; its detail may quote the code, so it is made fit for UTF-8."""
    detail = event.get("detail", "").encode("utf-8", "replace").decode("utf-8")
    return TestOutcome("reason" not in event, event.get("reason", "passed"), detail)
