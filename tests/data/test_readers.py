from __future__ import annotations

import gzip
import hashlib
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

from bayes_causal.data.load import load_panel
from bayes_causal.data.panel import Panel
from bayes_causal.data.readers import read_table
from bayes_causal.errors import DataError

CSV = "shop,week,sales,on\n" + "".join(
    f"{u},{t},{(7 * u + 3 * t) % 11},{int(u == 0 and t > 1)}\n" for u in range(3) for t in range(4)
)
KEYS: dict[str, Any] = {"unit": "shop", "time": "week", "outcome": "sales", "treatment": "on"}


@pytest.fixture
def table(tmp_path: Path) -> pa.Table:
    path = tmp_path / "plain" / "panel.csv"
    path.parent.mkdir()
    path.write_text(CSV)
    return pyarrow.csv.read_csv(path)


@pytest.mark.parametrize("name", ["p.csv", "p.csv.gz", "p.tsv", "p.parquet", "odd name [1].csv"])
def test_every_format_gives_the_same_table(name: str, tmp_path: Path, table: pa.Table) -> None:
    path = tmp_path / name
    if name.endswith(".parquet"):
        pyarrow.parquet.write_table(table, path)
    elif name.endswith(".gz"):
        path.write_bytes(gzip.compress(CSV.encode()))
    else:
        path.write_text(CSV.replace(",", "\t") if name.endswith("tsv") else CSV)
    found, provenance = read_table(name, base=tmp_path)
    assert found.to_pydict() == table.to_pydict()
    assert provenance.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (provenance.source, provenance.rows_read, provenance.rows_kept, provenance.dropped) == (name, 12, 12, {})


@pytest.mark.parametrize(
    "source", ["parts", "parts/*.parquet", ["parts/a.parquet", "parts/b.parquet"], ["parts/b.parquet", "parts/a.parquet"]]
)
def test_several_files_are_set_one_below_the_other(source: Any, tmp_path: Path, table: pa.Table) -> None:
    (tmp_path / "parts").mkdir()
    pyarrow.parquet.write_table(table.slice(0, 5), tmp_path / "parts" / "a.parquet")
    pyarrow.parquet.write_table(table.slice(5), tmp_path / "parts" / "b.parquet")
    found, provenance = read_table(source, base=tmp_path)
    assert sorted(found["source_file"].to_pylist()) == ["a.parquet"] * 5 + ["b.parquet"] * 7
    assert provenance.rows_read == 12
    digests = sorted(hashlib.sha256((tmp_path / "parts" / n).read_bytes()).hexdigest() for n in ("a.parquet", "b.parquet"))
    assert provenance.sha256 == hashlib.sha256("".join(digests).encode()).hexdigest()


def test_urls_are_read(table: pa.Table) -> None:
    with fsspec.open("memory://readers/panel.csv.gz", "wb") as file:
        file.write(gzip.compress(CSV.encode()))
    found, provenance = read_table("memory://readers/panel.csv.gz")
    assert found.to_pydict() == table.to_pydict()
    assert len(provenance.sha256) == 64
    assert read_table("memory://readers/*.csv.gz")[0].num_rows == 12
    with pytest.raises(DataError, match="cannot be read"):
        read_table("memory://readers/absent.csv")


def test_where_keeps_rows_and_counts_the_others(tmp_path: Path, table: pa.Table) -> None:
    found, provenance = read_table("plain/panel.csv", base=tmp_path, where="week < 2 and shop <> 1")
    assert found.num_rows == 4
    assert (provenance.rows_read, provenance.rows_kept) == (12, 4)
    assert provenance.dropped == {"where: week < 2 and shop <> 1": 8}


