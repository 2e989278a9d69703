"""One treated unit among many that were not: panels that installed packages ship, as tables."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

PANEL = "panel"

STATES = (
    "Alabama,Alaska,Arizona,Arkansas,California,Colorado,Connecticut,Delaware,District of Columbia,Florida,Georgia,Hawaii,Idaho,"
    "Illinois,Indiana,Iowa,Kansas,Kentucky,Louisiana,Maine,Maryland,Massachusetts,Michigan,Minnesota,Mississippi,Missouri,Montana,"
    "Nebraska,Nevada,New Hampshire,New Jersey,New Mexico,New York,North Carolina,North Dakota,Ohio,Oklahoma,Oregon,Pennsylvania,"
    "Rhode Island,South Carolina,South Dakota,Tennessee,Texas,Utah,Vermont,Virginia,Washington,West Virginia,Wisconsin,Wyoming"
).split(",")


def cigarettes(file: Path) -> dict[str, pa.Table]:
    """Cigarettes sold in 46 US states, yearly, 1963 to 1992 (Baltagi and Levin 1992, doi:10.1016/0169-2070(92)90091-Z).

    California's Proposition 99 raised its tax by 25 cents a pack from January 1989 (Abadie, Diamond and Hainmueller 2010).
    ``packs`` are sold per head and year, ``price`` is in cents a pack, ``income`` in dollars per head, ``cpi`` is 100 in 1983.
    Added here: names of the states, which the source numbers by the alphabet, and ``treated``, 1 in California from 1989 on.
    """
    import pandas as pd
    import pyarrow as pa

    frame = pd.read_pickle(file, compression="xz").rename(columns={"sales": "packs", "ndi": "income"})
    frame["state"] = [STATES[k - 1] for k in frame["state"]]
    frame["year"] += 1900
    frame["treated"] = ((frame["state"] == "California") & (frame["year"] >= 1989)).astype("int64")
    columns = frame[["state", "year", "packs", "treated", "price", "income", "cpi", "pop"]]
    return {PANEL: pa.Table.from_pandas(columns, preserve_index=False)}
