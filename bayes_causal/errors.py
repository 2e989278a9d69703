"""The few errors of the suite. Each is also a builtin error, so that callers may catch either."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence


class BayesCausalError(Exception):
    """Base of every error this package raises on purpose."""


class DataError(BayesCausalError, ValueError):
    """The data cannot be used as declared; the message lists every problem found.

    Attributes
    ----------
    problems : tuple of str
        One entry a problem, in the order they were found.
    """

    def __init__(self, problems: Sequence[str] | str, *, source: str | None = None):
        self.problems = (problems,) if isinstance(problems, str) else tuple(problems)
        self.source = source
        super().__init__(_listing(f"the data{f' ({source})' if source else ''}", self.problems))


class StudyError(BayesCausalError, ValueError):
    """The study file, or the options given beside it, cannot be run; lists every problem found."""

    def __init__(self, problems: Sequence[str] | str, *, source: str | None = None):
        self.problems = (problems,) if isinstance(problems, str) else tuple(problems)
        self.source = source
        super().__init__(_listing(f"the study{f' ({source})' if source else ''}", self.problems))


class IdentificationError(BayesCausalError, ValueError):
    """The data hold no information on the estimand, whatever the sample size."""


class EstimandError(BayesCausalError, ValueError):
    """The estimand does not exist for this model or data, or two estimands were mixed."""


class TreeError(BayesCausalError, ValueError):
    """A DataTree does not follow the schema that `fit` writes."""


class RunFolderError(BayesCausalError, OSError):
    """A run folder exists already, cannot be written, or is not a run folder."""


class MissingExtraError(BayesCausalError, ImportError):
    """An optional package is needed and not installed."""


def needs_extra(extra: str, package: str | None = None) -> MissingExtraError:
    """The error to raise where an optional package is missing.

    Parameters
    ----------
    extra : str
        Name of the extra in ``pyproject.toml`` that installs it.
    package : str, optional
        The package itself, where it is not called as the extra is.
    """
    return MissingExtraError(
        f"{package or extra} is not installed. It comes with the extra '{extra}': pip install 'bayes-causal[{extra}]'"
    )


def closest(name: str, valid: Iterable[str]) -> str:
    """``" (did you mean 'x'?)"``, or the list of valid names where none is close."""
    valid = [str(v) for v in valid]
    near = difflib.get_close_matches(str(name), valid, n=2, cutoff=0.6)
    if not near:
        by_case = {v.lower(): v for v in valid}
        near = difflib.get_close_matches(str(name).lower(), list(by_case), n=2, cutoff=0.6)
        near = [by_case[v] for v in near]
    if near:
        return " (did you mean " + " or ".join(f"'{v}'" for v in near) + "?)"
    shown = ", ".join(valid[:12]) + (", …" if len(valid) > 12 else "")
    return f" (valid: {shown})" if valid else ""


def _listing(what: str, problems: Sequence[str]) -> str:
    if len(problems) == 1:
        return f"{what} cannot be used: {problems[0]}"
    lines = "\n".join(f"  {k}. {p}" for k, p in enumerate(problems, 1))
    return f"{what} cannot be used, for {len(problems)} reasons:\n{lines}"
