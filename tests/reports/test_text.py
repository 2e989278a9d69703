"""The verdict says what its numbers say: direction, interval, probability, region, and nothing when it must not."""

import math

import pytest

from bayes_causal.checks.base import Check
from bayes_causal.reports import text

OK = [Check("convergence", True, "blocking", "fine")]
BAD = [
    Check("convergence", False, "blocking", "R-hat 1.3"),
    Check("pretrend", False, "blocking", "leads"),
    Check("mde", None, "info", ""),
]


def row(value=0.042, se=0.0128, lower=0.021, upper=0.063, positive=0.9995, rope=None, **other):
    base = {
        "method": "hierarchical_did",
        "framework": "bayesian",
        "estimand": "att",
        "scale": "mean",
        "by": {},
        "value": value,
        "std_error": se,
    }
    base |= {
        "lower": lower,
        "upper": upper,
        "level": 0.9,
        "interval_kind": "credible",
        "prob_positive": positive,
        "prob_rope": rope,
    }
    return base | {"unit": "sales", "extra": {}} | other


def test_a_clear_rise():
    v = text.verdict(row(), OK)
    assert v["sentence"] == (
        "Treatment raised sales by 0.042 on average, with a 90% credible interval from 0.021 to 0.063. "
        "The probability that the effect is positive is more than 99.9%."
    )
    assert v["reliable"] and v["reasons"] == []
    assert set(v) == {
        "estimand",
        "scale",
        "value",
        "lower",
        "upper",
        "level",
        "prob_positive",
        "prob_rope",
        "reliable",
        "reasons",
        "sentence",
    }


def test_a_clear_fall():
    sentence = text.verdict(row(-0.042, lower=-0.063, upper=-0.021, positive=0.0), OK)["sentence"]
    assert sentence.startswith("Treatment lowered sales by 0.042 on average, with a 90% credible interval from −0.063 to −0.021.")
    assert sentence.endswith("negative is more than 99.9%.")


def test_an_interval_across_zero_settles_nothing():
    sentence = text.verdict(row(0.01, lower=-0.011, upper=0.031, positive=0.78), OK)["sentence"]
    assert sentence == (
        "The data do not settle whether treatment raised or lowered sales on average: the estimate is +0.010, "
        "with a 90% credible interval from −0.011 to 0.031. The probability that the effect is positive is 78.0%."
    )


@pytest.mark.parametrize(
    ("value", "lower", "upper", "positive", "found"),
    [
        (0.04, 0.02, 0.06, 0.99, "clear"),
        (0.04, 0.02, 0.06, 0.93, "likely"),
        (-0.04, -0.06, -0.02, 0.07, "likely"),
        (0.04, 0.0, 0.06, 0.99, "undecided"),
        (-0.01, 0.02, 0.06, 0.99, "undecided"),
        (0.04, 0.02, 0.06, 0.4, "undecided"),
        (0.04, 0.02, 0.06, None, "clear"),
    ],
)
def test_direction_needs_everything_to_agree(value, lower, upper, positive, found):
    assert text.direction(row(value, lower=lower, upper=upper, positive=positive)) == found


@pytest.mark.parametrize(
    ("rope", "found"),
    [((-0.1, 0.1), "lies inside"), ((-0.01, 0.01), "lies outside"), ((-0.03, 0.03), "overlaps")],
)
def test_the_region_of_practical_equivalence(rope, found):
    sentence = text.verdict(row(rope=0.25), OK, rope)["sentence"]
    assert found in sentence and "inside it is 25.0%" in sentence
    assert ("too small to matter" in sentence) == (found == "lies inside")


def test_a_failed_blocking_check_takes_the_verdicts_place():
    v = text.verdict(row(), BAD)
    assert not v["reliable"] and v["reasons"] == ["convergence", "pretrend"]
    assert v["sentence"].startswith("No verdict: 2 checks failed (convergence, pretrend)")
    assert not any(word in v["sentence"] for word in ("raised", "lowered", "0.042", "probability"))
    assert v["value"] == 0.042


def test_no_value_is_no_verdict():
    nothing = row(None, None, None, None, None, extra={"reason": "no treated cells"})
    v = text.verdict(nothing, OK, (-1, 1))
    assert not v["reliable"] and v["reasons"] == []
    assert (
        v["sentence"] == "No verdict: hierarchical_did gives no value for the average effect on the treated (no treated cells)."
    )


def test_relative_effects_are_told_in_per_cent():
    sentence = text.verdict(row(estimand="relative"), OK, (-0.01, 0.01))["sentence"]
    assert sentence.startswith(
        "Treatment raised sales by 4.2% of what it would have been, with a 90% credible interval from 2.1% to 6.3%."
    )
    assert "region" not in sentence


