"""Numbers as people read them: as many digits as the uncertainty allows, and never a zero that is not zero."""

from __future__ import annotations

import math
import re
from typing import Any

DASH = "–"


def decimals(std_error: float | None, fallback: float | None = None) -> int:
    """Decimal places that leave two significant digits of the standard error (of `fallback` where there is none)."""
    for scale in (std_error, fallback):
        if scale is not None and math.isfinite(scale) and scale != 0:
            return min(max(1 - math.floor(math.log10(abs(scale))), 0), 12)
    return 2


def number(value: Any, places: int | None = None, *, signed: bool = False) -> str:
    """A number with a true minus sign and thousands separators; a dash where there is none.

    Parameters
    ----------
    value : number or None
    places : int, optional
        Decimal places; three significant digits by default. A value that would print as zero gets up to three more, so that an
        end of an interval that is not zero does not look like it.
    signed : bool
        Also write the plus.
    """
    if value is None or isinstance(value, str) or not math.isfinite(value):
        return str(value) if isinstance(value, str) else DASH
    value = float(value)
    size = math.floor(math.log10(abs(value))) if value else 0
    if size > 14 or (places is None and size < -6) or (places is not None and places > 9):
        text = f"{value:.2e}"
    else:
        places = max(2 - size, 0) if places is None else places
        if value and round(value, places) == 0:
            places = -size if -size <= places + 3 else places
        value = round(value, places) + 0.0
        text = f"{value:,.{places}f}"
    if signed and value > 0:
        text = "+" + text
    return text.replace("-", "−")


def compact(value: Any) -> str:
    """A number of unknown kind in few characters: counts in full, the rest to four significant digits."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}".replace("-", "−")
    if not isinstance(value, float):
        return DASH if value is None else str(value)
    if not math.isfinite(value):
        return DASH
    if value == int(value) and abs(value) < 1e12:
        return f"{int(value):,}".replace("-", "−")
    size = math.floor(math.log10(abs(value)))
    if size < -4 or size > 11:
        return f"{value:.2e}".replace("-", "−")
    text = f"{value:,.{max(3 - size, 0)}f}".replace("-", "−")
    return text.rstrip("0").rstrip(".") if "." in text else text


def true_minus(text: str) -> str:
    """A sentence with minus signs, not hyphens, before its numbers; dates and names keep their hyphens."""
    return re.sub(r"(?<![\w.-])-(?=\d)", "−", text)


def level(value: float) -> str:
    """A nominal level in per cent: ``0.9`` is ``90%``."""
    return f"{100 * value:g}%"


def probability(value: float | None) -> str:
    """A probability in per cent that never claims certainty: ``>99.9%`` and ``<0.1%`` at the ends."""
    if value is None or not math.isfinite(value):
        return DASH
    if value > 0.999:
        return ">99.9%"
    if value < 0.001:
        return "<0.1%"
    return f"{100 * value:.1f}%"


def p_value(value: float | None) -> str:
    """A p-value to three decimals, ``<0.001`` below."""
    if value is None or not math.isfinite(value):
        return DASH
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def seconds(value: float) -> str:
    """A duration in the unit a person would use."""
    if value < 1:
        return f"{1000 * value:.0f} ms"
    if value < 120:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest} s" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"
