"""Everything needed to reproduce and audit the round, as `manifests/<round>.json`. It completes the round.

The manifest lists every input and output file with its SHA-256, the models, settings, prompts and package versions, and
the outcome of the round. It contains the hash of the previous manifest (docs/lineage.md). `sedi verify` checks it.
Tables: `partitions` (each with its data version), `manifest` (path and SHA-256 of the manifest), `calls` (digest of
each row of the ledger that the round used).
"""

import dagster as dg
import polars as pl

from sedi_dagster.lineage.contents import call_digests, file_hashes
from sedi_dagster.lineage.ledger_rows import ledger_rows
from sedi_dagster.lineage.manifest import RoundRecords, write_manifest
from sedi_dagster.orchestration.deciding import round_outcome
from sedi_dagster.orchestration.outputs import as_dagster_failure, table_output
from sedi_dagster.orchestration.partitions import MANY, ONE_BY_ONE, ROUNDS
from sedi_dagster.orchestration.resources import SediResource
from sedi_dagster.records import RoundOutcome, Tables
from sedi_dagster.storage.rounds import cache_history
from sedi_dagster.storage.store import Store
from sedi_dagster.training.card import with_scores


@dg.asset(
    partitions_def=ROUNDS,
    backfill_policy=ONE_BY_ONE,
    ins={"generated_batches": dg.AssetIn(metadata={MANY: True})},
    deps=["seed_feedback"],
    kinds={"json"},
    code_version="3",
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
    with as_dagster_failure():
        settings, store = sedi.settings(), sedi.store()
        plan = sedi.plan(context.partition_key)
        candidates, calls = (sedi.concat_batches(name, plan, generated_batches) for name in ("candidates", "calls"))
        promotion = evaluation_scores["promotion"].row(0, named=True)
        verdicts, items = filtered_batches["verdicts"], evaluation_scores["items"]
        outcome = round_outcome(plan, verdicts, calls, items, evaluation_scores["categories"], promotion["promoted"])
        _complete_card(store, outcome)
        digests = call_digests(ledger_rows(settings.ledger_url, calls["request_key"].unique()))
        records = RoundRecords(
            plan=plan,
            outcome=outcome,
            checkpoint={**sft_checkpoint["origin"].to_dicts()[0], "files": dict(sft_checkpoint["files"].iter_rows())},
            candidates=candidates,
            verdicts=verdicts,
            calls=digests,
            promotion=promotion["reason"],
            run_id=context.run_id,
        )
        manifest = write_manifest(store, settings, records)
        cache_history(store)
        path = f"manifests/{plan.round}.json"
        sha256 = file_hashes(store, [path])[path]
    partitions = [(name, version) for name, version in manifest["partitions"].items() if version]
    return table_output(
        {
            "partitions": pl.DataFrame(partitions, schema=["partition", "data_version"], orient="row"),
            "manifest": pl.DataFrame({"path": [path], "sha256": [sha256]}),
            "calls": digests,
        },
        metadata={
            "path": str(store.path(path)),
            "sha256": sha256,
            "previous": (manifest["previous"] or {}).get("sha256", "none: the first round"),
            "files": len(manifest["data"]),
            "kept": outcome.kept,
            "tokens": outcome.tokens,
            "tokens_per_kept": outcome.tokens / max(1, outcome.kept),
            "score": outcome.score,
        },
    )


def _complete_card(store: Store, outcome: RoundOutcome) -> None:
    """Add the evaluation results to the checkpoint's model card."""
    card = ("checkpoints", outcome.round, "README.md")
    if store.exists(*card):  # old checkpoints are deleted
        categories = ((c.category, c.passed, c.items) for c in outcome.categories)
        written = store.read_bytes(*card).decode("utf-8")
        store.write_text(with_scores(written, outcome.score, outcome.promoted, categories), *card)
