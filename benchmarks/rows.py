"""What a fit costs as rows grow: seconds and peak memory against DuckDB's own GROUP BY over the same files, in one run.

    python benchmarks/rows.py                                       # 1e5, 1e6 and 1e7 rows, independent errors
    python benchmarks/rows.py --rows 1e5 1e8 --errors iid ar1       # 100 million rows need 1 GB of disk for a while

Every size runs in a process of its own, which first does everything once on 100,000 rows: start-up and compilation are outside
the seconds, and inside the peak memory. Every measurement is the least of three after one that is thrown away, so that neither
side pays for the disk. The GROUP BY is ``select unit, sum(y), sum(y * y), count(*) … group by unit``. "sums" reads the Parquet
files into a `PanelSource`; "posterior" goes from there to the att (identification, 1,000 draws in each of 4 chains, their mean);
"fit" is both at once, from files to the att. "beside" is what `bayes_causal.fit` does after sampling (prior draws, likelihood and
prior densities for the checks), most of it compilation, the same for every number of rows.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

COLUMNS = {"unit": "unit", "time": "time", "outcome": "y", "treatment": "treated", "group": "campaign"}
GROUP_BY = "select count(*), max(s), max(q), max(n) from (select unit, sum(y) s, sum(y * y) q, count(*) n from {} group by unit)"
SMALL = 100_000
HEAD = (
    "rows",
    "errors",
    "GROUP BY s",
    "sums s",
    "posterior s",
    "fit s",
    "fit / GROUP BY",
    "beside s",
    "peak MiB",
    "att",
    "truth",
)


def main() -> None:
    """Write the panels to a temporary folder, measure each, print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", nargs="+", type=lambda text: int(float(text)), default=[10**5, 10**6, 10**7])
    parser.add_argument("--errors", nargs="+", choices=("iid", "ar1"), default=["iid"])
    parser.add_argument("--effect", choices=("constant", "group", "event_time", "cohort_time"), default="group")
    parser.add_argument("--folder", type=Path, help="where the panels are written, and left; a temporary folder by default")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(measure(Path(asked.one[0]), asked.one[1], asked.effect)))
        return
    with tempfile.TemporaryDirectory(prefix="bayes-causal-rows-") as temporary:
        folder = asked.folder or Path(temporary)
        measured = [in_own_process(folder, rows, errors) for rows in asked.rows for errors in asked.errors]
    print(json.dumps(measured, indent=1) if asked.json else table(measured))


def in_own_process(folder: Path, rows: int, errors: str) -> dict[str, Any]:
    """The measurement of one size, from a fresh process; panels are written where they are not there yet."""
    for size in (SMALL, rows):
        if not (folder / f"{size}" / "_truth.json").exists():
            make = [
                sys.executable,
                str(Path(__file__).with_name("make_panel.py")),
                "--rows",
                str(size),
                "--out",
                str(folder / f"{size}"),
            ]
            subprocess.run(make, check=True, stdout=subprocess.DEVNULL)
    arguments = [a for a in sys.argv[1:] if a != "--json"]
    done = subprocess.run(
        [sys.executable, __file__, *arguments, "--one", str(folder / f"{rows}"), errors],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{rows:,} rows failed:\n{done.stderr}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def measure(folder: Path, errors: str, effect: str) -> dict[str, Any]:
    """Seconds and memory of one panel, in this process."""
    import duckdb

    import bayes_causal as bc
    from bayes_causal.inference.tree import info

    def sums(where: Path) -> bc.PanelSource:
        return bc.PanelSource.from_files(where, **COLUMNS)

    def posterior(source: bc.PanelSource) -> float:
        model = bc.HierarchicalDiD(source, effect=effect, errors=errors)  # type: ignore[arg-type]
        return float(model.natural(bc.Collapsed().sample(model, seed=1).sites)["att"].mean())

    def beside(source: bc.PanelSource) -> float:
        tree = bc.fit(bc.HierarchicalDiD(source, effect=effect, errors=errors), seed=1)  # type: ignore[arg-type]
        return float(info(tree)["seconds"]["generating"])

    small = sums(folder.with_name(f"{SMALL}"))
    posterior(small)
    truth = json.loads((folder / "_truth.json").read_text())
    with duckdb.connect() as connection:
        query = GROUP_BY.format(f"read_parquet('{folder}/*.parquet')")
        group_by, _ = least(lambda: connection.sql(query).fetchall())
    sums_s, source = least(lambda: sums(folder))
    posterior_s, att = least(lambda: posterior(source))
    fit_s, _ = least(lambda: posterior(sums(folder)))
    return {
        "rows": truth["rows"],
        "errors": errors,
        "group_by_s": group_by,
        "sums_s": sums_s,
        "posterior_s": posterior_s,
        "fit_s": fit_s,
        "fit_over_group_by": fit_s / group_by,
        "beside_s": min(beside(source) for _ in range(2)),
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "att": att,
        "truth": truth["att"],
        "how": source.how,
    }


def least(run: Callable[[], Any], times: int = 3) -> tuple[float, Any]:
    """The least wall time of a few runs, and what the last one returned; the first is a warm-up."""
    seconds = []
    for _ in range(times + 1):
        start = time.perf_counter()
        result = run()
        seconds.append(time.perf_counter() - start)
    return min(seconds[1:]), result


def table(measured: list[dict[str, Any]]) -> str:
    """The measurements as lines of a table."""
    lines = ["".join(f"{h:>15}" for h in HEAD)]
    for r in measured:
        seconds = [f"{r[k]:.2f}" for k in ("group_by_s", "sums_s", "posterior_s", "fit_s", "fit_over_group_by", "beside_s")]
        rest = [f"{r['peak_mib']:,.0f}", f"{r['att']:.4f}", f"{r['truth']:.4f}"]
        lines.append("".join(f"{v:>15}" for v in (f"{r['rows']:,}", r["errors"], *seconds, *rest)))
    return "\n".join(lines)


if __name__ == "__main__":
    main()
