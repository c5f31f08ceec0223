"""A new user's visit, in a real browser. Minutes long."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

pytest.importorskip("playwright")

from walk import BROWSERS, started, walk

pytestmark = pytest.mark.slow


@pytest.mark.skipif(not any(map(shutil.which, BROWSERS)), reason="no browser: apt install chromium")
def test_what_a_new_user_does_in_the_ui(tmp_path: Path) -> None:
    with started(tmp_path) as url:
        walk(url, shots=None, patience=1800)
