"""Everything needed to reproduce and to audit the round, as `manifests/<round>.json`. With it the round is finished.

Names every partition that went in with its data version, the files, models, settings and packages that made it,
the checkpoint's hashes, and what the round came to.
Tables: `partitions` (each partition with its data version).
"""

import dagster as dg
import polars as pl

from sedi_dagster.lineage.manifest import build_manifest
from sedi_dagster.orchestration.deciding import round_outcome
from sedi_dagster.orchestration.failures import told_plainly
from sedi_dagster.orchestration.io_manager import MANY
from sedi_dagster.orchestration.partitions import ROUNDS
from sedi_dagster.orchestration.resources import SediResource
from sedi_dagster.records import RoundOutcome, Tables
from sedi_dagster.store import Store
from sedi_dagster.training.card import with_scores


@dg.asset(
    partitions_def=ROUNDS,
    ins={
        "generated_batches": dg.AssetIn(metadata={MANY: True}),
        "filtered_batches": dg.AssetIn(),
        "sft_checkpoint": dg.AssetIn(),
        "evaluation_scores": dg.AssetIn(),
    },
    deps=["seed_feedback"],
    kinds={"json"},
    code_version="2",
    description=__doc__,
)
def lineage_manifest(
    context: dg.AssetExecutionContext,
    sedi: SediResource,
    generated_batches: dict[str, Tables],
    filtered_batches: Tables,
    sft_checkpoint: Tables,
    evaluation_scores: Tables,
) -> dg.Output[Tables]:
    with told_plainly():
        store = sedi.store()
        plan = sedi.plan(context.partition_key)
        calls = pl.concat([tables["calls"] for tables in sedi.planned_batches(plan, generated_batches)])
        promotion = evaluation_scores["promotion"].row(0, named=True)
        outcome = round_outcome(
            plan,
            filtered_batches["verdicts"],
            calls,
            evaluation_scores["items"],
            evaluation_scores["categories"],
            promotion["promoted"],
        )
        checkpoint = {
            **sft_checkpoint["origin"].row(0, named=True),
            "files": dict(sft_checkpoint["files"].iter_rows()),
        }
        manifest = build_manifest(
            plan, outcome, sedi.settings(), store, checkpoint, context.run_id, promotion["reason"]
        )
        store.write_json(manifest, "manifests", f"{plan.round}.json")
        _complete_card(store, outcome)
    partitions = [(name, marker["data_version"]) for name, marker in manifest["partitions"].items() if marker]
    return dg.Output(
        {"partitions": pl.DataFrame(partitions, schema=["partition", "data_version"], orient="row")},
        metadata={
            "path": str(store.path("manifests", f"{plan.round}.json")),
            "kept": outcome.kept,
            "tokens": outcome.tokens,
            "tokens_per_kept": outcome.tokens / max(1, outcome.kept),
            "score": outcome.score,
        },
    )


def _complete_card(store: Store, outcome: RoundOutcome) -> None:
    """The checkpoint's model card with what the evaluation found; an old checkpoint may be gone."""
    card = store.path("checkpoints", outcome.round, "README.md")
    if card.exists():
        categories = ((c.category, c.passed, c.items) for c in outcome.categories)
        scored = with_scores(card.read_text(encoding="utf-8"), outcome.score, outcome.promoted, categories)
        store.write_text(scored, "checkpoints", outcome.round, "README.md")