@pytest.mark.parametrize("unit", ["log_sales", "ln_wage", "ln wage", "log(sales)", "log", "logSales", "log1p_sales"])
def test_logarithms_are_told_in_per_cent(unit):
    assert text.per_cent(unit, 0.1) == pytest.approx(100 * math.expm1(0.1))
    assert "(about +4.3%)" in text.verdict(row(unit=unit), OK)["sentence"]
    assert "approximation" in text.log_note(unit)
    assert ("log1p" in text.log_note(unit)) == unit.startswith("log1p")


@pytest.mark.parametrize("unit", ["logins", "logistics_cost", "lng_price", "sales", "catalog", ""])
def test_other_names_are_not_logarithms(unit):
    assert text.per_cent(unit, 0.1) is None and text.log_note(unit) == ""
    assert "%)" not in text.verdict(row(unit=unit), OK)["sentence"]


def test_base_ten():
    assert text.per_cent("log10_sales", 1.0) == pytest.approx(900)
    assert text.per_cent("log_sales", 1e4) == math.inf


def test_badges():
    good = text.verdict(row(), OK)
    warned = [*OK, Check("prior_sensitivity", False, "warning", "")]
    assert text.badge(good, OK) == ("pass", "Reliable: the blocking check passed")
    assert text.badge(good, warned)[0] == "warn" and "prior_sensitivity" in text.badge(good, warned)[1]
    assert text.badge(good, [])[1] == "Unchecked: no blocking check was run"
    assert text.badge(text.verdict(row(), BAD), BAD) == ("fail", "Not reliable: convergence, pretrend")


@pytest.mark.parametrize(
    ("distance", "words"), [(0.3, "agrees with"), (-0.7, "is close to"), (1.5, "differs from"), (-2.4, "disagrees with")]
)
def test_disagreement_has_four_grades(distance, words):
    line = text.disagreement({"method": "twfe", "value": 1.0, "difference_in_se": distance})
    assert words in line and ("above" if distance > 0 else "below") in line and "negative" in line


def test_agreement():
    rows = [{"method": m, "difference_in_se": d} for m, d in (("twfe", 0.4), ("sun_abraham", -1.5), ("did_2x2", None))]
    assert (
        text.agreement(rows)
        == "1 of 2 frequentist estimates lies within one standard error of the headline; farthest is sun_abraham, at −1.5."
    )
    assert text.agreement(rows[:1]) == "1 of 1 frequentist estimate lies within one standard error of the headline."
    assert text.agreement([]).startswith("No frequentist estimate")


def test_the_command_is_safe_to_paste():
    assert (
        text.reproduce({"name": "my; rm -rf study", "engine": {"seed": 3}}, {})
        == "bayes-causal run my-rm--rf-study.yaml --seed 3"
    )
    assert text.reproduce({}, {}) == "bayes-causal run study.yaml"


def failed(*names):
    return [*OK, *(Check(name, False, "warning", "") for name in names)]


def test_failed_checks_of_the_design_are_part_of_the_verdict():
    v = text.verdict(row(), failed("pretrend"))
    assert v["reliable"] and v["sentence"].startswith("By this estimate, treatment raised sales by 0.042")
    assert v["sentence"].endswith("The check pretrend speaks against the assumptions under which this is the treatment's doing.")
    every = text.verdict(row(), failed("pretrend", "placebo_time", "selection"))["sentence"]
    assert "The checks pretrend, placebo_time and selection speak against" in every
    assert "speak" not in text.verdict(row(), failed("prior_sensitivity"))["sentence"]
    words = text.badge(v, failed("pretrend", "mde"))
    assert words == ("warn", "An effect in doubt: pretrend failed; 1 more warning: mde (the blocking check passed)")


def test_no_per_cent_where_the_shift_of_the_logarithm_matters():
    assert "%)" in text.verdict(row(unit="log_sales"), OK)["sentence"]
    assert "%)" not in text.verdict(row(unit="log_sales"), failed("log_shift"))["sentence"]


def test_what_has_no_standard_error_says_why():
    line = text.disagreement(
        {"method": "did_2x2", "value": 1.0, "extra": {"reason": "no standard error, with one unit on a side"}}
    )
    assert line.startswith("2×2 DiD cannot be set against the headline (no standard error, with one unit on a side).")


def test_a_method_that_answers_another_question_says_so():
    row = {"method": "did2s", "value": 1.0, "difference_in_se": 0.1, "extra": {"note": "effect of the first exposure"}}
    assert text.disagreement(row).endswith("Here it answers another question than the headline: effect of the first exposure.")
    assert "another question" not in text.disagreement(row | {"extra": {}})
