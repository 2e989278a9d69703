"""Numbers keep the digits the uncertainty allows, and never turn into a zero or a certainty they are not."""

import pytest

from bayes_causal.reports import numbers


@pytest.mark.parametrize(
    ("value", "places", "text"),
    [
        (0.0421, 3, "0.042"),
        (-0.0421, 3, "−0.042"),
        (0.0004, 3, "0.0004"),
        (-4e-20, 3, "0.000"),
        (1234567.0, 0, "1,234,567"),
        (0.0, 2, "0.00"),
        (12.3456, None, "12.3"),
        (3e-9, None, "3.00e−09"),
        (None, 3, "–"),
        (float("nan"), None, "–"),
    ],
)
def test_number(value, places, text):
    assert numbers.number(value, places) == text


def test_places_follow_the_standard_error():
    assert [numbers.decimals(s) for s in (0.0128, 0.128, 1.28, 128.0)] == [3, 2, 1, 0]
    assert numbers.decimals(None, 0.05) == 3
    assert numbers.decimals(0.0, None) == 2


@pytest.mark.parametrize(("value", "text"), [(1.0, ">99.9%"), (0.0, "<0.1%"), (0.9876, "98.8%"), (None, "–")])
def test_probability_never_claims_certainty(value, text):
    assert numbers.probability(value) == text


@pytest.mark.parametrize(("value", "text"), [(0.25, "250 ms"), (3.24, "3.2 s"), (130, "2 min 10 s"), (7500, "2 h 5 min")])
def test_seconds(value, text):
    assert numbers.seconds(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "yes"),
        (1200, "1,200"),
        (1200.0, "1,200"),
        (3830.4, "3,830"),
        (10.5, "10.5"),
        (0.12346, "0.1235"),
        (1e-9, "1.00e−09"),
        ("a", "a"),
        (None, "–"),
    ],
)
def test_compact(value, text):
    assert numbers.compact(value) == text
