"""Reproducing a round: a copy of the data folder as it was before the round, and a comparison of the results."""

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import polars as pl

from sedi_dagster.errors import SediError
from sedi_dagster.lineage.contents import example_digests, examples_root, file_hashes
from sedi_dagster.lineage.ledger_rows import ledger_rows
from sedi_dagster.lineage.manifest import ROUND_ASSETS, SHARED_ASSETS, input_files
from sedi_dagster.settings import Settings
from sedi_dagster.storage.files import file_sha256
from sedi_dagster.storage.store import Store, tables_version

_MASK = "**********"
_MACHINE_SETTINGS = frozenset(
    "data cache ledger seeds categories items profile openlineage alerts compute ray pod".split()
)
"""Settings that depend on the machine, not on the round."""
_CHUNK = 500


def recorded_manifest(store: Store, round_key: str) -> dict[str, Any]:
    """Return the manifest of a finished round.

    Raises:
        SediError: the round has no manifest, or one written by an earlier version.
    """
    manifest = store.read_json("manifests", f"{round_key}.json")
    if manifest is None:
        finished = ", ".join(store.record_names("manifests")) or "none"
        raise SediError(f"{round_key} is not finished: it has no manifest.", f"Finished rounds: {finished}.")
    if "data" not in manifest:
        raise SediError(
            f"The manifest of {round_key} was written by an earlier version.", "Only newer rounds can be reproduced."
        )
    return dict(manifest)


def recorded_settings(manifest: dict[str, Any], settings: Settings) -> dict[str, Any]:
    """Return the settings that the round was made with, as overrides; secrets and paths stay the current ones.

    Raises:
        SediError: the seed file, categories or evaluation items are not those of the round.
    """
    for name, path in input_files(settings).items():
        recorded = manifest["files"][name]
        file = settings.path(path)
        if not file.is_file() or file_sha256(file) != recorded["sha256"]:
            raise SediError(
                f"{file} is not the file that {manifest['round']} used ({recorded['path']}).",
                f"Restore the version with SHA-256 {recorded['sha256']}.",
            )
    kept = {name: value for name, value in manifest["settings"].items() if name not in _MACHINE_SETTINGS}
    return {name: _without_secrets(value) for name, value in kept.items()}


def _without_secrets(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_secrets(inner) for name, inner in value.items() if inner != _MASK}
    return value


def make_replica(store: Store, manifest: dict[str, Any], ledger: str, target: Path) -> Store:
    """Copy the state before a round into `target`: plans, earlier rounds, the parent checkpoint, vectors and calls.

    Args:
        ledger: URL of the ledger to copy the calls from.
        target: local folder; replaced if it exists.

    Raises:
        SediError: the seed pool or the baselines have been rebuilt since the round.
    """
    round_key = manifest["round"]
    _check_shared(store, manifest)
    shutil.rmtree(target, ignore_errors=True)
    for path in store.files():
        if _is_needed(path, round_key, manifest["checkpoint"].get("parent")):
            copy = target / path
            copy.parent.mkdir(parents=True, exist_ok=True)
            with store.reading(path) as reading, copy.open("wb") as writing:
                shutil.copyfileobj(reading, writing)
    keys = store.read_table("calls", "lineage_manifest", round_key)["request_key"]
    copy_calls(ledger, f"sqlite:///{target / 'ledger.sqlite'}", keys, round_key)
    return Store(str(target))


def _check_shared(store: Store, manifest: dict[str, Any]) -> None:
    shared = tuple(f"assets/{name}/" for name in SHARED_ASSETS)
    recorded = {path: sha256 for path, sha256 in manifest["data"].items() if path.startswith(shared)}
    for path, sha256 in file_hashes(store, recorded).items():
        if sha256 != recorded[path]:
            raise SediError(
                f"{path} is not what {manifest['round']} used: it was rebuilt or changed since.",
                "Restore the data folder of that time from a backup.",
            )


