"""How many rows of each kind a batch gets: its proportional share of each category and of human seeds.

A table of counts divided over batches gives fractions; they are rounded so that every batch gets the floor or the
ceiling of its share, of each category and of human rows, and all counts stay what they are (controlled rounding;
that it can always be done is de Werra's theorem on balanced edge colourings of bipartite multigraphs, 1971).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


def dealt_shares(counts: np.ndarray, sizes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rows of each kind for each batch.

    All batches have the size of the first, but the last may be shorter. A shorter last batch gets its rounded share of
    all rows; the others divide the rest equally.

    Args:
        counts: rows of each kind, shape (categories, 2); the columns are machine and human.
        sizes: rows of each batch, shape (batches,); they sum up to the rows.

    Returns:
        Shape (batches, categories, 2).
    """
    import numpy as np

    short = sizes[-1] < sizes[0]
    last = _rounded(counts * (sizes[-1] / counts.sum()), rng) if short else np.zeros_like(counts)
    whole = _dealt(counts - last, len(sizes) - short, rng)
    return np.concatenate([whole, last[None]]) if short else whole


def _rounded(shares: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Each entry, row sum and column sum to its floor or ceiling, the sum (a whole number) as it is.

    The constraints are those of a flow, so a vertex of the linear program has whole numbers (Cox 1987).
    """
    import numpy as np
    from scipy.optimize import linprog

    rows, columns = shares.shape
    cells = np.arange(shares.size).reshape(shares.shape)
    sums = [*cells, *cells.T]
    summed = np.zeros((len(sums), shares.size))
    for number, members in enumerate(sums):
        summed[number, members] = 1.0
    near = np.round(shares, 9)  # 2.9999999999 is 3
    totals = np.round(summed @ shares.ravel(), 9)
    found = linprog(
        rng.random(shares.size),
        A_ub=np.vstack([summed, -summed]),
        b_ub=np.concatenate([np.ceil(totals), -np.floor(totals)]),
        A_eq=np.ones((1, shares.size)),
        b_eq=np.rint(shares.sum(keepdims=True)).ravel(),
        bounds=list(zip(np.floor(near).ravel().tolist(), np.ceil(near).ravel().tolist(), strict=True)),
        method="highs-ds",
    )
    whole: np.ndarray = np.rint(np.asarray(found.x)).astype(np.int64).reshape(rows, columns)
    return whole


def _dealt(counts: np.ndarray, batches: int, rng: np.random.Generator) -> np.ndarray:
    """The counts over equal batches, shape (batches, categories, 2)."""
    import numpy as np

    categories = len(counts)
    every, rest = np.divmod(counts, batches)
    # Deal what is left over like cards, a category after the other: what lies in a run goes round evenly.
    order = rng.permutation(categories)
    kinds = np.repeat((2 * order[:, None] + np.arange(2)).ravel(), rest[order].ravel())
    dealt = np.zeros((batches, categories, 2), dtype=np.int64)
    dealt.reshape(batches, -1)[np.arange(len(kinds)) % batches, kinds] = 1
    # Human rows lie in many runs; batches with too many and too few of them deal again between themselves.
    while True:
        human = dealt[:, :, 1].sum(axis=1)
        by_human = np.argsort(human, kind="stable")
        few, many = by_human[: batches // 2], by_human[::-1][: batches // 2]
        apart = human[many] - human[few] >= 2
        if not apart.any():
            shares: np.ndarray = every[None] + dealt
            return shares
        dealt[many[apart]], dealt[few[apart]] = _dealt_again(dealt[many[apart]], dealt[few[apart]])


def _dealt_again(left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of batches with the same rows between them, human rows now even to one. Shapes (pairs, categories, 2).

    What both have, both keep. A category of which each has one, of different origin, may change hands as a pair and
    nobody gets more of it; the single rows that only one of them has go to the two in turn.
    """
    import numpy as np

    both, apart = left + right, left != right
    crossed = apart.all(axis=2)
    single = apart & ~crossed[:, :, None]
    crossed_turn = _in_turn(crossed)  # +1: the left one gets the human row
    odd = crossed.sum(axis=1) % 2 == 1
    human_turn = _in_turn(single[:, :, 1]) * np.where(odd, -1, 1)[:, None]
    machine_turn = _in_turn(single[:, :, 0]) * np.where(odd, 1, -1)[:, None]
    turn = np.stack([machine_turn - crossed_turn, human_turn + crossed_turn], axis=2)
    return (both + turn) // 2, (both - turn) // 2


def _in_turn(chosen: np.ndarray) -> np.ndarray:
    """+1, -1, +1, ... at the chosen places of each row, 0 elsewhere."""
    import numpy as np

    return np.where(chosen, 2 * (np.cumsum(chosen, axis=1) % 2) - 1, 0)
