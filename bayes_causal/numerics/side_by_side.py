"""Forms that share nothing: a posterior that is a product."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True, eq=False)
class SideBySide:
    """Independent forms by the prefix of their sites, "" for none."""

    parts: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class SweptSideBySide:
    """Independent Gibbs forms by the prefix of their sites, "" for none: a sweep is one of each."""

    parts: Mapping[str, Any]

    @property
    def sums(self) -> dict[str, Any]:
        """Those of the parts."""
        return {k: part.sums for k, part in self.parts.items()}

    @property
    def width(self) -> int:
        """Numbers a draw of the sites holds."""
        return sum(int(part.width) for part in self.parts.values())

    def said(self, sums: Any) -> str:
        """What the blocks are, in words."""
        return "; beside them ".join(part.said(sums[k]) for k, part in self.parts.items())

    def bare(self) -> SweptSideBySide:
        """The form without its data."""
        return replace(self, parts={k: part.bare() for k, part in self.parts.items()})

    def signature(self) -> tuple[Any, ...]:
        """All that is compiled in."""
        return tuple((k, type(part), *part.signature()) for k, part in self.parts.items())

    def first(self, sums: Any, key: Any) -> dict[str, Any]:
        """Where the parts start."""
        return {k: part.first(sums[k], own) for (k, part), own in zip(self.parts.items(), self._keys(key), strict=True)}

    def sweep(self, sums: Any, state: Mapping[str, Any], key: Any, adapting: Any) -> dict[str, Any]:
        """A sweep of each."""
        keys = self._keys(key)
        return {k: part.sweep(sums[k], state[k], own, adapting) for (k, part), own in zip(self.parts.items(), keys, strict=True)}

    def sites(self, sums: Any, state: Mapping[str, Any], key: Any) -> dict[str, Any]:
        """The sites of all."""
        drawn = [part.sites(sums[k], state[k], own) for (k, part), own in zip(self.parts.items(), self._keys(key), strict=True)]
        return {f"{k}{name}": v for k, own in zip(self.parts, drawn, strict=True) for name, v in own.items()}

    def stats(self, state: Mapping[str, Any]) -> dict[str, Any]:
        """The share of accepted moves, on average over the parts, and the sum of their log densities."""
        found = [part.stats(state[k]) for k, part in self.parts.items()]
        rate, lp = (sum(own[name] for own in found) for name in ("acceptance_rate", "lp"))
        return {"acceptance_rate": rate / len(found), "lp": lp}

    def _keys(self, key: Any) -> Any:
        import jax

        return jax.random.split(key, len(self.parts))
