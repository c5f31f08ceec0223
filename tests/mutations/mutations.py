"""Planted defects, each with the default tests that must notice it.

`make test-all` plants each in a copy of the project and runs its tests there; by hand:

    python -m pytest tests/mutations -m slow -k "retries"
"""

from __future__ import annotations

from dataclasses import dataclass

LOOP, CHECKS, DUE = (f"tests/orchestration/test_{name}.py" for name in ("loop", "checks", "due"))
SENSORS = "tests/orchestration/test_sensors.py"
_TWO_ROUNDS = f"{LOOP}::test_two_rounds_are_trained_once_each_from_the_promoted_checkpoint_and_measured_with_it"


@dataclass(frozen=True)
class Mutation:
    """`text` stands once in `file` and becomes `defect`; one of `tests` must then fail."""

    name: str
    file: str
    text: str
    defect: str
    tests: str


MUTATIONS = [
    Mutation(
        "blocking checks always pass",
        "sedi_dagster/orchestration/checking.py",
        "passed=found.passed,",
        "passed=True,",
        f"{CHECKS}::test_every_check_passes_on_whole_data_and_fails_on_its_planted_defect",
    ),
    Mutation(
        "a failed check is walked past by running again",
        "sedi_dagster/orchestration/state.py",
        "if marker is None or not_passed(store, asset, round_key):",
        "if marker is None:",
        f"{LOOP}::test_a_failed_blocking_check_and_a_changed_byte_in_a_promoted_checkpoint_are_never_walked_past",
    ),
    Mutation(
        "evaluation without its checkpoint",
        "sedi_dagster/orchestration/evaluating.py",
        "str(_adapter(sedi, checkpoint)) if checkpoint else None",
        "None",
        _TWO_ROUNDS,
    ),
    Mutation(
        "promotion against the untrained student",
        "sedi_dagster/orchestration/deciding.py",
        "before = evaluate(parent)",
        "before = evaluate(None)",
        _TWO_ROUNDS,
    ),
    Mutation(
        "training not from the promoted checkpoint",
        "assets/sft_checkpoint.py",
        'parent = promoted_checkpoint(sedi, round_key) if training.start == "previous" else None',
        "parent = None",
        _TWO_ROUNDS,
    ),
    Mutation(
        "keys handed to workloads",
        "sedi_dagster/orchestration/workloads.py",
        '**dict.fromkeys(KEYS, ""), ',
        "",
        _TWO_ROUNDS,
    ),
    Mutation(
        "no retries on sensor runs",
        "sedi_dagster/orchestration/due.py",
        "if now >= retry_at:",
        "if False:",
        DUE,
    ),
    Mutation(
        "run keys without the attempt",
        "sedi_dagster/orchestration/due.py",
        'return f"{self.work.key}|{self.number}"',
        "return self.work.key",
        f"{DUE} {SENSORS}",
    ),
    Mutation(
        "attempts without a bound",
        "sedi_dagster/orchestration/due.py",
        "if failures >= policy.attempts:",
        "if failures < 0:",
        DUE,
    ),
    Mutation(
        "a plan is written over another",
        "sedi_dagster/storage/rounds.py",
        "return store.create_json(sealed(plan.to_json(), *parts), *parts)",
        "store.write_json(sealed(plan.to_json(), *parts), *parts); return True",
        SENSORS,
    ),
    Mutation(
        "a finished round is replaced without a record",
        "sedi_dagster/orchestration/io_manager.py",
        "replaced = context.has_asset_partitions and supersede(",
        "replaced = False and supersede(",
        f"{LOOP}::test_a_part_of_a_finished_round_that_is_made_again_is_superseded_on_record",
    ),
    Mutation(
        "weights are used unverified",
        "sedi_dagster/orchestration/training.py",
        "if not (folder / file).is_file() or file_sha256(folder / file) != sha256:",
        "if False:",
        f"{LOOP}::test_a_failed_blocking_check_and_a_changed_byte_in_a_promoted_checkpoint_are_never_walked_past",
    ),
    Mutation(
        "end token ignored",
        "sedi_dagster/evaluation/decoding.py",
        "if token in ends), len(ids))",
        "if token in ()), len(ids))",
        "tests/evaluation/test_end_of_answers.py",
    ),
]
