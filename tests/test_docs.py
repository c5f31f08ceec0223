"""The pages can be followed: links lead somewhere, tables are whole, settings and commands that they name exist."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from sedi_dagster.cli import main
from sedi_dagster.settings import loading

ROOT = Path(__file__).resolve().parent.parent
PAGES = [
    *ROOT.glob("*.md"),
    *(ROOT / "docs").rglob("*.md"),
    ROOT / "seeds" / "README.md",
    ROOT / "benchmarks" / "teachers" / "README.md",
]
FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
OF_KUBERNETES = {"SEDI_USER_CODE_SERVICE_HOST"}


def heading_anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", FENCED.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    text = FENCED.sub("", page.read_text(encoding="utf-8"))
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if link.startswith("http"):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), link
        assert not anchor or anchor in heading_anchors(target), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_setting_that_a_page_names_exists(page: Path) -> None:
    known = loading.known_variables() | OF_KUBERNETES
    for name in re.findall(r"SEDI_[A-Z0-9_]+", page.read_text(encoding="utf-8")):
        # `SEDI_LOOP_*_CRON` and `SEDI_FILTERING_...` stand for several.
        assert name in known or (name.endswith("_") and any(one.startswith(name) for one in known)), name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_table_has_a_header_and_rows_of_one_width(page: Path) -> None:
    text = FENCED.sub("", page.read_text(encoding="utf-8"))
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        rows = table.splitlines()
        assert len(rows) > 2 and re.fullmatch(r"\|(?: *:?-+:? *\|)+", rows[1]), rows[0]
        widths = {len(re.findall(r"(?<!\\)\|", re.sub(r"`[^`]*`", "", row))) for row in rows}
        assert len(widths) == 1, rows[0]
    assert not re.search(r"^\|.*\n(?!\||<!--)\S", text, re.MULTILINE), "no empty line after a table"


def commands(text: str) -> Iterator[str]:
    """`sedi ...` in code: fenced lines that begin with it, and spans."""
    for block in FENCED.findall(text):
        yield from re.findall(r"^sedi [^#\n]*", block, re.MULTILINE)
    for span in re.findall(r"`(sedi\s[^`]*)`", FENCED.sub("", text)):
        yield " ".join(span.split())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_that_a_page_shows_exists_with_its_options(page: Path) -> None:
    for shown in commands(page.read_text(encoding="utf-8")):
        command: click.Command | None = main
        for word in shlex.split(shown)[1:]:
            if word.startswith("--"):
                assert command is not None and any(word in option.opts for option in command.params), shown
            elif isinstance(command, click.Group):
                command = command.get_command(click.Context(command), word.strip("."))
                assert command is not None, shown
