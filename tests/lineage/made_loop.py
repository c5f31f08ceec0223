"""A finished loop in a folder, small and without a model: every table, file and call that a real one leaves behind.

Round 1 asks for two categories, round 2 for one and shows a machine-made seed; both replay human seed tasks.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from sedi_dagster.batching.composition import training_rows
from sedi_dagster.batching.example_table import replace_round
from sedi_dagster.evaluation.results import ITEM_SCHEMA
from sedi_dagster.feedback.seed_update import CHANGE_SCHEMA, CONSIDERED_SCHEMA, SEED_SET_SCHEMA
from sedi_dagster.filtering.verdicts import VERDICT_SCHEMA
from sedi_dagster.generation.candidates import CALL_SCHEMA, CANDIDATE_SCHEMA, candidate_id, instruction_id
from sedi_dagster.lineage.contents import call_digests, file_hashes
from sedi_dagster.lineage.ledger_rows import ledger_rows
from sedi_dagster.lineage.manifest import RoundRecords, write_manifest
from sedi_dagster.records import (
    CategoryPlan,
    RoundOutcome,
    RoundPlan,
    SeedTask,
    Tables,
    content_id,
    derived_rng,
    round_key,
)
from sedi_dagster.settings import load_settings
from sedi_dagster.storage.files import file_sha256
from sedi_dagster.storage.rounds import SEED_TASKS, load_plan, save_plan
from sedi_dagster.storage.store import MARKER, Store, tables_version
from sedi_dagster.storage.superseding import supersede
from sedi_dagster.teacher.schema import calls as calls_table
from sedi_dagster.teacher.schema import open_engines
from sedi_dagster.teacher.schema import texts as texts_table

CATEGORIES = ("coding", "math")
BATCH_SIZE = 4


def frame(schema: dict[str, Any], rows: list[dict[str, Any]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=schema, orient="row")


def make_loop(root: Path, per_category: int = 6) -> Store:
    """Two finished rounds, with manifests, reports and the dataset."""
    store = Store(str(root))
    seeds = [
        SeedTask(f"Count the {thing} of a {category} club.", "", f"There are {n} {thing}.", category)
        for category in CATEGORIES
        for n, thing in enumerate(("pens", "maps", "red books", "chairs"), 2)
    ]
    human = frame(SEED_SET_SCHEMA, [{**vars(s), "seed_id": s.id, "origin": "human", "weight": 1.0} for s in seeds])
    store.write_tables({"seeds": human}, "seed_pool")
    write = _Writer(store, root)
    write.baselines(human)
    promoted = write.round(1, CATEGORIES, human, SEED_TASKS, per_category)
    write.make_again(round_key(1))
    write.round(2, CATEGORIES[1:], promoted, round_key(1), per_category)
    write.close()
    hashes = _write(store, {"exports/sft_dataset.jsonl": "{}\n" * 9, "exports/README.md": "# A dataset\n"})
    store.write_tables({"files": hashes}, "sft_dataset")
    remember_the_work(store)
    return store


def remember_the_work(store: Store) -> None:
    """What the loop writes beside each partition: what it was made of, and what its checks said."""
    for marker in store.files("assets"):
        if marker.endswith(f"/{MARKER}"):
            parts = tuple(marker.split("/")[1:-1])
            version = store.read_json("assets", *parts, MARKER)["data_version"]
            record = {"data_version": version, "inputs": {}, "metadata": {}, "checks": ["it_is_whole"]}
            store.write_sealed(record, "inputs", *parts[:-1], f"{parts[-1]}.json")
            verdict = {"data_version": version, "passed": True, "blocking": True, "said": ""}
            store.write_sealed(verdict, "checks", *parts, "it_is_whole.json")


def _write(store: Store, texts: dict[str, str]) -> pl.DataFrame:
    for path, text in texts.items():
        store.write_text(text, *path.split("/"))
    hashes = file_hashes(store, texts)
    return pl.DataFrame({"path": list(hashes), "sha256": list(hashes.values())})


class _Writer:
    def __init__(self, store: Store, root: Path) -> None:
        self.store = store
        self._engine, _ = open_engines(f"sqlite:///{root / 'ledger.sqlite'}")

    def close(self) -> None:
        self._engine.dispose()

    def call(self, round_: str, category: str, purpose: str, *about: object) -> dict[str, Any]:
        """A call in the ledger; returns its row of `CALL_SCHEMA`."""
        key = content_id("key", *about).removeprefix("key-") * 2
        counted = {"prompt_tokens": 40, "completion_tokens": 9, "latency_s": 0.25, "finish_reason": "stop"}
        with self._engine.begin() as connection:
            connection.execute(
                calls_table.insert(),
                {"key": key, "state": "done", "endpoint": "http://teacher/v1", "model": "a-teacher", "purpose": purpose,
                 "round": round_, "category": category, "run": "run-1", "day": "2026-11-26", "owner": "o",
                 "begun_at": time.time(), "ended_at": time.time(), "attempts": 1, "reserved_tokens": 0,
                 "reserved_nanousd": 0, "nanousd": 1500, "estimated": False, "lost_tokens": 0, "lost_nanousd": 0,
                 "error": "", **counted},
            )  # fmt: skip
            texts = [{"key": key, "kind": kind, "body": f"{kind} of {key}"} for kind in ("request", "response")]
            connection.execute(texts_table.insert(), texts)
        return {"request_key": key, "purpose": purpose, "category": category, "cost_usd": 1.5e-6, **counted}

    def items(self, who: str, passed: int) -> pl.DataFrame:
        rows = [
            {"key": content_id("evaluation", who, c, n), "item_id": f"{c}-{n}", "category": c, "cluster": c,
             "difficulty": "easy", "half": "ab"[n % 2], "prompt": f"Name colour {n} of {c}.", "answer": f"{who} {n}",
             "score": float(n < passed), "passed": n < passed, "reason": "", "errors": [], "reference_loss": 1.0,
             "answer_tokens": 2, "truncated": False}
            for c in CATEGORIES for n in range(4)
        ]  # fmt: skip
        return frame(ITEM_SCHEMA, rows)

    def generated(self, key: str, category: str, seeds: pl.DataFrame, count: int) -> pl.DataFrame:
        """A batch of candidates: the last one malformed, two of one call."""
        shown = seeds.filter(pl.col("category") == category)["seed_id"].to_list()
        calls, rows = [], []
        for n in range(count):
            if n % 2 == 0:
                calls.append(self.call(key, category, "instructions", key, category, n))
            asked, broken = calls[-1] if n % 2 == 0 else calls[-2], n == count - 1
            if not broken:
                calls.append(self.call(key, category, "answer", key, category, n, "answer"))
            text = f"Write down {category} rule {n} of {key}."
            rows.append(
                {"candidate_id": candidate_id(asked["request_key"], n, text), "round": key, "category": category,
                 "position": n, "instruction_id": instruction_id(asked["request_key"], text), "instruction": text,
                 "input": "", "output": None if broken else f"Rule {n}.", "is_classification": False,
                 "problem": "empty answer" if broken else None, "method": "self_instruct", "teacher": "a-teacher",
                 "prompt_version": "instructions@1", "demonstration_ids": derived_rng(key, n).sample(shown, 3),
                 "instruction_key": asked["request_key"],
                 "answer_key": None if broken else calls[-1]["request_key"], "further_keys": [], "raw": text}
            )  # fmt: skip
        candidates = frame(CANDIDATE_SCHEMA, rows)
        calls_frame = frame(CALL_SCHEMA, calls)
        self.store.write_tables({"candidates": candidates, "calls": calls_frame}, "generated_batches", key, category)
        return candidates

    def round(
        self, number: int, categories: tuple[str, ...], seeds: pl.DataFrame, parent: str | None, count: int
    ) -> pl.DataFrame:
        """All tables of a round; returns the seed set that it leaves."""
        key, store = round_key(number), self.store
        planned = tuple(CategoryPlan(c, count, "first round") for c in categories)
        save_plan(store, RoundPlan(key, parent, "sedi run", planned, 2, created_at="2026-11-26T05:00:00+00:00"))
        candidates = pl.concat([self.generated(key, c, seeds, count) for c in categories])
        verdicts = _verdicts(candidates)
        kept = verdicts.filter(pl.col("state") == "kept")["candidate_id"]
        examples = (
            candidates.filter(pl.col("candidate_id").is_in(kept.implode()))
            .rename({"candidate_id": "example_id"})
            .select("example_id", "round", "category", "instruction", "input", "output", "is_classification")
        )
        batches = _batches(examples, seeds.filter(pl.col("origin") == "human").head(4))
        store.write_tables({"verdicts": verdicts, "examples": examples, "batches": batches}, "filtered_batches", key)
        vectors = np.eye(8, dtype=np.float32)[np.arange(examples.height) % 8]
        replace_round(str(store.path("lance")), key, examples, vectors, "a-model")
        self.checkpoint(key, batches, parent)
        changed, left = _feedback(key, examples, seeds)
        store.write_tables(changed | {"seeds": left}, "seed_feedback", key)
        before = self.items(parent or "untrained", number)
        store.write_tables(
            {"items": self.items(key, number + 1), "before": before,
             "promotion": pl.DataFrame({"promoted": [True], "reason": ["no category dropped"]}),
             "categories": pl.DataFrame({"category": list(CATEGORIES), "decision": ["fine", "weak"]})},
            "evaluation_scores", key,
        )  # fmt: skip
        self.finish(key)
        return left

    def baselines(self, human: pl.DataFrame) -> None:
        """The untrained student, and the one of the human seed tasks alone."""
        rows = human.rename({"seed_id": "example_id"}).with_columns(origin=pl.lit("human"), batch=pl.lit(1))
        tables = self.trained(SEED_TASKS, rows, None)
        self.store.write_tables(
            {"items": self.items("untrained", 1), "seed_items": self.items(SEED_TASKS, 2),
             "seed_steps": tables["steps"], "seed_files": tables["files"]},
            "baseline_scores",
        )  # fmt: skip

    def make_again(self, key: str) -> None:
        """Other signals of a finished round's training, and what builds on it."""
        for asset, table in (("sft_checkpoint", "steps"), ("seed_feedback", "considered")):
            tables = self.store.read_tables(asset, key)
            tables[table] = tables[table].with_columns(pl.lit(3.0).alias("loss" if table == "steps" else "signal"))
            supersede(self.store, key, (asset, key), tables_version(tables), "run-2")
            self.store.write_tables(tables, asset, key)
        self.finish(key)

    def finish(self, key: str) -> None:
        """Manifest and report, with their partitions."""
        store = self.store
        plan = load_plan(store, key)
        assert plan is not None
        candidates = pl.concat([store.read_table("candidates", "generated_batches", key, c) for c in plan.category_ids])
        verdicts = store.read_table("verdicts", "filtered_batches", key)
        keys = [store.read_table("calls", "generated_batches", key, c)["request_key"] for c in plan.category_ids]
        digests = call_digests(ledger_rows(str(self._engine.url), pl.concat(keys)))
        outcome = RoundOutcome(key, 5, candidates.height, 100, 0.5, promoted=True)
        origin = store.read_table("origin", "sft_checkpoint", key).row(0, named=True)
        write_manifest(
            store, load_settings(),
            RoundRecords(plan, outcome, origin, candidates, verdicts, digests, "no category dropped", "run-1"),
        )  # fmt: skip
        sha256 = file_hashes(store, [f"manifests/{key}.json"])[f"manifests/{key}.json"]
        manifest = pl.DataFrame({"path": [f"manifests/{key}.json"], "sha256": [sha256]})
        store.write_tables({"manifest": manifest, "calls": digests}, "lineage_manifest", key)
        pages = {f"reports/{key}.html": f"<p>{key}</p>" * 30, "reports/index.html": f"<p>all up to {key}</p>" * 30}
        store.write_tables({"pages": _write(store, pages)}, "round_report", key)

    def checkpoint(self, key: str, batches: pl.DataFrame, parent: str | None) -> None:
        self.store.write_tables(self.trained(key, batches, parent), "sft_checkpoint", key)

    def trained(self, key: str, batches: pl.DataFrame, parent: str | None) -> Tables:
        """Write the files of a checkpoint; returns the tables of its training."""
        folder = self.store.path("checkpoints", key)
        folder.mkdir(parents=True)
        for name in ("adapter_model.safetensors", "adapter_config.json", "README.md"):
            folder.joinpath(name).write_text(f"{name} of {key}\n" * 20)
        files = {n: file_sha256(Path(folder.path) / n) for n in ("adapter_model.safetensors", "adapter_config.json")}
        steps = batches.group_by("batch", maintain_order=True).agg(example_ids="example_id").rename({"batch": "step"})
        measured = batches.select("example_id", "category", "origin", loss_before=pl.lit(2.0), loss_after=pl.lit(1.5))
        return {
             "steps": steps.with_columns(loss=1.0 / pl.col("step"), grad_norm=pl.lit(2.0), learning_rate=pl.lit(1e-4)),
             "examples": measured,
             "files": pl.DataFrame({"file": list(files), "sha256": list(files.values())}),
             "origin": pl.DataFrame({"student": ["tiny"], "parent": [parent]},
                                    schema={"student": pl.String, "parent": pl.String}),
        }  # fmt: skip