def _is_needed(path: str, round_key: str, parent: str | None) -> bool:
    """Whether a file existed before the round and is needed to reproduce it."""
    top, *rest = path.split("/")
    if top == "plans":
        return rest[0].removesuffix(".json") <= round_key
    if top == "manifests":
        return len(rest) == 1 and rest[0].removesuffix(".json") < round_key
    if top == "assets":
        return rest[0] in SHARED_ASSETS or (rest[1] < round_key and rest[0] not in ("sft_dataset", "morning_page"))
    if top == "checkpoints":
        return rest[0] in (parent, "seed-tasks")
    return top == "lance"


def copy_calls(source: str, target: str, keys: Iterable[str], round_key: str) -> int:
    """Copy calls to a new ledger: those with these keys, all of the round (a judge's), and those that found out which
    form of structured output the endpoint supports.

    Accounts are not copied, because nothing will be paid.

    Returns:
        The number of calls copied.
    """
    from sqlalchemy import create_engine, select

    from sedi_dagster.teacher.schema import calls, open_engines, texts
    from sedi_dagster.teacher.structured import PURPOSE

    reading = create_engine(source)
    try:
        with reading.connect() as connection:
            round_keys = connection.scalars(select(calls.c.key).where(calls.c.round.in_((round_key, PURPOSE)))).all()
    finally:
        reading.dispose()
    writer, reader = open_engines(target)
    copied = 0
    with writer.begin() as connection:
        remaining = ledger_rows(source, dict.fromkeys([*keys, *round_keys]))
        while rows := list(islice(remaining, _CHUNK)):
            connection.execute(calls.insert(), [{name: row[name] for name in calls.c.keys()} for row in rows])  # noqa: SIM118
            bodies = [{"key": r["key"], "kind": k, "body": r[k]} for r in rows for k in ("request", "response") if r[k]]
            if bodies:
                connection.execute(texts.insert(), bodies)
            copied += len(rows)
    writer.dispose()
    reader.dispose()
    return copied


_CLOCKS = {"steps": ("seconds",)}
"""Columns with clock times, by table; they are not compared."""


@dataclass(frozen=True)
class Comparison:
    """The hashes of one table, file or set of rows, as recorded and as reproduced; None if it does not exist."""

    name: str
    recorded: str | None
    reproduced: str | None

    @property
    def same(self) -> bool:
        return self.recorded == self.reproduced


def compare_round(recorded: Store, reproduced: Store, manifest: dict[str, Any]) -> list[Comparison]:
    """Compare the tables (except clock times), the checkpoint files and the examples (with vectors) of a round."""
    key = manifest["round"]
    partitions = [("generated_batches", key, planned["category"]) for planned in manifest["plan"]["categories"]]
    comparisons = []
    for parts in (*partitions, *((asset, key) for asset in ROUND_ASSETS)):
        before = recorded.read_tables(*parts)
        after = reproduced.read_tables(*parts) if reproduced.tables_marker(*parts) else {}
        for table in {**before, **after}:
            versions = (_version(table, tables.get(table)) for tables in (before, after))
            comparisons.append(Comparison(f"{'/'.join(parts)}: {table}", *versions))
    prefix = f"checkpoints/{key}/"
    card = f"{prefix}README.md"  # contains the date and the run
    files = {path: sha for path, sha in manifest["data"].items() if path.startswith(prefix) and path != card}
    now = file_hashes(reproduced, files)
    comparisons += [Comparison(path, sha256, now[path]) for path, sha256 in files.items()]
    rows = [example_digests(str(store.path("lance")), key).get(key, {}) for store in (recorded, reproduced)]
    return [*comparisons, Comparison(f"lance/examples.lance, {key}", *map(examples_root, rows))]


def _version(table: str, frame: pl.DataFrame | None) -> str | None:
    return None if frame is None else tables_version({table: frame.drop(_CLOCKS.get(table, ()), strict=False)})
