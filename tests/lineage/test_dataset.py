"""The exported dataset loads with the tools it is made for, keeps its splits, and says what it is."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
import yaml
from click.testing import CliRunner, Result
from hub import TOKEN, Hub
from upath import UPath

from sedi_dagster.cli import main
from sedi_dagster.errors import SediError
from sedi_dagster.lineage.dataset import Selection, export_dataset, finished_examples, select
from sedi_dagster.lineage.dataset.forms import FORMS
from sedi_dagster.lineage.dataset.selection import SHARES, in_splits, parse_shares, split_of
from sedi_dagster.settings import load_settings
from sedi_dagster.storage.store import Store


@pytest.fixture(scope="module")
def exported(finished: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported")
    export_dataset(finished, load_settings(), many(finished), Store(str(folder)))
    return folder


def many(store: Store) -> pl.DataFrame:
    """The examples of the loop, and so many made of them that every split has some."""
    examples = finished_examples(store)
    copies = [
        examples.with_columns(
            pl.concat_str("instruction", pl.lit(f" Variant {n}.")), pl.concat_str("example_id", pl.lit(f"-{n}"))
        )
        for n in range(12)
    ]
    return pl.concat([examples, *copies])


def front_matter(folder: Path) -> dict[str, object]:
    header = (folder / "README.md").read_text().split("---\n")[1]
    text: dict[str, object] = yaml.safe_load(header)
    return text


def test_every_form_and_split_loads_with_datasets_as_its_card_says(exported: Path, finished: Store) -> None:
    os.environ["HF_HUB_OFFLINE"] = "1"
    from datasets import load_dataset

    rows = many(finished)
    for form in FORMS:
        loaded = load_dataset(str(exported), form, cache_dir=str(exported.parent / "hf"))
        assert {name: split.num_rows for name, split in loaded.items()} == {
            name: part.height for name, part in in_splits(rows).items()
        }
        assert set(loaded) == set(SHARES)
        assert {"example_id", "round", "category"} < set(loaded["train"].column_names)
    by_default = load_dataset(str(exported), cache_dir=str(exported.parent / "hf"))
    first = by_default["train"][0]["messages"]
    assert [message["role"] for message in first] == ["user", "assistant"] and first[1]["content"]


def test_json_lines_and_parquet_say_the_same(exported: Path) -> None:
    for form in FORMS:
        lines = [json.loads(line) for line in (exported / form / "train.jsonl").read_text().splitlines()]
        assert pl.read_parquet(exported / form / "train.parquet").to_dicts() == lines


def test_trl_reads_prompt_completion_and_messages(exported: Path) -> None:
    from datasets import Dataset
    from trl.data_utils import is_conversational

    for form in ("messages", "prompt_completion"):
        row = Dataset.from_parquet(str(exported / form / "train.parquet"), cache_dir=str(exported.parent / "hf"))[0]
        assert is_conversational(row)


def test_llama_factory_finds_each_form_that_it_reads_by_its_name(exported: Path) -> None:
    reply = json.loads((exported / "dataset_info.json").read_text())
    assert set(reply) == {f"{form}{end}" for form in ("alpaca", "sharegpt") for end in ("", "_validation", "_test")}
    for name, described in reply.items():
        assert described["formatting"] == name.split("_")[0]
        columns = pl.read_parquet(exported / described["file_name"]).columns
        wanted = {"alpaca": {"instruction", "input", "output"}, "sharegpt": {"conversations"}}
        assert wanted[described["formatting"]] < set(columns), "its default column names"


def test_the_card_is_read_by_the_tools_of_the_hub_and_says_how_the_data_was_made(exported: Path) -> None:
    from huggingface_hub import DatasetCard

    card = DatasetCard.load(exported / "README.md")
    assert card.data.license and card.data.language == ["en"] and card.data.size_categories == ["n<1K"]
    assert [config["config_name"] for config in card.data.configs] == list(FORMS)
    for text in ("near_duplicate", "instructions@1", "ROUGE-L 0.85", "sedi trace", "teacher tokens", "Limitations"):
        assert text in card.text
    assert str(exported) not in card.content and "/tmp" not in card.content


def test_the_checksums_are_those_of_all_files(exported: Path) -> None:
    text = dict(reversed(line.split("  ")) for line in (exported / "SHA256SUMS").read_text().splitlines())
    files = [f for f in exported.rglob("*") if f.is_file() and f.name != "SHA256SUMS"]
    there = {f.relative_to(exported).as_posix(): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}
    assert text == there


def test_an_example_stays_in_its_split_as_the_set_grows(finished: Store) -> None:
    rows = many(finished)
    few, all_of_them = in_splits(rows.head(40)), in_splits(rows)
    for name, part in few.items():
        assert set(part["example_id"]) <= set(all_of_them[name]["example_id"])
    assert split_of("Count the  PENS.") == split_of("count the pens.")
    shares = [split_of(f"Task {n}.") for n in range(4000)]
    for name, share in SHARES.items():
        assert abs(shares.count(name) / 4000 - share) < 0.02


def test_examples_of_an_instruction_that_seed_tasks_share_are_split_by_their_input(
    finished: Store, tmp_path: Path
) -> None:
    """By the instruction, a project with one task would have all its examples in one split, perhaps that for tests."""
    shutil.copytree(finished.root.path, tmp_path / "data")
    store, asked = Store(str(tmp_path / "data")), "Which team should answer the message?"
    seeds = store.read_tables("seed_pool")
    given = pl.Series([f"Message {n}." for n in range(seeds["seeds"].height)])
    seeds["seeds"] = seeds["seeds"].with_columns(instruction=pl.lit(asked), input=given)
    store.write_tables(seeds, "seed_pool")
    rows = many(store).with_columns(instruction=pl.lit(asked), input=pl.format("Letter {}.", "example_id"))
    export_dataset(store, load_settings(), rows, Store(str(tmp_path / "out")))
    heights = {name: pl.read_parquet(tmp_path / "out" / "alpaca" / f"{name}.parquet").height for name in SHARES}
    assert sum(heights.values()) == rows.height and heights["train"] > rows.height * 0.8


@pytest.mark.parametrize("text", ["train", "train=1.5", "train=0.5,test=0.4", "a b=1", ""])
def test_shares_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(SediError, match=r"splits|sum to 1"):
        parse_shares(text)


def test_examples_are_selected_by_round_category_and_what_was_measured(finished: Store) -> None:
    examples = finished_examples(finished)
    chosen = select(examples, Selection(rounds=["1"], categories=["math"]))
    assert set(chosen["round"]) == {"round-0001"} and set(chosen["category"]) == {"math"}
    assert select(examples, Selection(where="loss_before > 1.9 AND loss_after < 1.6")).height == examples.height
    for bad, text in (
        (Selection(rounds=["9"]), "No example has the round"), (Selection(categories=["poetry"]), "the category"),
        (Selection(where="ifd <"), "is not valid"), (Selection(where="nonsense > 1"), "is not valid"),
        (Selection(where="loss_before > 99"), "The selection matches no example"),
    ):  # fmt: skip
        with pytest.raises(SediError, match=text):
            select(examples, bad)


def test_a_round_of_an_earlier_version_that_measured_no_examples_is_exported(finished: Store, tmp_path: Path) -> None:
    shutil.copytree(finished.root.path, tmp_path, dirs_exist_ok=True)
    store, place = Store(str(tmp_path)), ("sft_checkpoint", "round-0001")
    tables = store.read_tables(*place)
    store.write_tables({name: table for name, table in tables.items() if name != "examples"}, *place)
    examples = finished_examples(store)
    assert examples.drop("loss_before", "loss_after", "ifd").equals(
        finished_examples(finished).drop("loss_before", "loss_after", "ifd")
    )
    assert set(examples.filter(pl.col("loss_before").is_null())["round"]) == {"round-0001"}


def test_a_split_that_has_gone_leaves_no_file_behind(finished: Store, tmp_path: Path) -> None:
    export_dataset(finished, load_settings(), many(finished), Store(str(tmp_path)))
    assert (tmp_path / "messages" / "test.parquet").exists()
    one = many(finished).filter(pl.col("instruction").map_elements(split_of, pl.String) == "train").head(1)
    export_dataset(finished, load_settings(), one, Store(str(tmp_path)))
    assert [file.name for file in sorted((tmp_path / "messages").iterdir())] == ["train.jsonl", "train.parquet"]


def test_nothing_finished_is_told(tmp_path: Path) -> None:
    with pytest.raises(SediError, match="No round is finished"):
        finished_examples(Store(str(tmp_path)))


def sedi_export(store: Store, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Result:
    monkeypatch.setenv("SEDI_DATA", str(store.root.path))
    return CliRunner().invoke(main, ["export", *arguments])


def test_the_command_writes_to_a_folder_or_a_url(
    finished: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = sedi_export(finished, monkeypatch, "--to", str(tmp_path / "out"), "--form", "alpaca", "--splits", "train=1")
    assert done.exit_code == 0, done.output
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "README.md",
        "SHA256SUMS",
        "alpaca",
        "dataset_info.json",
    ]
    assert sedi_export(finished, monkeypatch, "--to", "memory://exported").exit_code == 0
    assert UPath("memory://exported/messages/train.jsonl").exists()
    assert sedi_export(finished, monkeypatch).exit_code == 2
    assert "cannot be written" in sedi_export(finished, monkeypatch, "--to", "/proc/none").output


def test_one_flag_pushes_to_a_hub(finished: Store, tmp_path: Path) -> None:
    with Hub() as hub:
        environment = os.environ | {
            "HF_ENDPOINT": hub.url, "HF_TOKEN": TOKEN, "SEDI_DATA": str(finished.root.path), "HF_HUB_OFFLINE": "0",
            "HF_HOME": str(tmp_path), "HF_HUB_DISABLE_TELEMETRY": "1",
        }  # fmt: skip
        command = [sys.executable, "-m", "sedi_dagster.cli", "export", "--push", "me/made"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert hub.made[0]["type"] == "dataset" and hub.made[0]["visibility"] == "private"
        assert hub.files["README.md"].startswith(b"---\n") and b"example_id" in hub.files["messages/train.jsonl"]
        refused = subprocess.run(
            command, env=environment | {"HF_TOKEN": "wrong"}, capture_output=True, text=True, check=False
        )
        assert refused.returncode == 2 and "could not be pushed" in refused.stderr and "wrong" not in refused.stderr
