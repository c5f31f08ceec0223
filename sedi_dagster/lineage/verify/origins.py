"""Whether everything has an origin: candidates their calls, examples their verdicts, trained rows their examples."""

from collections.abc import Iterable

import polars as pl

from sedi_dagster.errors import StorageError
from sedi_dagster.lineage.contents import example_digests
from sedi_dagster.lineage.verify.chain import Chain
from sedi_dagster.lineage.verify.finding import Verification
from sedi_dagster.lineage.verify.partitions import readable_table

_LISTED = 5


def check_origins(chain: Chain, report: Verification) -> None:
    """Follow the ids through the tables of each finished round."""
    known = _seeds(chain)
    for key, manifest in chain.manifests.items():
        plan = chain.plans.get(key)
        try:
            judged = chain.store.read_tables("filtered_batches", key)
            categories = plan.category_ids if plan else [c["category"] for c in manifest["plan"]["categories"]]
            generated = [chain.store.read_tables("generated_batches", key, category) for category in categories]
            steps = chain.store.read_table("steps", "sft_checkpoint", key)
        except (StorageError, KeyError, TypeError, AttributeError):
            continue  # a file is missing or was changed: reported where files are checked
        candidates = pl.concat([tables["candidates"] for tables in generated])
        calls = pl.concat([tables["calls"] for tables in generated])["request_key"]
        taken = pl.concat([candidates["instruction_key"], candidates["answer_key"]]).drop_nulls()
        _all_in(report, f"calls of candidates of {key}", taken, calls, "generated_batches lists no such call")
        _all_in(report, f"verdicts of {key}", judged["verdicts"]["candidate_id"], candidates["candidate_id"],
                "there is no such candidate")  # fmt: skip
        kept = judged["verdicts"].filter(pl.col("state") == "kept")["candidate_id"]
        _all_in(report, f"examples of {key}", judged["examples"]["example_id"], kept, "it was not kept")
        _all_in(report, f"examples of {key}", kept, judged["examples"]["example_id"], "it was kept and is not there")
        known |= set(kept)
        rows = judged["batches"]["example_id"]
        _all_in(report, f"training rows of {key}", rows, known, "it is no seed task and no kept example")
        trained = steps["example_ids"].explode()
        _all_in(report, f"steps of {key}", trained, rows, "it is in no composed batch")


def check_examples(chain: Chain, report: Verification) -> None:
    """The Lance table has exactly the kept examples of every finished round."""
    found = example_digests(str(chain.store.path("lance")))
    report.examples = sum(len(rows) for rows in found.values())
    for key in chain.manifests:
        examples = readable_table(chain.store, "examples", "filtered_batches", key)
        if examples is None:
            continue
        kept, there = examples["example_id"], found.get(key, {})
        _all_in(report, f"lance/examples.lance, {key}", kept, there, "it was kept and has no row", missing=True)
        _all_in(report, f"lance/examples.lance, {key}", there, kept, "it was not kept")
    for key in sorted(set(found) - set(chain.manifests) - set(chain.open_rounds)):
        report.no_origin(f"lance/examples.lance, {key}", f"{len(found[key])} rows of a round that there is not")


def _seeds(chain: Chain) -> set[str]:
    """Every seed task that was ever in a pool: today's, and those in the sets that rounds left."""
    known: set[str] = set()
    for parts in [("seed_pool",), *(("seed_feedback", key) for key in chain.store.names("assets", "seed_feedback"))]:
        seeds = readable_table(chain.store, "seeds", *parts)
        known |= set(seeds["seed_id"]) if seeds is not None else set()
    return known


def _all_in(
    report: Verification, where: str, ids: Iterable[str], known: Iterable[str], why: str, missing: bool = False
) -> None:
    tell = report.missing if missing else report.no_origin
    lost = sorted(set(ids) - set(known))
    for id_ in lost[:_LISTED]:
        tell(f"{where}: {id_}", why)
    if len(lost) > _LISTED:
        tell(where, f"{len(lost) - _LISTED:,} more: {why}")
