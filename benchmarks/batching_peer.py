"""The package anti-clustering on vectors from a file, in the interpreter it is installed in.

python benchmarks/batching_peer.py VECTORS.npy GROUPS METHOD OUT.npy SEED
"""

from __future__ import annotations

import sys
import time

import anti_clustering
import numpy as np
import pandas as pd


def main() -> None:
    file, groups, method, out, seed = sys.argv[1:]
    vectors = np.load(file)
    columns = [f"x{i}" for i in range(vectors.shape[1])]
    kinds = {
        "exchange": lambda: anti_clustering.ExchangeHeuristicAntiClustering(restarts=1, random_seed=int(seed)),
        "annealing": lambda: anti_clustering.SimulatedAnnealingHeuristicAntiClustering(random_seed=int(seed)),
    }
    started = time.perf_counter()
    solved = kinds[method]().run(
        df=pd.DataFrame(vectors, columns=columns),
        numerical_columns=columns,
        categorical_columns=None,
        num_groups=int(groups),
        destination_column="group",
    )
    print(time.perf_counter() - started)
    np.save(out, solved["group"].to_numpy())


if __name__ == "__main__":
    main()
