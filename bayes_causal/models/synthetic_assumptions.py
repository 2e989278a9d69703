"""What must be true where a unit stands beside weighted donors, and the checks that bear on it."""

from __future__ import annotations

from bayes_causal.models.base import Assumption

OF_DONORS = (
    Assumption(
        "unaffected donors", "The treatment of the one unit leaves the donors alone.", ("donor_contamination", "leave_one_out")
    ),
    Assumption(
        "no other event",
        "Nothing else that moves the treated unit alone, or a donor with much weight alone, happened from the treatment on.",
        ("placebo_space", "leave_one_out"),
    ),
    Assumption("no anticipation", "The treated unit does not react before its treatment.", ("anticipation", "placebo_time")),
)

OF_SYNTHETIC_CONTROL = (
    Assumption(
        "stable relation",
        "Without the treatment the treated unit would have kept its relation to the weighted donors: what moves it and them is "
        "shared, and stays so.",
        ("placebo_time", "placebo_space", "hull"),
    ),
    *OF_DONORS,
    Assumption(
        "model of the gap",
        "What the weights leave over is normal with constant variance, as autocorrelated after the treatment as before it; a "
        "common trend that donors do not share would make it wander.",
        ("posterior_predictive", "prior_sensitivity", "placebo_space"),
    ),
)

OF_SYNTHETIC_DID = (
    Assumption(
        "parallel since the weighted periods",
        "Without the treatment the gap between the treated unit and its weighted donors would have stayed what it was, on "
        "average, in the weighted periods before.",
        ("placebo_time", "placebo_space", "hull"),
    ),
    Assumption(
        "periods for all",
        "The periods that tell the donors' time after tell that of the treated unit, had it not been treated.",
        ("period_concentration", "placebo_space"),
    ),
    *OF_DONORS,
    Assumption(
        "model of the gap",
        "What the weights leave over is normal with constant variance, and as autocorrelated after the treatment as before it.",
        ("posterior_predictive", "prior_sensitivity", "placebo_space"),
    ),
)

OF_SEVERAL = (
    *OF_SYNTHETIC_CONTROL,
    Assumption(
        "effects resemble each other",
        "Average effects of units are draws from one normal: pooled effects lean on it, realised ones hardly.",
        ("prior_sensitivity",),
    ),
    Assumption(
        "one correlation",
        "What weights leave over at a date is shared by all treated units to the same degree, before the treatment and after it.",
        ("shared_errors",),
    ),
)
