"""The exported examples: selection by round, category and training measurements, and assignment to splits.

The split of an example is determined by a hash of its instruction: it does not change as the dataset grows, and all
instances of an instruction are in the same split; otherwise the test split would contain instructions of the training
split. If several seed tasks share the instruction, the input is hashed instead.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from sedi_dagster.errors import SediError
from sedi_dagster.filtering.shared_instructions import SharedInstructions
from sedi_dagster.records import round_named
from sedi_dagster.storage.rounds import load_history
from sedi_dagster.storage.store import Store

SHARES: dict[str, float] = {"train": 0.9, "validation": 0.05, "test": 0.05}
_SPLITS_FIX = "Write them as train=0.9,validation=0.05,test=0.05."
MEASURED = {"loss_before": "loss_before", "loss_after": "loss_after", "ifd": "ifd_loss_ratio"}
"""Measurements made in the round that kept an example, and the columns of `sft_checkpoint` that contain them."""


@dataclass(frozen=True)
class Selection:
    """Which examples to export; an empty field selects all.

    Attributes:
        where: an SQL condition over the columns of `finished_examples`, such as `ifd < 0.9`.
    """

    rounds: Sequence[str] = ()
    categories: Sequence[str] = ()
    where: str = ""

    def __str__(self) -> str:
        parts = [f"rounds {', '.join(self.rounds)}"] if self.rounds else []
        parts += [f"categories {', '.join(self.categories)}"] if self.categories else []
        return "; ".join([*parts, *([f"where {self.where}"] if self.where else [])]) or "all"


ALL = Selection()


def finished_examples(store: Store) -> pl.DataFrame:
    """Return the kept examples of all finished rounds, with the columns `MEASURED` (null where not measured).

    Raises:
        SediError: no round is finished.
    """
    frames = []
    for outcome in load_history(store).finished:
        examples = store.read_table("examples", "filtered_batches", outcome.round)
        frames.append(
            examples.join(_measured(store, outcome.round), on="example_id", how="left", maintain_order="left")
        )
    if not frames:
        raise SediError("No round is finished yet, so there is nothing to export.", "Run `sedi run` first.")
    return pl.concat(frames)


def select(examples: pl.DataFrame, selection: Selection) -> pl.DataFrame:
    """Return the selected examples, in their original order.

    Raises:
        SediError: a round or category has no examples, the condition is invalid, or no example matches.
    """
    keys = [round_named(name) for name in selection.rounds]
    for column, requested in (("round", keys), ("category", selection.categories)):
        known = examples[column].unique().sort().to_list()
        unknown = [name for name in requested if name not in known]
        if unknown:
            raise SediError(f"No example has the {column} {unknown[0]!r}.", f"There are: {', '.join(known)}.")
        examples = examples.filter(pl.col(column).is_in(requested)) if requested else examples
    if selection.where:
        try:
            examples = examples.filter(pl.sql_expr(selection.where))
        except (pl.exceptions.PolarsError, ValueError) as error:
            raise SediError(
                f"--where {selection.where!r} is not valid: {str(error).splitlines()[0]}.",
                f'Write an SQL condition over {", ".join(examples.columns)}, such as "loss_before > 1 AND ifd < 0.9".',
            ) from None
    if examples.is_empty():
        raise SediError(f"The selection matches no example: {selection}.", "Relax the selection.")
    return examples


def _measured(store: Store, key: str) -> pl.DataFrame:
    """`example_id` and `MEASURED` of a round's examples; null where an earlier version did not measure."""
    table = store.find_table("examples", "sft_checkpoint", key)
    trained = pl.DataFrame(schema={"example_id": pl.String}) if table is None else table.unique("example_id")
    columns = {
        name: column if column in trained.columns else pl.lit(None, pl.Float64) for name, column in MEASURED.items()
    }
    return trained.select("example_id", **columns)


def split_of(instruction: str, shares: Mapping[str, float] = SHARES) -> str:
    """Return the split of an instruction; case and white space are ignored."""
    text = " ".join(instruction.casefold().split())
    position = int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:8], "big") / 2**64
    for name, share in shares.items():
        position -= share
        if position < 0:
            return name
    return next(iter(shares))


def in_splits(
    examples: pl.DataFrame, shares: Mapping[str, float] = SHARES, shared: SharedInstructions | None = None
) -> dict[str, pl.DataFrame]:
    """Return the examples by split, in the order of `shares`; splits without examples are omitted.

    Args:
        shared: instructions shared by several seed tasks; their examples are split by input, or all would be together.
    """
    texts = (shared or SharedInstructions()).with_compared(examples)["text"]
    names = pl.Series([split_of(text, shares) for text in texts], dtype=pl.String)
    parts = {name: examples.filter(names == name) for name in shares}
    return {name: part for name, part in parts.items() if part.height}


def parse_shares(text: str) -> dict[str, float]:
    """Parse shares such as `train=0.9,test=0.1`.

    Raises:
        SediError: the text has another form, or the shares do not sum to 1.
    """
    try:
        pairs = [part.split("=") for part in text.split(",")]
        shares = {name.strip(): float(share) for name, share in pairs}
    except ValueError:
        raise SediError(f"{text!r} is not a list of splits.", _SPLITS_FIX) from None
    bad = [name for name, share in shares.items() if not (name.isidentifier() and 0 < share <= 1)]
    if bad or abs(sum(shares.values()) - 1) > 1e-9:
        raise SediError(f"The shares of {text!r} do not sum to 1.", _SPLITS_FIX)
    return shares
