from __future__ import annotations

import numpy as np
import pytest

from bayes_causal.data.calendar import looks_like_dates, periods


def dates(*text: str) -> np.ndarray:
    return np.array(text, "datetime64[ns]")


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (np.array([2003, 2004, 2006]), [0, 1, 3]),
        (np.array([2001, 2003, 2005]), [0, 1, 2]),
        (np.array([7]), [0]),
        (np.array([2000.0, 2000.25, 2000.75]), [0, 1, 3]),
        (np.array([0.0, 1.0, 2.618]), [0, 1, 2]),
        (dates("2020-01-01", "2020-02-01", "2020-04-01"), [0, 1, 3]),
        (dates("2020-01-31", "2020-02-29", "2020-03-31"), [0, 1, 2]),
        (dates("2020-03-31", "2020-06-30", "2020-09-30", "2021-03-31"), [0, 1, 2, 4]),
        (dates("2019-01-01", "2020-01-01", "2022-01-01"), [0, 1, 3]),
        (dates("2020-01-06", "2020-01-13", "2020-01-27"), [0, 1, 3]),
        (dates("2020-01-02", "2020-01-03", "2020-01-06"), [0, 1, 4]),
        (dates("2020-01-01", "2020-01-15", "2020-01-29", "2020-02-11"), [0, 1, 2, 3]),
    ],
)
def test_periods_count_in_the_labels_own_frequency(labels: np.ndarray, expected: list[int]) -> None:
    np.testing.assert_array_equal(periods(labels), expected)


@pytest.mark.parametrize(
    ("labels", "form"),
    [
        ([201711, 201712, 201801], "%Y%m"),
        ([20171130, 20171231], "%Y%m%d"),
        ([201701, 201702], None),
        ([2016, 2017], None),
        ([1, 2, 3], None),
        ([201711, 201713, 201801], None),
    ],
)
def test_dates_written_as_numbers_are_noticed(labels: list[int], form: str | None) -> None:
    assert looks_like_dates(np.array(labels)) == form
