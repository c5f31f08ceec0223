"""Reads the state that `due` decides on: plans, markers, checks, manifests and runs."""

import time
from collections.abc import Sequence

import dagster as dg

from sedi_dagster.feedback.plan import Stop
from sedi_dagster.lineage.manifest import input_files
from sedi_dagster.orchestration.checking import not_passed
from sedi_dagster.orchestration.due import LoopState, PendingWork, Work
from sedi_dagster.orchestration.io_manager import inputs_of
from sedi_dagster.orchestration.jobs import ROUND_ASSETS, generate_batch, prepare, train_round
from sedi_dagster.orchestration.partitions import batch_key
from sedi_dagster.orchestration.planning import needs_preparation, next_plan
from sedi_dagster.orchestration.resources import SediResource
from sedi_dagster.orchestration.runs import active_run, count_runs, ended_runs, live_runs
from sedi_dagster.records import RoundPlan, content_id
from sedi_dagster.storage.rounds import cut_short
from sedi_dagster.storage.store import Store
from sedi_dagster.teacher.budget import Budget, Cap, is_raised, today

ROUND_STAGE = "train and evaluate"
DATASET = "sft_dataset"


def read_state(
    sedi: SediResource,
    instance: dg.DagsterInstance,
    trigger: str,
    categories: Sequence[str] | None = None,
    candidates_per_category: int | None = None,
    target_round: int = 0,
    since: float = 0.0,
    other_driver: str = "",
) -> LoopState:
    """Return the current state of the loop.

    Args:
        trigger: recorded as the trigger of the next plan.
        categories, candidates_per_category, target_round: see `next_plan`.
        since: ignore failed runs created before, in seconds since the epoch. `sedi run` gives its own start, as its
            user knows of earlier failures.
        other_driver: another process that drives the loop; empty if there is none.

    Raises:
        SediError: a user's file cannot be read, or `categories` contains an unknown one.
    """
    history = sedi.history()
    plan = history.open_round
    works = _works(sedi, plan, [outcome.round for outcome in history.finished])
    inputs, running = inputs_fingerprint(sedi, plan), live_runs(instance)
    pending = tuple(
        PendingWork(
            work, active_run(work, running), ended_runs(instance, work, inputs, since), count_runs(instance, work)
        )
        for work in works
    )
    decided: RoundPlan | Stop = Stop("a round is open")
    if plan is None and not pending:
        decided = next_plan(sedi, trigger, categories, candidates_per_category, target_round)
    return LoopState(plan, pending, decided, time.time(), inputs, other_driver)


def inputs_fingerprint(sedi: SediResource, plan: RoundPlan | None) -> str:
    """Return a hash of the inputs of a run that users can change: the settings, their files, and the plan.

    Failed runs are counted by this hash, so that a change resets the count.
    """
    settings = sedi.settings()
    files = [settings.path(path) for path in input_files(settings).values()]
    stats = [(str(f), f.stat().st_size, f.stat().st_mtime_ns) if f.exists() else str(f) for f in files]
    secrets = [key.get_secret_value() for key in (settings.teacher.api_key, settings.evaluation.api_key)]
    return content_id("inputs", settings.public(), secrets, stats, plan.to_json() if plan else None)


def _works(sedi: SediResource, plan: RoundPlan | None, finished: list[str]) -> list[Work]:
    """The work that is not done yet and can be started, in order."""
    store = sedi.store()
    if plan is None:
        return _closing(store, finished[-1]) if finished else []
    stale = needs_preparation(sedi)
    works = [Work(f"prepare|{asset}", asset, prepare.name, plan.round, assets=(asset,)) for asset in stale]
    if "seed_pool" in stale:
        return works[:1]  # everything else depends on it
    works += [
        Work(
            f"generate|{plan.round}|{category}",
            f"generate {category}",
            generate_batch.name,
            plan.round,
            str(batch_key(category, plan.round)),
        )
        for category in missing_batches(store, plan, Budget.from_settings(sedi.settings()).caps(plan.round, today()))
    ]
    return works or [_round_work(plan.round, (*missing_assets(store, plan.round), DATASET))]


def _closing(store: Store, last: str) -> list[Work]:
    """The work that the last finished round still lacks, if its run ended between the manifest and the report."""
    missing = [asset for asset in ("lineage_manifest", "round_report") if not _is_complete(store, asset, last)]
    filtered = store.tables_marker("filtered_batches", last)
    if filtered and inputs_of(store, DATASET).get(f"filtered_batches/{last}") != filtered["data_version"]:
        missing.append(DATASET)
    return [_round_work(last, tuple(missing))] if missing else []


def _round_work(round_key: str, assets: tuple[str, ...]) -> Work:
    return Work(f"round|{round_key}", ROUND_STAGE, train_round.name, round_key, round_key, assets)


def missing_batches(store: Store, plan: RoundPlan, caps: Sequence[Cap] | None = None) -> list[str]:
    """Return the planned categories for which a batch must be generated.

    Their batch is missing, or did not pass its blocking checks, or was cut short by a budget that was raised since.

    Args:
        caps: the current budget caps; None: a batch that was cut short counts as complete.
    """
    return [
        category
        for category in plan.category_ids
        if store.tables_marker("generated_batches", plan.round, category) is None
        or not_passed(store, "generated_batches", plan.round, category)
        or (caps is not None and (cut_by := cut_short(store, plan.round, category)) and is_raised(cut_by, caps))
    ]


def missing_assets(store: Store, round_key: str) -> list[str]:
    """Return the assets of a round that must be materialized, in order.

    They are the first that is missing, failed a blocking check, or was made from outdated data, and all after it.
    """
    assets = [asset for asset in ROUND_ASSETS if asset != DATASET]
    return next((assets[n:] for n, asset in enumerate(assets) if not _is_complete(store, asset, round_key)), [])


def _is_complete(store: Store, asset: str, round_key: str) -> bool:
    marker = store.tables_marker(asset, round_key)
    if marker is None or not_passed(store, asset, round_key):
        return False
    for path, version in inputs_of(store, asset, round_key).items():
        parts = path.split("/")
        if round_key in parts:
            upstream = store.tables_marker(*parts)
            if upstream is None or upstream["data_version"] != version:
                return False
    return True
