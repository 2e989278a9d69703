"""The collapsed engine on every device JAX sees: a batch of marginal densities, and a whole fit.

Needs jax, numpyro, numpy, scipy, xarray (with pandas), narwhals and arviz-stats beside the package. Where there is no
accelerator it says so and times the CPU alone. Small models are slower on an accelerator; the table shows from which size on
they are not.

    python benchmarks/gpu.py
    python benchmarks/gpu.py --units 20000 --periods 50 --groups 25 --json
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

POINTS = (256, 4096)


def main() -> None:
    """Time every device and print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--units", type=int, default=2000)
    parser.add_argument("--periods", type=int, default=50)
    parser.add_argument("--groups", type=int, default=20)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    from bayes_causal.data.simulate import simulate_panel
    from bayes_causal.models.hierarchical_did import HierarchicalDiD

    panel, _ = simulate_panel(units=asked.units, periods=asked.periods, groups=asked.groups, effect=0.5, rho=0.4, seed=1)
    model = HierarchicalDiD(panel, effect="group")
    rows = [row for device in devices() for row in timed(model, device)]
    if asked.json:
        print(json.dumps({"rows": panel.counts["rows_kept"], "measured": rows}, indent=1))
        return
    print(f"{panel.counts['rows_kept']:,} rows, jax {jax.__version__}, float64")
    for r in rows:
        print(f"{r['device']:<28} {r['what']:<24} cold {r['cold_s']:8.3f} s   warm {r['warm_s']:8.3f} s")
    if len({r["device"] for r in rows}) == 1:
        print("no accelerator here: only the CPU was measured")


def devices() -> list[jax.Device]:
    """The CPU, and the default device where that is another."""
    return list({d.platform: d for d in (jax.devices("cpu")[0], jax.devices()[0])}.values())


def timed(model: Any, device: jax.Device) -> list[dict[str, Any]]:
    """Seconds of each batch and of the whole fit on one device, first and second time."""
    from bayes_causal.inference.collapsed import Collapsed
    from bayes_causal.inference.programs import forget, programs

    forget()
    rows = []
    with jax.default_device(device), jax.enable_x64(True):
        form = model.collapsed()
        sums = jax.tree.map(jnp.asarray, form.sums)
        for points in POINTS:
            t = jnp.asarray(np.random.default_rng(points).standard_normal((points, len(form.hypers))))
            density = programs(form).density
            rows.append(_row(device, f"{points:,} densities", lambda f=density, t=t: jax.block_until_ready(f(sums, t))))
        rows.append(_row(device, "fit, 4 × 1,000 draws", lambda: Collapsed().sample(model, seed=1)))
    return rows


def _row(device: jax.Device, what: str, run: Any) -> dict[str, Any]:
    seconds = []
    for _ in range(2):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return {"device": device.device_kind, "what": what, "cold_s": seconds[0], "warm_s": seconds[1]}


if __name__ == "__main__":
    main()
