"""Groups that are as diverse inside as can be: anticlustering by linear assignment.

The objective is the mean over groups of the mean cosine distance inside. For n unit vectors with sum S that is
1 - (|S|^2 - n) / (n (n - 1)), half their mean squared Euclidean distance, so that low |S|^2 is sought, each weighted by
1 / (n (n - 1)): a group that is shorter than the others is to be as diverse as they are. Groups are filled as in
assignment-based anticlustering (Baumann and others, arXiv 2601.06351): rows far from the centre first, one for each
group at a time, by the linear assignment to the groups that they differ from most. Then one row is taken out of each
group and all of them are assigned again, while that pays: each such step is the best of all cyclic exchanges among
these rows, of which the exchange of two rows (Papenberg and Klau 2021) is the smallest.

Assignments are solved in blocks of groups, new ones in every step, so that time and memory grow linearly with the
rows. (The paper bounds them by splitting groups in two levels; blocks that change keep every row within reach.)
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

BLOCK = 1024
"""Groups in one assignment. Its time grows faster than its square: 1,024 take 0.05 s, 128 take 0.6 ms."""

MOST_SWEEPS = 500
SWEPT_ROWS = 200_000
"""Sweeps over all rows: at most 500, and so many that 200,000 rows are assigned again in blocks of full size. (In
smaller blocks, that is with fewer groups, proportionally more.) They end sooner once they do not pay."""

PAYS = 1e-5
"""A sweep pays if it lowers the objective by this share of what lies above its bound."""

IDLE_SWEEPS = 10
EMPTY = -1
_FORBIDDEN = 1e9
_GRAIN = 2.0**-20


def anticlusters(
    vectors: np.ndarray, categories: np.ndarray, human: np.ndarray, quotas: np.ndarray, rng: np.random.Generator
) -> list[list[int]]:
    """Put each row into a group, so that the groups are diverse inside and keep their shares.

    The same arguments give the same groups on any machine and with any number of threads: vectors are rounded to
    multiples of 2^-20, whose sums and products a float64 holds exactly, in whatever order they are added.

    Args:
        vectors: unit vectors, float32, shape (rows, dimensions).
        categories: number of each row's category.
        human: whether the row is a human seed task, 0 or 1.
        quotas: rows of each kind for each group, shape (groups, categories, 2); groups of one size first. Rows of
            other categories may change places as long as no group gets more or less of a category, or of human
            rows, than some group of its size has in `quotas`.

    Returns:
        Row numbers of each group.
    """
    groups = _Groups(vectors, categories, human, quotas)
    groups.fill(rng)
    idle = 0
    affordable = SWEPT_ROWS * BLOCK // (len(vectors) * min(len(quotas), BLOCK))
    for sweep in range(min(MOST_SWEEPS, affordable)):
        paid = groups.sweep(rng, aligned=sweep % 2 == 0) > PAYS * groups.excess()
        idle = 0 if paid else idle + 1
        if idle == IDLE_SWEEPS:
            break
    return [[int(row) for row in members if row != EMPTY] for members in groups.members]


class _Groups:
    """Groups while they are filled and improved: members, and the sum of each group's vectors."""

    def __init__(self, vectors: np.ndarray, categories: np.ndarray, human: np.ndarray, quotas: np.ndarray) -> None:
        import numpy as np

        self._vectors = _rounded(vectors)
        self._quotas = quotas.reshape(len(quotas), -1)
        self._kinds = 2 * categories + human
        sizes = self._quotas.sum(axis=1)
        self.members = np.full((len(quotas), sizes.max()), EMPTY, dtype=np.int64)
        self._sums = np.zeros((len(quotas), vectors.shape[1]))
        pairs = sizes * (sizes - 1)
        self._weights = np.where(pairs > 0, pairs.max() / np.maximum(pairs, 1), 0.0)
        # What each group has of each category and, in two more columns, of each origin; and what it may have.
        self._tags = np.stack([categories, quotas.shape[1] + human], axis=1)
        self._counts = np.concatenate([quotas.sum(axis=2), quotas.sum(axis=1)], axis=1)
        self._least, self._most = np.empty_like(self._counts), np.empty_like(self._counts)
        for size in np.unique(sizes):
            alike = sizes == size
            self._least[alike] = self._counts[alike].min(axis=0)
            self._most[alike] = self._counts[alike].max(axis=0)

    def excess(self) -> float:
        """How far the weighted sum of |S|^2 is above what it were if every group had the mean of all rows."""
        import numpy as np

        mean = self._sums.sum(axis=0) / len(self._vectors)
        bound = self._weights * np.square(self._quotas.sum(axis=1)) * np.square(mean).sum()
        squares: np.ndarray = np.einsum("gd,gd->g", self._sums, self._sums) * self._weights
        return float((squares - bound).sum())

    def fill(self, rng: np.random.Generator) -> None:
        """Meet the quotas, one row for each group at a time."""
        import numpy as np
        from scipy.optimize import linear_sum_assignment

        filled = np.zeros(len(self.members), dtype=np.int64)
        for rows, groups in self._layers(rng):
            chosen = self._vectors[rows].astype(np.float64)
            if filled[groups].any():
                cost = (chosen @ self._sums[groups].T) * self._weights[groups]
                groups = groups[linear_sum_assignment(cost)[1]]
            self.members[groups, filled[groups]] = rows
            filled[groups] += 1
            self._sums[groups] += chosen

    def _layers(self, rng: np.random.Generator) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Equally many rows of one kind and groups that still want one, in blocks; the kinds take turns."""
        import numpy as np

        order = self._outermost_first(rng)
        layers = []
        for kind in np.unique(self._kinds):
            rows = order[self._kinds[order] == kind]
            depth, taken = int(self._quotas[:, kind].max()), 0
            for layer in range(depth):
                groups = np.flatnonzero(self._quotas[:, kind] > layer)
                layers.append(((layer + 0.5) / depth, int(kind), rows[taken : taken + len(groups)], groups))
                taken += len(groups)
        for _, _, rows, groups in sorted(layers, key=lambda layer: layer[:2]):
            shuffled, blocks = rng.permutation(groups), -(-len(groups) // BLOCK)
            for block in range(blocks):
                yield rows[block::blocks], shuffled[block::blocks]

    def _outermost_first(self, rng: np.random.Generator) -> np.ndarray:
        """Row numbers by falling distance from the centre of all rows; ties by chance."""
        import numpy as np

        centre = _rounded(self._vectors.mean(axis=0, dtype=np.float64))
        parts = np.array_split(self._vectors, -(-len(self._vectors) // 10_000))
        nearness = np.concatenate([part.astype(np.float64) @ centre for part in parts])
        return np.lexsort((rng.permutation(len(nearness)), nearness))

    def sweep(self, rng: np.random.Generator, aligned: bool) -> float:
        """Take out and assign again every row once; returns by how much that lowered the objective.

        `aligned`: rows of one category are taken out together as far as can be, and may then go to any group.
        """
        import numpy as np

        turn = np.asarray(rng.random(self.members.shape)) + (self._kinds[self.members] if aligned else 0)
        turn[self.members == EMPTY] = np.inf
        self.members = np.take_along_axis(self.members, np.argsort(turn, axis=1), axis=1)
        gained = 0.0
        for place in range(self.members.shape[1]):
            groups = rng.permutation(np.flatnonzero(self.members[:, place] != EMPTY))
            for block in np.array_split(groups, -(-len(groups) // BLOCK)):
                gained += self._assign_again(block, place)
        return gained

    def _assign_again(self, groups: np.ndarray, place: int) -> float:
        import numpy as np
        from scipy.optimize import linear_sum_assignment

        rows = self.members[groups, place]
        chosen = self._vectors[rows].astype(np.float64)
        left = self._sums[groups] - chosen
        cost = np.asarray(chosen @ left.T) * self._weights[groups]
        now = np.trace(cost)
        if len(self._counts[0]) > 3:
            cost[~self._allowed(rows, groups)] = _FORBIDDEN
        _, to = linear_sum_assignment(cost)
        gained = 2.0 * float(now - cost[np.arange(len(rows)), to].sum())
        if gained > 0:
            for tag in self._tags[rows].T:
                self._counts[groups, tag] -= 1
                self._counts[groups[to], tag] += 1
            self.members[groups[to], place] = rows
            self._sums[groups[to]] = left[to] + chosen
        return max(gained, 0.0)

    def _allowed(self, rows: np.ndarray, groups: np.ndarray) -> np.ndarray:
        """Whether a row may go to a group that gives away its own of `rows`: shape (rows, groups)."""
        import numpy as np

        allowed = np.ones((len(rows), len(groups)), dtype=bool)
        may_take, may_give = self._counts[groups] < self._most[groups], self._counts[groups] > self._least[groups]
        for tag in self._tags[rows].T:
            gives = may_give[np.arange(len(groups)), tag]
            allowed &= (tag[:, None] == tag[None]) | (may_take[:, tag].T & gives[None])
        return allowed


def _rounded(vectors: np.ndarray) -> np.ndarray:
    import numpy as np

    rounded: np.ndarray = np.rint(vectors / _GRAIN)
    rounded *= _GRAIN
    return rounded
