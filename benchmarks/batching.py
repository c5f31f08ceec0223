"""In-batch diversity and time of the composition, beside others, on the same vectors.

    python benchmarks/batching.py quality --corpus FILE   # batch 8, 32, 128; a JSON list or JSON lines of instructions
    python benchmarks/batching.py anticlustering-package --peer-python PYTHON
    python benchmarks/batching.py search                  # 2,000 rows against a long local search
    python benchmarks/batching.py scale                   # 10,000 to 1,000,000 rows of 384 numbers
    python benchmarks/batching.py plot LINES PNG          # of what `quality` printed
    python benchmarks/batching.py shares                  # what it costs to keep shares in each batch

Without --corpus the texts are this project's seed tasks and evaluation items. Peers: random batches; SeDi-Instruct's
recipe (k-means, then clusters dealt round robin); exchange of two rows as in R's anticlust (fast_anticlustering: some
exchange partners a row); assignment-based anticlustering as published; the package anti-clustering, in the interpreter
given with --peer-python. Prints one JSON line a measurement.
"""

from __future__ import annotations

import functools
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
from scipy.optimize import linear_sum_assignment
from sklearn.cluster import KMeans

from sedi_dagster.batching.composition import compose
from sedi_dagster.batching.diversity import in_batch
from sedi_dagster.batching.embedding import BUNDLED, embed

ROOT = Path(__file__).resolve().parents[1]
Batches = list[list[int]]


def instructions(corpus: str | None) -> list[str]:
    if corpus is None:
        files = [(ROOT / "seeds/seed_tasks.jsonl", "instruction"), (ROOT / "seeds/evaluation_items.jsonl", "prompt")]
        return [json.loads(line)[field] for file, field in files for line in file.read_text("utf-8").splitlines()]
    text = Path(corpus).read_text(encoding="utf-8")
    rows = json.loads(text) if text.lstrip().startswith("[") else [json.loads(line) for line in text.splitlines()]
    return [row["instruction"] for row in rows]


def embedded(corpus: str | None) -> np.ndarray:
    vectors = embed(instructions(corpus), BUNDLED)
    return vectors[np.random.default_rng(0).permutation(len(vectors))]


