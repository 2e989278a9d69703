"""Where everything is installed, an optional package that is missing fails its tests: a skip would hide them for ever."""

from __future__ import annotations

import sys
from typing import Any

import pytest


def test_a_missing_package_skips_or_fails(needs: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BAYES_CAUSAL_FULL", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no_such_package is not installed"):
        needs("no_such_package")
    monkeypatch.setenv("BAYES_CAUSAL_FULL", "1")
    with pytest.raises(pytest.fail.Exception, match="no_such_package is not installed"):
        needs("no_such_package")


@pytest.mark.parametrize(("version", "ends"), [((3, 11), pytest.fail.Exception), ((3, 13), pytest.skip.Exception)])
def test_torch_is_expected_on_python_311_alone(
    version: tuple[int, int], ends: type[BaseException], needs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BAYES_CAUSAL_FULL", "1")
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setattr(sys, "version_info", (*version, 0, "final", 0))
    with pytest.raises(ends, match="torch is not installed"):
        needs("torch")