def _verdicts(candidates: pl.DataFrame) -> pl.DataFrame:
    """The malformed ones, and of the others each fourth is too near to the first."""
    first = candidates.row(0, named=True)
    rows = []
    for n, row in enumerate(candidates.iter_rows(named=True)):
        verdict: dict[str, Any] = {name: row[name] for name in ("candidate_id", "category", "instruction")}
        if row["problem"]:
            verdict |= {"state": "malformed", "rule": row["problem"]}
        elif n % 4 == 3:
            near = {"neighbour_id": first["candidate_id"], "neighbour": first["instruction"]}
            verdict |= {"state": "rejected", "rule": "near_duplicate", "score": 0.9, "threshold": 0.85, **near}
        else:
            verdict["state"] = "kept"
        rows.append(verdict)
    return frame(VERDICT_SCHEMA, rows)


def _batches(examples: pl.DataFrame, human: pl.DataFrame) -> pl.DataFrame:
    columns = ("example_id", "category", "instruction", "input", "output")
    rows = pl.concat(
        [
            examples.select(*columns, origin=pl.lit("machine")),
            human.rename({"seed_id": "example_id"}).select(*columns, origin=pl.lit("human")),
        ]
    )
    order = list(range(rows.height))
    derived_rng("order", rows.height).shuffle(order)
    return training_rows(rows, [order[i : i + BATCH_SIZE] for i in range(0, len(order), BATCH_SIZE)])


def _feedback(key: str, examples: pl.DataFrame, seeds: pl.DataFrame) -> tuple[dict[str, pl.DataFrame], pl.DataFrame]:
    """The last example becomes a seed, the first is refused."""
    came, refused = examples.row(-1, named=True), examples.row(0, named=True)
    considered = [
        {"example_id": row["example_id"], "category": row["category"], "signal": 2.0, "why": "high gradient norm",
         "depth": 1, "refused": why}
        for row, why in ((came, None), (refused, "too near to a seed"))
    ]  # fmt: skip
    change = {"seed_id": came["example_id"], "category": came["category"], "change": "promoted", "signal": 2.0,
              "reason": "high gradient norm", "instruction": came["instruction"], "origin": "machine"}  # fmt: skip
    names = ("category", "instruction", "input", "output", "is_classification")
    machine = {name: came[name] for name in names} | {
        "seed_id": came["example_id"], "origin": "machine", "since_round": key, "weight": 1.0}  # fmt: skip
    left = pl.concat([seeds, frame(SEED_SET_SCHEMA, [machine])])
    return {"changes": frame(CHANGE_SCHEMA, [change]), "considered": frame(CONSIDERED_SCHEMA, considered)}, left