def mixture(rows: int, dimensions: int = 384, subjects: int = 2000) -> np.ndarray:
    """Unit vectors around subjects of uneven size, with a common direction: cosines like those of instructions."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((subjects, dimensions), dtype=np.float32)
    centres += 0.4 * rng.standard_normal(dimensions, dtype=np.float32)
    weights = 1.0 / np.arange(1, subjects + 1) ** 0.7
    vectors = np.empty((rows, dimensions), dtype=np.float32)
    for start in range(0, rows, 50_000):
        part = rng.choice(subjects, min(50_000, rows - start), p=weights / weights.sum())
        drawn = centres[part] + 1.1 * rng.standard_normal((len(part), dimensions), dtype=np.float32)
        vectors[start : start + len(part)] = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
    return vectors


def chunked(rows: np.ndarray, batch_size: int) -> Batches:
    return [rows[i : i + batch_size].tolist() for i in range(0, len(rows), batch_size)]


def round_robin_k_means(vectors: np.ndarray, batch_size: int) -> Batches:
    """As many clusters as a batch has rows; each batch takes from one cluster after the other while they last."""
    labels = KMeans(n_clusters=batch_size, n_init=1, random_state=0).fit_predict(vectors)
    rng = np.random.default_rng(0)
    queues = [rng.permutation(np.flatnonzero(labels == k)).tolist() for k in range(batch_size)]
    order = []
    while any(queues):
        order += [queue.pop() for queue in queues if queue]
    return chunked(np.array(order), batch_size)


def published_aba(vectors: np.ndarray, batch_size: int) -> Batches:
    """Assignment-based anticlustering in one level (arXiv 2601.06351, algorithm 1), without improvement."""
    rows, groups = len(vectors), -(-len(vectors) // batch_size)
    wide = vectors.astype(np.float64)
    order = np.argsort(-np.square(wide - wide.mean(axis=0)).sum(axis=1), kind="stable")
    members: Batches = [[int(row)] for row in order[:groups]]
    centres = wide[order[:groups]]
    for number, start in enumerate(range(groups, rows, groups), start=2):
        part = order[start : start + groups]
        squared = np.square(centres).sum(axis=1)[None] - 2 * wide[part] @ centres.T
        taken, to = linear_sum_assignment(squared, maximize=True)
        for row, group in zip(part[taken], to, strict=True):
            members[group].append(int(row))
        centres[to] += (wide[part[taken]] - centres[to]) / number
    return members


class Exchange:
    """Exchange of two rows: each row with its best partner, over and over (`partners`: only so many tried a row)."""

    def __init__(self, vectors: np.ndarray, batch_size: int, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self._cosines = vectors.astype(np.float64) @ vectors.T.astype(np.float64)
        self._groups = -(-len(vectors) // batch_size)
        self._vectors = vectors.astype(np.float64)
        self.group = self._rng.permutation(len(vectors)) // batch_size

    def batches(self) -> Batches:
        return [np.flatnonzero(self.group == g).tolist() for g in range(self._groups)]

    def climb(self, deadline: float, partners: int | None = None) -> None:
        """Until no row has a better place, or once over all rows if partners are drawn."""
        sums = np.zeros((self._groups, self._vectors.shape[1]))
        np.add.at(sums, self.group, self._vectors)
        near, rows = self._vectors @ sums.T, len(self.group)
        weights = 1.0 / np.maximum(1, np.bincount(self.group) * (np.bincount(self.group) - 1))
        moved = True
        while moved and time.perf_counter() < deadline:
            moved = False
            for i in self._rng.permutation(rows):
                with_ = np.arange(rows) if partners is None else self._rng.integers(0, rows, partners)
                a, b = self.group[i], self.group[with_]
                apart = 1 - self._cosines[i, with_]
                change = weights[a] * (near[with_, a] - near[i, a] + apart)
                change = change - weights[b] * (near[with_, b] - near[i, b] - apart)
                change[b == a] = 0
                best = int(change.argmin())
                if change[best] < -1e-12:
                    j, other = int(with_[best]), int(b[best])
                    difference = self._cosines[:, j] - self._cosines[:, i]
                    near[:, a] += difference
                    near[:, other] -= difference
                    self.group[i], self.group[j] = other, a
                    moved = True
            if partners is not None:
                return


def exchanged(vectors: np.ndarray, batch_size: int) -> Batches:
    search = Exchange(vectors, batch_size, seed=0)
    search.climb(time.perf_counter() + 600, partners=100)
    return search.batches()


def package(peer_python: str, method: str) -> Callable[[np.ndarray, int], Batches]:
    def run(vectors: np.ndarray, batch_size: int) -> Batches:
        groups = -(-len(vectors) // batch_size)
        with tempfile.TemporaryDirectory() as folder:
            file, out = f"{folder}/vectors.npy", f"{folder}/groups.npy"
            np.save(file, vectors)
            peer = str(Path(__file__).with_name("batching_peer.py"))
            subprocess.run([peer_python, peer, file, str(groups), method, out, "0"], check=True, capture_output=True)
            found = np.load(out)
        return [np.flatnonzero(found == group).tolist() for group in np.unique(found)]

    return run


def ours(vectors: np.ndarray, batch_size: int) -> Batches:
    return compose(vectors, batch_size, "diverse", 0)


def compose_kept(vectors: np.ndarray, batch_size: int, **kinds: Any) -> Batches:
    return compose(vectors, batch_size, "diverse", 0, **kinds)


def shuffled(vectors: np.ndarray, batch_size: int) -> Batches:
    return compose(vectors, batch_size, "random", 0)


def tell(what: str, method: str, vectors: np.ndarray, batch: int, run: Callable[[np.ndarray, int], Batches]) -> None:
    started, cpu = time.perf_counter(), sum(os.times()[:4])
    batches = run(vectors, batch)
    line = {
        "what": what,
        "method": method,
        "rows": len(vectors),
        "batch": batch,
        "seconds": round(time.perf_counter() - started, 2),
        "cpu_seconds": round(sum(os.times()[:4]) - cpu, 2),
        **{name: round(value, 5) for name, value in in_batch(vectors, batches).items()},
    }
    print(json.dumps(line), flush=True)


@click.group()
def main() -> None:
    """Composition of training batches beside others."""


CORPUS = click.option("--corpus", default=None, help="JSON list or JSON lines with `instruction`")


@main.command()
@CORPUS
def quality(corpus: str | None) -> None:
    """In-batch distance and Vendi score for batches of 8, 32 and 128."""
    vectors = embedded(corpus)
    for size in (8, 32, 128):
        tell("quality", "random", vectors, size, shuffled)
        for peer in (round_robin_k_means, exchanged, published_aba):
            tell("quality", peer.__name__, vectors, size, peer)
        tell("quality", "ours", vectors, size, ours)


@main.command()
@CORPUS
@click.option("--peer-python", required=True, help="interpreter with the package anti-clustering")
@click.option("--rows", default=96, help="its time grows with their fourth power")
def anticlustering_package(corpus: str | None, peer_python: str, rows: int) -> None:
    """The package anti-clustering on few rows."""
    vectors = embedded(corpus)[:rows]
    for size in (8, 32):
        tell("package", "random", vectors, size, shuffled)
        for method in ("exchange", "annealing"):
            tell("package", f"anti-clustering {method}", vectors, size, package(peer_python, method))
        tell("package", "ours", vectors, size, ours)


@main.command()
@CORPUS
@click.option("--seconds", default=120, help="time of the local search for each batch size")
def search(corpus: str | None, seconds: int) -> None:
    """2,000 rows: ours against an exchange local search that starts again from its best, disturbed."""
    vectors = embedded(corpus)[:2000] if corpus else mixture(2000)
    for size in (8, 40):
        tell("search", "random", vectors, size, shuffled)
        tell("search", "ours", vectors, size, ours)
        tell("search", "local search", vectors, size, functools.partial(long_search, seconds=seconds))


def long_search(vectors: np.ndarray, batch_size: int, seconds: float) -> Batches:
    exchange, rng = Exchange(vectors, batch_size, seed=0), np.random.default_rng(1)
    deadline = time.perf_counter() + seconds
    best, best_distance = exchange.group.copy(), 0.0
    while time.perf_counter() < deadline:
        exchange.climb(deadline)
        distance = in_batch(vectors, exchange.batches())["distance"]
        if distance > best_distance:
            best, best_distance = exchange.group.copy(), distance
        exchange.group = best.copy()
        moved = rng.choice(len(vectors), len(vectors) // 50, replace=False)
        exchange.group[moved] = exchange.group[rng.permutation(moved)]
    exchange.group = best
    return exchange.batches()


@main.command()
@click.option("--rows", default="10000,30000,100000", help="sizes, with commas between")
@click.option("--batch", default=8)
def scale(rows: str, batch: int) -> None:
    """Time and peak memory of each size in a process of its own."""
    for count in rows.split(","):
        subprocess.run([sys.executable, __file__, "one-size", count, str(batch)], check=True)


@main.command("one-size", hidden=True)
@click.argument("rows", type=int)
@click.argument("batch", type=int)
def one_size(rows: int, batch: int) -> None:
    vectors = mixture(rows)
    tell("scale", "random", vectors, batch, shuffled)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    tell("scale", "ours", vectors, batch, ours)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    megabytes = {"vectors": vectors.nbytes >> 20, "before": before >> 10, "peak": peak >> 10}
    print(json.dumps({"what": "memory", "rows": rows, "megabytes": megabytes}), flush=True)


@main.command()
@click.argument("lines", type=click.File())
@click.argument("png")
def plot(lines: Any, png: str) -> None:
    """A figure of the lines that `quality` printed: what each method adds to the distance of random batches."""
    import matplotlib.pyplot as plt

    told = [json.loads(line) for line in lines if '"quality"' in line]
    sizes = sorted({row["batch"] for row in told})
    figure, axes = plt.subplots(1, len(sizes), figsize=(9, 2.6), layout="constrained")
    for size, panel in zip(sizes, axes, strict=True):
        rows = [row for row in told if row["batch"] == size]
        by_chance = next(row["distance"] for row in rows if row["method"] == "random")
        rows = [row for row in reversed(rows) if row["method"] != "random"]
        colours = ["#2f6f9f" if row["method"] == "ours" else "#b9c4cc" for row in rows]
        names = [row["method"].replace("_", " ") for row in rows] if size == sizes[0] else [""] * len(rows)
        bars = panel.barh(range(len(rows)), [row["distance"] - by_chance for row in rows], color=colours)
        panel.bar_label(bars, fmt="%+.4f", padding=3, fontsize=8)
        panel.set_yticks(range(len(rows)), names)
        panel.axvline(0, color="black", linewidth=0.8)
        panel.margins(x=0.35)
        panel.set_title(f"batches of {size} (random: {by_chance:.3f})", fontsize=9)
        panel.spines[["top", "right"]].set_visible(False)
    figure.supxlabel("in-batch cosine distance above random batches", fontsize=9)
    figure.savefig(png, dpi=130)


@main.command()
@CORPUS
def shares(corpus: str | None) -> None:
    """12 categories of uneven size and half of the rows human: free composition, and with shares kept in each batch."""
    vectors, rng = embedded(corpus), np.random.default_rng(0)
    categories = [f"c{n}" for n in rng.choice(12, len(vectors), p=np.arange(1, 13) / 78)]
    human = (rng.random(len(vectors)) < 0.5).tolist()
    for count in (80, len(vectors)):
        few, kinds = vectors[:count], {"categories": categories[:count], "human": human[:count]}
        tell("shares", "random", few, 8, shuffled)
        tell("shares", "free", few, 8, ours)
        tell("shares", "kept", few, 8, functools.partial(compose_kept, **kinds))


if __name__ == "__main__":
    main()
