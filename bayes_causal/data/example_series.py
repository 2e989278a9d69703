"""Series that installed packages ship, as tables."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa

SERIES = "time_series"


def seat_belts(file: Path) -> dict[str, pa.Table]:
    """Road casualties in Great Britain, monthly, 1969 to 1984 (Harvey and Durbin 1986, doi:10.2307/2981553).

    Front-seat belts had to be worn from 31 January 1983. Killed or seriously injured: ``drivers`` and ``front`` (front-seat
    passengers), whom the law concerns, and ``rear`` (rear-seat passengers), whom it does not; ``kms`` driven and
    ``petrol_price``. Added here: ``month`` and the natural logarithm of each, as ``log_drivers``.
    """
    import pandas as pd
    import pyarrow as pa

    frame = pd.read_pickle(file, compression="xz").rename(columns={"PetrolPrice": "petrol_price"})
    names = ["drivers", "front", "rear", "kms", "petrol_price"]
    months = pd.date_range("1969-01-01", periods=len(frame), freq="MS")
    logs = {f"log_{name}": np.log(frame[name].to_numpy(float)) for name in names}
    columns = {"month": months} | {name: frame[name].to_numpy() for name in names} | logs
    return {SERIES: pa.Table.from_pandas(pd.DataFrame(columns), preserve_index=False)}


def nile(file: Path) -> dict[str, pa.Table]:
    """Yearly discharge of the Nile at Aswan, 1871 to 1970, 1e8 cubic metres (Cobb 1978, doi:10.1093/biomet/65.2.243).

    Work on the first dam at Aswan began in 1899.
    """
    import pandas as pd
    import pyarrow as pa

    frame = pd.read_csv(file)
    return {SERIES: pa.Table.from_pandas(frame.astype({"year": "int64"}), preserve_index=False)}
