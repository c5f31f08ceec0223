"""Verification of origins: each candidate has its calls, each example its verdict, each training row its example."""

from collections.abc import Iterable

import polars as pl

from sedi_dagster.errors import StorageError
from sedi_dagster.lineage.contents import example_digests
from sedi_dagster.lineage.verify.chain import Chain
from sedi_dagster.lineage.verify.finding import Verification
from sedi_dagster.lineage.verify.partitions import readable_table

_MAX_LISTED = 5


def check_origins(chain: Chain, report: Verification) -> None:
    """Check that every id in the tables of a finished round refers to something recorded."""
    known = _seeds(chain)
    for key, manifest in chain.manifests.items():
        plan = chain.plans.get(key)
        try:
            filtered = chain.store.read_tables("filtered_batches", key)
            categories = plan.category_ids if plan else [c["category"] for c in manifest["plan"]["categories"]]
            generated = [chain.store.read_tables("generated_batches", key, category) for category in categories]
            steps = chain.store.read_table("steps", "sft_checkpoint", key)
        except (StorageError, KeyError, TypeError, AttributeError):
            continue  # a file is missing or was changed; the check of files reports it
        candidates = pl.concat([tables["candidates"] for tables in generated])
        calls = pl.concat([tables["calls"] for tables in generated])["request_key"]
        used = pl.concat([candidates["instruction_key"], candidates["answer_key"]]).drop_nulls()
        _check_subset(report, f"calls of candidates of {key}", used, calls, "generated_batches lists no such call")
        verdicts = filtered["verdicts"]
        _check_subset(report, f"verdicts of {key}", verdicts["candidate_id"], candidates["candidate_id"],
                      "there is no such candidate")  # fmt: skip
        kept, examples = verdicts.filter(pl.col("state") == "kept")["candidate_id"], filtered["examples"]["example_id"]
        _check_subset(report, f"examples of {key}", examples, kept, "it was not kept")
        _check_subset(report, f"examples of {key}", kept, examples, "it was kept but is not there")
        known |= set(kept)
        rows = filtered["batches"]["example_id"]
        _check_subset(report, f"training rows of {key}", rows, known, "it is neither a seed task nor a kept example")
        trained = steps["example_ids"].explode()
        _check_subset(report, f"steps of {key}", trained, rows, "it is in no composed batch")


def check_examples(chain: Chain, report: Verification) -> None:
    """Check that the Lance table contains exactly the kept examples of every finished round."""
    stored = example_digests(str(chain.store.path("lance")))
    report.examples = sum(len(rows) for rows in stored.values())
    for key in chain.manifests:
        examples = readable_table(chain.store, "examples", "filtered_batches", key)
        if examples is None:
            continue
        kept, rows, where = examples["example_id"], stored.get(key, {}), f"lance/examples.lance, {key}"
        _check_subset(report, where, kept, rows, "it was kept but has no row", missing=True)
        _check_subset(report, where, rows, kept, "it was not kept")
    for key in sorted(set(stored) - set(chain.manifests) - set(chain.open_rounds)):
        report.no_origin(f"lance/examples.lance, {key}", f"{len(stored[key])} rows of a round that does not exist")


def _seeds(chain: Chain) -> set[str]:
    """The ids of all seed tasks that are or were in the pool: the current ones and those after each round."""
    known: set[str] = set()
    for parts in [("seed_pool",), *(("seed_feedback", key) for key in chain.store.names("assets", "seed_feedback"))]:
        seeds = readable_table(chain.store, "seeds", *parts)
        known |= set(seeds["seed_id"]) if seeds is not None else set()
    return known


def _check_subset(
    report: Verification, where: str, ids: Iterable[str], known: Iterable[str], why: str, missing: bool = False
) -> None:
    """Report each of `ids` that is not in `known`; only the first few by id."""
    add = report.missing if missing else report.no_origin
    unknown = sorted(set(ids) - set(known))
    for id_ in unknown[:_MAX_LISTED]:
        add(f"{where}: {id_}", why)
    if len(unknown) > _MAX_LISTED:
        add(where, f"{len(unknown) - _MAX_LISTED:,} more: {why}")
