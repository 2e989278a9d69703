"""A panel of any size with a known effect, written to Parquet in parts, so that no more than one part is ever in memory.

    python benchmarks/make_panel.py --rows 1_000_000 --out panel_1e6

Half of the units are never treated; the others belong to groups with three dates of onset each. Units differ in level, treated
ones by more; errors are AR(1) with ρ = 0.5 and innovations of sd 1. Rows are sorted by unit and time. The same arguments write
the same rows. ``_truth.json`` holds the effects.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

PERIODS, GROUPS, DATES = 25, 8, 3
UNITS_A_PART = 100_000
RHO, SIGMA, SELECTION = 0.5, 1.0, 0.5


def main() -> None:
    """Write a panel and print its truth."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=lambda text: int(float(text)), default=1_000_000, help="about how many: whole units")
    parser.add_argument("--out", type=Path, required=True, help="a folder that does not exist yet")
    parser.add_argument("--covariates", type=int, default=0)
    parser.add_argument("--late", type=float, default=0.0, help="share of units that enter five periods late")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    print(json.dumps(write_panel(asked.out, asked.rows, covariates=asked.covariates, late=asked.late, seed=asked.seed)))


def write_panel(folder: Path, rows: int, *, covariates: int = 0, late: float = 0.0, seed: int = 1) -> dict[str, Any]:
    """Write a panel of rows / 25 units to a new folder.

    Returns
    -------
    dict
        `rows`, `units`, `att` (mean effect over treated cells), `group` (effect of each group).
    """
    import pyarrow.parquet as pq

    folder.mkdir(parents=True)
    units = max(rows // PERIODS, 4 * GROUPS * DATES)
    shared = np.random.default_rng(seed)
    effect = np.r_[0.0, 0.3 + 0.2 * shared.standard_normal(GROUPS)]
    time_effect = 0.5 * shared.standard_normal(PERIODS)
    total, cells, written = 0.0, 0, 0
    for part, first in enumerate(range(0, units, UNITS_A_PART)):
        own = np.arange(first, min(first + UNITS_A_PART, units))
        columns = _part(np.random.default_rng([seed, part]), own, effect, time_effect, covariates, late)
        table = _table(columns)
        pq.write_table(table, folder / f"part-{part:05d}.parquet", row_group_size=1_000_000)
        on = columns["treated"] == 1
        total, cells, written = total + effect[columns["campaign"][on]].sum(), cells + int(on.sum()), written + table.num_rows
    truth = {"rows": written, "units": units, "att": total / cells, "group": dict(enumerate(effect[1:].tolist(), 1))}
    (folder / "_truth.json").write_text(json.dumps(truth))
    return truth


def _part(
    rng: np.random.Generator, units: np.ndarray, effect: np.ndarray, time_effect: np.ndarray, covariates: int, late: float
) -> dict[str, np.ndarray]:
    """Columns of the rows of some units, (n,) each."""
    u, t = units.size, np.arange(PERIODS)
    group = np.where(rng.random(u) < 0.5, 0, rng.integers(1, GROUPS + 1, u))
    onset = 7 + group % 4 + 4 * rng.integers(0, DATES, u)
    treated = (group > 0)[:, None] & (t >= onset[:, None])
    alpha = SELECTION * (group > 0) + rng.standard_normal(u)
    errors = SIGMA * rng.standard_normal((u, PERIODS))
    errors[:, 0] /= np.sqrt(1 - RHO**2)
    for k in range(1, PERIODS):
        errors[:, k] += RHO * errors[:, k - 1]
    x = rng.standard_normal((covariates, u, PERIODS))
    y = alpha[:, None] + time_effect + np.where(treated, effect[group][:, None], 0.0) + errors + 0.5 * x.sum(0)
    seen = (t >= 5) | (rng.random(u) >= late)[:, None]
    named = {
        "unit": np.broadcast_to(units[:, None].astype(np.int32), seen.shape),
        "time": np.broadcast_to(t.astype(np.int16), seen.shape),
        "y": y,
        "treated": treated.astype(np.int8),
        "campaign": np.broadcast_to(group[:, None].astype(np.int8), seen.shape),
    } | {f"x{k + 1}": x[k] for k in range(covariates)}
    return {name: values[seen] for name, values in named.items()}


def _table(columns: dict[str, np.ndarray]) -> Any:
    import pyarrow as pa

    return pa.table(columns)


if __name__ == "__main__":
    main()
