"""Comparison, shrinkage and plain-text tables, against numbers worked by hand."""

import numpy as np
import pytest
import xarray as xr

from bayes_causal.checks.base import Check
from bayes_causal.estimates import Estimand, Estimate, from_normal, not_applicable
from bayes_causal.reports import tables

GROUPS = {"group": ["a", "b", "c"]}


def model(value, se, by=None, coords=None):
    answer = from_normal(value, se, Estimand("att", "mean", by), "hierarchical_did", coords=coords, unit="y")
    table = answer.table.drop_vars("p_value").assign(prob_positive=xr.ones_like(answer.value))
    return Estimate(answer.estimand, answer.method, "bayesian", table, 0.9, "credible", "y")


@pytest.fixture
def rows():
    overall, pooled = model(1.0, 0.5), model([1.2, 0.9, 3.0], [0.4, 0.4, 0.4], "group", GROUPS)
    twfe = from_normal(1.5, 1.0, Estimand(), "twfe", unit="y")
    alone = from_normal([2.0, 0.5, 1.0], [1.0, 1.0, 1.0], Estimand("att", "mean", "group"), "twfe", coords=GROUPS, unit="y")
    none = not_applicable(Estimand(), "did_2x2", "staggered", unit="y")
    return tables.comparison([overall, pooled, twfe, alone, none], overall)


def test_columns_and_order(rows):
    assert all(list(r) == tables.COMPARISON_COLUMNS for r in rows)
    assert [r["method"] for r in rows] == ["hierarchical_did"] * 4 + ["twfe"] * 4 + ["did_2x2"]


def test_shrinkage_by_hand(rows):
    # 1 - |1.2-1|/|2-1| = 0.8 ; 1 - |0.9-1|/|0.5-1| = 0.8 ; c alone equals the overall effect: undefined
    assert [r["shrinkage"] for r in rows[1:4]] == [pytest.approx(0.8), pytest.approx(0.8), None]
    assert all(r["shrinkage"] is None for r in (rows[0], *rows[4:]))


def test_difference_in_the_larger_standard_error(rows):
    assert rows[0]["difference_in_se"] == 0
    assert rows[4]["difference_in_se"] == pytest.approx((1.5 - 1.0) / 1.0)
    assert [r["difference_in_se"] for r in rows[5:8]] == [pytest.approx(0.8), pytest.approx(-0.4), pytest.approx(-2.0)]
    assert rows[8]["difference_in_se"] is None and rows[8]["value"] is None


def test_rows_of_different_questions_never_meet():
    head = model(1.0, 0.5)
    other = from_normal(1.0, 0.5, Estimand("cumulative"), "twfe", unit="y")
    elsewhere = from_normal(1.0, 0.5, Estimand(), "twfe", unit="z")
    assert [r["difference_in_se"] for r in tables.comparison([head, other, elsewhere], head)] == [0, None, None]


def test_negative_shrinkage_is_kept():
    one = {"value": 3.0}
    assert tables.shrinkage(one, {"value": 2.0}, {"value": 1.0}) == -1.0
    assert tables.shrinkage(one, None, {"value": 1.0}) is None
    assert tables.shrinkage({"value": None}, {"value": 2.0}, {"value": 1.0}) is None


def test_coefficients_leave_the_rows_once_a_method():
    given = [
        {"method": "twfe", "extra": {"clusters": 9, "coefficients": [{"term": "x", "value": 1.0, "std_error": 0.1}]}},
        {"method": "twfe", "extra": {"coefficients": [{"term": "x", "value": 1.0}]}},
        {"method": "ols", "extra": {"coefficients": {"x": 2.0, "z": 3.0}}},
        {"method": "did2s", "extra": {}},
    ]
    slim, coefficients = tables.split_coefficients(given)
    assert [r["extra"] for r in slim] == [{"clusters": 9}, {}, {}, {}]
    assert coefficients == [
        {"method": "twfe", "term": "x", "value": 1.0, "std_error": 0.1},
        {"method": "ols", "term": "x", "value": 2.0},
        {"method": "ols", "term": "z", "value": 3.0},
    ]
    assert "coefficients" in given[0]["extra"]


def test_verdict_table(rows):
    head = model(1.0, 0.5).rows()[0]
    answers = [
        head,
        *from_normal(1.5, 1.0, Estimand(), "twfe", unit="y").rows(),
        *not_applicable(Estimand(), "did_2x2", "staggered").rows(),
    ]
    verdict = {"estimand": "att", "scale": "mean", "level": 0.9, "sentence": "It rose."}
    assert tables.verdict_table("toy", verdict, answers, head) == (
        "toy: average effect on the treated, y (mean scale)\n"
        "\n"
        "method            value  std error   90% interval  evidence\n"
        "────────────────────────────────────────────────────────────────────────────\n"
        "hierarchical_did   1.00       0.50   0.18 to 1.82  P(effect > 0) >99.9%\n"
        "twfe               1.50       1.00  −0.14 to 3.14  p-value 0.134\n"
        "did_2x2               –                            not applicable, see below\n"
        "\n"
        "did_2x2: staggered\n"
        "\n"
        "It rose.\n"
    )


def test_diagnostics():
    checks = [
        Check("convergence", False, "blocking", "R-hat 1.3.", {"r_hat": 1.3}, [{"name": "tau", "r_hat": 1.3}]),
        Check("mde", None, "info", "Enough power.", {"mde": np.nan}),
    ]
    assert tables.diagnostics(checks) == (
        "2 checks: 0 pass, 1 info, 0 warn, 1 fail\n"
        "\n"
        "[FAIL] convergence (blocking)\n"
        "  R-hat 1.3.\n"
        "  r_hat = 1.3\n"
        "\n"
        "  name  r_hat\n"
        "  ───────────\n"
        "  tau   1.3\n"
        "\n"
        "[INFO] mde (info)\n"
        "  Enough power.\n"
        "  mde = –\n"
    )
    assert tables.diagnostics([]).startswith("0 checks")


@pytest.mark.parametrize(
    ("passed", "severity", "status"),
    [
        (True, "blocking", "pass"),
        (None, "blocking", "info"),
        (False, "warning", "warn"),
        (False, "info", "warn"),
        (False, "blocking", "fail"),
    ],
)
def test_status(passed, severity, status):
    assert tables.status(Check("c", passed, severity, "")) == status
