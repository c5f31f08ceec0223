"""Rounds on disk: the plans and outcomes that the planner and the sensors read."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from sedi_dagster.errors import StorageError, StorageUnavailable
from sedi_dagster.records import RoundOutcome, RoundPlan, is_round_key
from sedi_dagster.storage.sealing import sealed
from sedi_dagster.storage.store import Store

Record = TypeVar("Record")

IMPORTS = "imports"
"""Folder of the batches from `sedi import`, by round and category, from which `generated_batches` takes them."""
SEED_TASKS = "seed-tasks"
"""Name of the checkpoint trained on the human seed tasks only, with which the gain from the teacher is compared."""


def table_of(checkpoint: str | None, table: str) -> tuple[str, ...]:
    """Return the arguments with which `Store.read_table` reads a table about a checkpoint.

    Args:
        checkpoint: a round, `SEED_TASKS`, or None for the untrained student, which has only `items`.
        table: `items` (its answers), `files`, `steps` or `heldout`.
    """
    if checkpoint is None:
        return table, "baseline_scores"
    if checkpoint == SEED_TASKS:
        return f"seed_{table}", "baseline_scores"
    return table, "evaluation_scores" if table == "items" else "sft_checkpoint", checkpoint


@dataclass(frozen=True)
class LoopHistory:
    """The plans of all rounds in order, and outcomes by round key. A round without an outcome is open."""

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
        """The last round before this one whose checkpoint was promoted; None if there is none."""
        promoted = [outcome.round for outcome in self.before(round_key) if outcome.promoted]
        return promoted[-1] if promoted else None


HISTORY = "history.json"
"""Cache of the plans and outcomes of all finished rounds, each with the stamps of the files it was read from."""


def load_history(store: Store, cached: bool = True) -> LoopHistory:
    """Read the plans and outcomes of all rounds.

    However many rounds there are, this takes two listings and reads only `HISTORY` and the files written since.

    Args:
        cached: whether to use `HISTORY`; if not, every plan and manifest is read.

    Raises:
        StorageError: a plan or an outcome cannot be read, or a finished round has no plan and would be repeated.
    """
    cache = _read_cache(store) if cached else {}
    plans, outcomes = [], {}
    plan_stamps, manifest_stamps = store.stamps("plans"), store.stamps("manifests")
    for name in sorted(manifest_stamps.keys() - plan_stamps.keys()):
        if _is_round_file(name):
            raise StorageError(
                f"{store.path('plans', name)} is missing, although {store.path('manifests', name)} exists.",
                "Restore the plan from a backup: without it, the round would be generated and paid for again.",
            )
    for name, stamp in sorted(plan_stamps.items()):
        if not _is_round_file(name):
            continue
        stamps, record = [stamp, manifest_stamps.get(name)], cache.get(name)
        if record is None or record["stamps"] != stamps:
            manifest = store.read_json("manifests", name) if stamps[1] else None
            outcome = None
            if manifest is not None:
                outcome = _read(
                    store, lambda data: RoundOutcome.from_json(data["outcome"]), manifest, "manifests", name
                )
            plan = _read(store, RoundPlan.from_json, store.read_json("plans", name), "plans", name)
        else:
            outcome = _read(store, RoundOutcome.from_json, record["outcome"], HISTORY)
            plan = _read(store, RoundPlan.from_json, record["plan"], HISTORY)
        plans.append(plan)
        if outcome is not None:
            outcomes[plan.round] = outcome
    return LoopHistory(tuple(sorted(plans, key=lambda plan: plan.round)), outcomes)


def _is_round_file(name: str) -> bool:
    return name.endswith(".json") and is_round_key(name.removesuffix(".json"))


def _read(store: Store, as_record: Callable[[Any], Record], value: Any, *parts: str) -> Record:
    """Convert the JSON value of a file, which another version may have written or a user may have edited."""
    try:
        return as_record(value)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise StorageError(
            f"{store.path(*parts)} is not in the format of this version ({type(error).__name__}: {error}).",
            "Use the version of sedi-dagster that wrote the data folder, or restore the file from a backup.",
        ) from None


def cache_history(store: Store) -> None:
    """Write `HISTORY`. It may be missing or outdated: files that changed since are read again."""
    stamps, manifests = store.stamps("plans"), store.stamps("manifests")
    history = load_history(store)
    rounds = {
        f"{plan.round}.json": {
            "stamps": [stamps.get(f"{plan.round}.json"), manifests.get(f"{plan.round}.json")],
            "plan": plan.to_json(),
            "outcome": history.outcomes[plan.round].to_json(),
        }
        for plan in history.plans
        if plan.round in history.outcomes
    }
    store.write_json(rounds, HISTORY)


def _read_cache(store: Store) -> dict[str, Any]:
    try:
        cache = store.read_json(HISTORY)
    except StorageUnavailable:
        raise
    except StorageError:  # truncated or edited: the files of the rounds are read instead
        return {}
    return {name: record for name, record in cache.items() if _is_record(record)} if isinstance(cache, dict) else {}


def _is_record(record: Any) -> bool:
    return isinstance(record, dict) and {"stamps", "plan", "outcome"} <= record.keys()


def load_plan(store: Store, round_key: str) -> RoundPlan | None:
    """Read the plan of a round; None if there is none."""
    data = store.read_json("plans", f"{round_key}.json")
    return None if data is None else _read(store, RoundPlan.from_json, data, "plans", f"{round_key}.json")


def save_plan(store: Store, plan: RoundPlan) -> bool:
    """Write a plan if the round has none. Returns False if another process has written one, which is kept."""
    parts = ("plans", f"{plan.round}.json")
    return store.create_json(sealed(plan.to_json(), *parts), *parts)


def checkpoints_to_prune(
    existing: Sequence[str], promoted: Collection[str], current: str, keep: int | None
) -> list[str]:
    """Return the rounds whose checkpoints may be deleted: all but the newest `keep`, and neither promoted nor current.

    Promoted checkpoints are kept, because later rounds build on them and are compared with them.

    Args:
        keep: checkpoints to keep; None keeps all.
    """
    if keep is None:
        return []
    older = sorted(key for key in existing if key <= current)[:-keep]
    return [key for key in older if key not in promoted and key != current]


def cut_short(store: Store, round_key: str, category: str) -> str:
    """Return the budget limit that cut a generated batch short; empty if none did, or if there is no batch."""
    result = store.find_table("result", "generated_batches", round_key, category)
    row: dict[str, str | None] = result.row(0, named=True) if result is not None and result.height else {}
    return (row.get("budget") or "") if row.get("stopped") == "budget" else ""
