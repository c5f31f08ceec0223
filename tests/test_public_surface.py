"""What others rely on changes on purpose, and in one diff."""

from __future__ import annotations

from pathlib import Path

from public_surface import surface

KNOWN = Path(__file__).with_name("public_surface.txt")


def test_the_public_surface_is_as_recorded() -> None:
    now = surface()
    assert now == KNOWN.read_text(encoding="utf-8"), (
        "meant? `python tests/public_surface.py > tests/public_surface.txt`"
    )
