"""The embedding model leaves the process as it was: the student may have to come from a hub afterwards."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

from sedi_dagster.settings import PROJECT_ROOT

CODE = """
import os
from sedi_dagster.batching.embedding import BUNDLED, embed
before = dict(os.environ)
assert embed(["A lamp."], BUNDLED).shape == (1, 384)
print(sorted(name for name in os.environ if name.startswith("HF_") and os.environ.get(name) != before.get(name)))
"""


@pytest.mark.slow
def test_loading_the_bundled_model_changes_no_variable_and_asks_no_hub() -> None:
    with socket.create_server(("127.0.0.1", 0)) as hub:
        env = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
        env["HF_ENDPOINT"] = f"http://127.0.0.1:{hub.getsockname()[1]}"
        done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, env=env, cwd=PROJECT_ROOT)
        assert done.returncode == 0, done.stderr[-2000:]
        assert done.stdout.strip() == "[]"
        hub.settimeout(0)
        with pytest.raises(BlockingIOError):
            hub.accept()
