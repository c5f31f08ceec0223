"""Reading the state that decisions depend on: plans, markers, checks, manifests and runs."""

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
from sedi_dagster.orchestration.runs import UNFINISHED, attempts_at, run_at, runs_of
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
    elsewhere: str = "",
) -> LoopState:
    """The state of the loop now.

    Args:
        trigger: who asks, as a plan would name it.
        since: runs made before are no reason to wait (`sedi run`: a person started it, knowing of them).
        elsewhere: who else drives the loop.

    Raises:
        SediError: a file of the user's cannot be read, or an unknown category was named.
    """
    history = sedi.history()
    plan = history.open_round
    works = _works(sedi, plan, [outcome.round for outcome in history.finished])
    inputs, running = inputs_fingerprint(sedi, plan), list(instance.get_runs(UNFINISHED))
    pending = tuple(
        PendingWork(work, run_at(work, running), attempts_at(instance, work, inputs, since), runs_of(instance, work))
        for work in works
    )
    ahead: RoundPlan | Stop = Stop("a round is open")
    if plan is None and not pending:
        ahead = next_plan(sedi, trigger, categories, candidates_per_category, target_round)
    return LoopState(plan, pending, ahead, time.time(), inputs, elsewhere)


def inputs_fingerprint(sedi: SediResource, plan: RoundPlan | None) -> str:
    """Hash of what a run depends on that a person may change: settings, the user's files, the plan.

    A failed run counts only against what it failed on.
    """
    settings = sedi.settings()
    files = [settings.path(path) for path in input_files(settings).values()]
    stats = [(str(f), f.stat().st_size, f.stat().st_mtime_ns) if f.exists() else str(f) for f in files]
    secrets = [key.get_secret_value() for key in (settings.teacher.api_key, settings.evaluation.api_key)]
    return content_id("inputs", settings.public(), secrets, stats, plan.to_json() if plan else None)


def _works(sedi: SediResource, plan: RoundPlan | None, finished: list[str]) -> list[Work]:
    """What is not done yet and can be begun, in order."""
    store = sedi.store()
    if plan is None:
        return _closing(store, finished[-1]) if finished else []
    stale = needs_preparation(sedi)
    works = [Work(f"prepare|{asset}", asset, prepare.name, plan.round, assets=(asset,)) for asset in stale]
    if "seed_pool" in stale:
        return works[:1]  # everything is built on it
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
    """What the last finished round still lacks: a run that ended between manifest and report left it so."""
    lacking = [asset for asset in ("lineage_manifest", "round_report") if not _is_made(store, asset, last)]
    filtered = store.tables_marker("filtered_batches", last)
    if filtered and inputs_of(store, DATASET).get(f"filtered_batches/{last}") != filtered["data_version"]:
        lacking.append(DATASET)
    return [_round_work(last, tuple(lacking))] if lacking else []


def _round_work(round_key: str, assets: tuple[str, ...]) -> Work:
    return Work(f"round|{round_key}", ROUND_STAGE, train_round.name, round_key, round_key, assets)


def missing_batches(store: Store, plan: RoundPlan, caps: Sequence[Cap] | None = None) -> list[str]:
    """Planned categories whose generated batch is not there, has not passed its blocking checks, or was cut short by a
    budget that has room again (`caps`: the limits as they are now)."""
    return [
        category
        for category in plan.category_ids
        if store.tables_marker("generated_batches", plan.round, category) is None
        or not_passed(store, "generated_batches", plan.round, category)
        or (caps is not None and (cut_by := cut_short(store, plan.round, category)) and is_raised(cut_by, caps))
    ]


def missing_assets(store: Store, round_key: str) -> list[str]:
    """Assets of a round, in order, that are missing, failed a blocking check, or were made of other data than is there.

    What is built on one of them is among them.
    """
    made = [asset for asset in ROUND_ASSETS if asset != DATASET]
    return next((made[n:] for n, asset in enumerate(made) if not _is_made(store, asset, round_key)), [])


def _is_made(store: Store, asset: str, round_key: str) -> bool:
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
