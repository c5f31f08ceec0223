"""Rounds on disk: plans and outcomes, everything that the planner and the sensors read."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from sedi_dagster.errors import StorageError, StorageUnavailable
from sedi_dagster.records import RoundOutcome, RoundPlan, is_round_key
from sedi_dagster.storage.sealing import sealed
from sedi_dagster.storage.store import Store

Record = TypeVar("Record")

IMPORTS = "imports"
"""Folder of the batches that `sedi import` keeps, by round and category: `generated_batches` takes them from there."""
SEED_TASKS = "seed-tasks"
"""Name of the checkpoint that is trained on the human seed tasks alone: what the teacher's tokens are held against."""


def table_of(checkpoint: str | None, table: str) -> tuple[str, ...]:
    """Where a table about a checkpoint lies, as `Store.read_table` takes it.

    Args:
        checkpoint: a round, `SEED_TASKS`, or None: the untrained student, of which there are `items` alone.
        table: `items` (its answers), `files`, `steps` or `heldout`.
    """
    if checkpoint is None:
        return table, "baseline_scores"
    if checkpoint == SEED_TASKS:
        return f"seed_{table}", "baseline_scores"
    return table, "evaluation_scores" if table == "items" else "sft_checkpoint", checkpoint


@dataclass(frozen=True)
class LoopHistory:
    """Plans in order, and outcomes by round key. A plan without an outcome is an open round."""

    plans: tuple[RoundPlan, ...]
    outcomes: dict[str, RoundOutcome]

    @property
    def open_round(self) -> RoundPlan | None:
        """The first plan without an outcome; None if every round is finished."""
        return next((plan for plan in self.plans if plan.round not in self.outcomes), None)

    @property
    def finished(self) -> list[RoundOutcome]:
        """Outcomes of the finished rounds, in order."""
        return [self.outcomes[plan.round] for plan in self.plans if plan.round in self.outcomes]

    def before(self, round_key: str) -> list[RoundOutcome]:
        """Outcomes of the rounds that finished before this one."""
        return [outcome for outcome in self.finished if outcome.round < round_key]

    def promoted_before(self, round_key: str) -> str | None:
        """The last round whose checkpoint was promoted before this round; None: the untrained student."""
        promoted = [outcome.round for outcome in self.before(round_key) if outcome.promoted]
        return promoted[-1] if promoted else None


HISTORY = "history.json"
"""Plans and outcomes of all finished rounds in one file, each with the stamps of the files it was read from."""


def load_history(store: Store, remembered: bool = True) -> LoopHistory:
    """Two listings, `HISTORY`, and what was written since: a bounded number of files however many rounds there are.

    Args:
        remembered: whether `HISTORY` may be used; else every plan and manifest is read.

    Raises:
        StorageError: a plan or an outcome cannot be read, or a finished round has no plan: it would be done again.
    """
    known = _remembered(store) if remembered else {}
    plans, outcomes = [], {}
    plan_stamps, manifest_stamps = store.stamps("plans"), store.stamps("manifests")
    for name in sorted(manifest_stamps.keys() - plan_stamps.keys()):
        if _is_of_a_round(name):
            raise StorageError(
                f"{store.path('plans', name)} is missing, and {store.path('manifests', name)} is there.",
                "Restore the plan from a backup: without it, the round would be generated and paid for again.",
            )
    for name, stamp in sorted(plan_stamps.items()):
        if not _is_of_a_round(name):
            continue
        stamps, record = [stamp, manifest_stamps.get(name)], known.get(name)
        if record is None or record["stamps"] != stamps:
            manifest = store.read_json("manifests", name) if stamps[1] else None
            outcome = None
            if manifest is not None:
                outcome = _read(store, lambda it: RoundOutcome.from_json(it["outcome"]), manifest, "manifests", name)
            plan = _read(store, RoundPlan.from_json, store.read_json("plans", name), "plans", name)
        else:
            outcome = _read(store, RoundOutcome.from_json, record["outcome"], HISTORY)
            plan = _read(store, RoundPlan.from_json, record["plan"], HISTORY)
        plans.append(plan)
        if outcome is not None:
            outcomes[plan.round] = outcome
    return LoopHistory(tuple(sorted(plans, key=lambda plan: plan.round)), outcomes)


def _is_of_a_round(name: str) -> bool:
    return name.endswith(".json") and is_round_key(name.removesuffix(".json"))


def _read(store: Store, as_record: Callable[[Any], Record], value: Any, *parts: str) -> Record:
    """The record in a JSON file of the data folder, which another version or another hand may have written."""
    try:
        return as_record(value)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise StorageError(
            f"{store.path(*parts)} is not what this version writes ({type(error).__name__}: {error}).",
            "Use the version of sedi-dagster that wrote the data folder, or restore the file from a backup.",
        ) from None


def remember_history(store: Store) -> None:
    """Write `HISTORY` anew. Nothing depends on it: what it lacks, or what was changed since, is read from the files."""
    stamps, manifests = store.stamps("plans"), store.stamps("manifests")
    history = load_history(store)
    found = {
        f"{plan.round}.json": {
            "stamps": [stamps.get(f"{plan.round}.json"), manifests.get(f"{plan.round}.json")],
            "plan": plan.to_json(),
            "outcome": history.outcomes[plan.round].to_json(),
        }
        for plan in history.plans
        if plan.round in history.outcomes
    }
    store.write_json(found, HISTORY)


def _remembered(store: Store) -> dict[str, Any]:
    try:
        found = store.read_json(HISTORY)
    except StorageUnavailable:
        raise
    except StorageError:  # cut or edited: the files themselves are there
        found = None
    return found if isinstance(found, dict) else {}


def load_plan(store: Store, round_key: str) -> RoundPlan | None:
    """The plan of a round; None if there is none."""
    data = store.read_json("plans", f"{round_key}.json")
    return None if data is None else _read(store, RoundPlan.from_json, data, "plans", f"{round_key}.json")


def save_plan(store: Store, plan: RoundPlan) -> bool:
    """Write a plan where none is. False if the round has one: another process opened it, and its plan is kept."""
    parts = ("plans", f"{plan.round}.json")
    return store.create_json(sealed(plan.to_json(), *parts), *parts)


def checkpoints_to_prune(there: Sequence[str], promoted: Collection[str], current: str, keep: int | None) -> list[str]:
    """Rounds whose checkpoints may go: older than the newest `keep`, never promoted, and not the current one.

    A promoted checkpoint is what later rounds build on and are compared with; it is never touched.
    """
    if keep is None:
        return []
    older = sorted(key for key in there if key <= current)[:-keep]
    return [key for key in older if key not in promoted and key != current]


def cut_short(store: Store, round_key: str, category: str) -> str:
    """The limit of a budget that cut a generated batch short; empty if none did, or there is no batch."""
    result = store.find_table("result", "generated_batches", round_key, category)
    row: dict[str, str | None] = result.row(0, named=True) if result is not None and result.height else {}
    return (row.get("budget") or "") if row.get("stopped") == "budget" else ""