@pytest.mark.parametrize(
    ("source", "where", "message"),
    [
        ("plain/panle.csv", None, r"no file 'plain/panle\.csv' .*did you mean 'panel\.csv'"),
        ("nowhere/panel.csv", None, "the folder .* does not exist"),
        ("plain/*.parquet", None, r"no file matches .*it holds panel\.csv"),
        ("hollow", None, "holds no .csv"),
        ("empty.csv", None, r"'empty\.csv' is empty \(0 bytes\)"),
        ("header.csv", None, "there are columns and no rows"),
        ("notes.docx", None, r"'notes\.docx' is of a format that is not read"),
        ("broken.parquet", None, r"'broken\.parquet' cannot be read as parquet"),
        (["plain/panel.csv", "other.csv"], None, "do not have the same columns"),
        ([], None, "the list of sources is empty"),
        ("plain/panel.csv", "weak < 2", r"where 'weak < 2' cannot be evaluated: .*weak.*over shop, week, sales, on"),
        ("plain/panel.csv", "week <", "cannot be evaluated"),
        ("plain/panel.csv", "week > 99", "keeps none of the 12 rows"),
    ],
)
def test_what_cannot_be_read_is_refused(source: Any, where: str | None, message: str, tmp_path: Path, table: pa.Table) -> None:
    (tmp_path / "hollow").mkdir()
    (tmp_path / "empty.csv").touch()
    (tmp_path / "header.csv").write_text("shop,week\n")
    (tmp_path / "notes.docx").write_text("x")
    (tmp_path / "broken.parquet").write_text("PAR1 but not")
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match=f"(?s){message}"):
        read_table(source, base=tmp_path, where=where)


def test_a_bad_value_surfaces_in_the_panel_with_its_row(tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_text(CSV.replace("1,2,2,0", "1,2,unknown,0"))
    with pytest.raises(DataError, match=r"'sales' is not numeric: 1 row \(7, counted from 1\) hold 'unknown'"):
        load_panel({"source": "bad.csv"} | KEYS, tmp_path)


def test_a_study_s_data_become_a_panel(tmp_path: Path, table: pa.Table) -> None:
    keys = {
        "kind": "panel",
        "source": "plain/panel.csv",
        "where": "shop < 2",
        "pre": [0, 1],
        "post": [3, 3],
        "group": None,
    } | KEYS
    panel, provenance = load_panel(keys, tmp_path)
    direct = Panel.from_frame(table.slice(0, 8), **KEYS, pre=[0, 1], post=[3, 3])
    assert panel.dataset.equals(direct.dataset)
    assert (provenance.rows_read, provenance.rows_kept) == (12, 6)
    assert provenance.dropped == {"where: shop < 2": 4, "outside the pre and post windows": 2}


def test_exposures_come_from_their_own_file(tmp_path: Path, table: pa.Table) -> None:
    (tmp_path / "exposures.csv").write_text("shop,start,end\n0,2,\n1,3,3\n")
    keys = {
        "source": "plain/panel.csv",
        "exposures": "exposures.csv",
        "unit": "shop",
        "time": "week",
        "outcomes": ["sales", "on"],
    }
    panel, _ = load_panel(keys, tmp_path, "sales")
    assert panel.counts["treated_cells"] == 3
    kept, _ = load_panel(keys | {"where": "shop <> 1"}, tmp_path)
    assert kept.outcome_name == "sales" and kept.counts["treated_cells"] == 2


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"source": "plain/panel.csv", "outcom": "y"}, r"`data` has no key 'outcom' \(did you mean 'outcome'"),
        ({}, "needs one of `source`"),
        ({"source": "plain/panel.csv", "kind": "time_series"}, "not a panel"),
        ({"source": "plain/panel.csv", "time": None}, "does not say which column is the time"),
        ({"source": "example:castel"}, r"no example 'castel' \(did you mean 'castle'"),
    ],
)
def test_wrong_keys_are_refused(keys: dict[str, Any], message: str, tmp_path: Path, table: pa.Table) -> None:
    with pytest.raises(DataError, match=message):
        load_panel(KEYS | keys, tmp_path)
