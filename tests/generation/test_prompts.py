"""The prompt files: versions, and that their few-shot examples give no evaluation item away."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import pytest
import yaml

from sedi_dagster.categories import load_categories
from sedi_dagster.evaluation.items import load_evaluation_items
from sedi_dagster.filtering.decontamination import Decontaminator
from sedi_dagster.generation import prompts
from sedi_dagster.generation.prompts import render, version
from sedi_dagster.settings import PROJECT_ROOT, Settings

FOLDER = files(prompts)
FEW_SHOT = sorted(entry.name for entry in FOLDER.iterdir() if entry.name.endswith(".yaml"))


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from texts(inner)


def test_a_version_changes_with_the_file_or_its_examples(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    (tmp_path / "greet.chat.j2").write_text("{{ few_shot | length }} {{ who }}")
    (tmp_path / "greet.yaml").write_text("[one]")
    monkeypatch.setattr(prompts, "files", lambda package: tmp_path)
    seen = []
    for template, examples in (("{{ who }}", "[one]"), ("{{ who }}!", "[one]"), ("{{ who }}!", "[one, two]")):
        (tmp_path / "greet.chat.j2").write_text(template)
        (tmp_path / "greet.yaml").write_text(examples)
        prompts._prompt.cache_clear()
        seen.append(version("greet.chat"))
        assert render("greet.chat", who="Ada").startswith("Ada")
    prompts._prompt.cache_clear()
    assert len(set(seen)) == 3 and all(v.startswith("greet.chat@") for v in seen)


@pytest.mark.parametrize("name", FEW_SHOT)
def test_no_few_shot_example_is_near_an_evaluation_item(name: str) -> None:
    categories = load_categories(PROJECT_ROOT / "seeds" / "categories.yaml")
    items = load_evaluation_items(PROJECT_ROOT / "seeds" / "evaluation_items.jsonl", categories)
    rules = Settings(_env_file=None).filtering
    known = Decontaminator(
        ((item.id, item.prompt) for item in items), rules.decontamination_threshold, rules.decontamination_ngram
    )
    examples = yaml.safe_load(FOLDER.joinpath(name).read_text(encoding="utf-8"))
    assert [text for text in texts(examples) if known.contamination(text)] == []


@pytest.mark.parametrize("name", ["instructions", "bare_instructions", "examples"])
@pytest.mark.parametrize("form", ["chat", "completion"])
def test_what_the_category_says_of_a_good_task_stands_in_the_prompt(name: str, form: str) -> None:
    for category in load_categories(PROJECT_ROOT / "seeds" / "categories.yaml").values():
        prompt = render(f"{name}.{form}", category=category, aim="", demonstrations=[], wanted=3, short=False)
        assert category.definition in prompt and category.hint in prompt


def test_classification_examples_are_12_and_19() -> None:
    examples = yaml.safe_load(FOLDER.joinpath("classify.yaml").read_text(encoding="utf-8"))
    lines = [example["is_classification"] for example in examples]
    assert (lines.count(True), lines.count(False)) == (12, 19)
