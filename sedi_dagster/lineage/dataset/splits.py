"""Assignment to splits by a hash of the instruction, so that examples keep their split as the dataset grows.

All instances of an instruction are in one split; otherwise the test split would contain trained instructions.
"""

import hashlib
from collections.abc import Mapping

import polars as pl

from sedi_dagster.errors import SediError

SHARES: dict[str, float] = {"train": 0.9, "validation": 0.05, "test": 0.05}


def split_of(instruction: str, shares: Mapping[str, float] = SHARES) -> str:
    """The split of an instruction; case and white space do not matter."""
    text = " ".join(instruction.casefold().split())
    place = int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:8], "big") / 2**64
    for name, share in shares.items():
        place -= share
        if place < 0:
            return name
    return next(iter(shares))


def in_splits(examples: pl.DataFrame, shares: Mapping[str, float] = SHARES) -> dict[str, pl.DataFrame]:
    """The examples by split, in the order of `shares`; splits without examples are left out."""
    names = pl.Series([split_of(text, shares) for text in examples["instruction"]], dtype=pl.String)
    parts = {name: examples.filter(names == name) for name in shares}
    return {name: part for name, part in parts.items() if part.height}


def parse_shares(text: str) -> dict[str, float]:
    """`train=0.9,test=0.1` as shares.

    Raises:
        SediError: it is no such list, or the shares do not sum to 1.
    """
    try:
        pairs = [part.split("=") for part in text.split(",")]
        shares = {name.strip(): float(share) for name, share in pairs}
    except ValueError:
        raise SediError(f"{text!r} names no splits.", "Write them as train=0.9,validation=0.05,test=0.05.") from None
    bad = [name for name, share in shares.items() if not (name.isidentifier() and 0 < share <= 1)]
    if bad or abs(sum(shares.values()) - 1) > 1e-9:
        raise SediError(
            f"The shares of {text!r} do not sum to 1.", "Write them as train=0.9,validation=0.05,test=0.05."
        )
    return shares
