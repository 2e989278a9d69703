"""What an engine samples: a model with part of it integrated out, or cut into blocks.

The forms live in `numerics`; their functions take the sums beside the form, so that problems of one shape share a program.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from jax import Array


class CollapsedForm(Protocol):
    """What is left of a model when all but a few hyperparameters θ is integrated out: a density of θ, and draws of the rest.

    θ is carried as t, one unbounded coordinate a hyperparameter, of about unit scale under the prior.
    """

    @property
    def hypers(self) -> tuple[Any, ...]:
        """θ."""
        ...

    @property
    def sums(self) -> Any:
        """What the data say, a pytree of arrays; the functions below take it beside the form, so that programs are shared."""
        ...

    @property
    def columns(self) -> int:
        """Numbers integrated out."""
        ...

    @property
    def width(self) -> int:
        """Numbers a program holds for each point: what bounds the points of one call."""
        ...

    def matrices(self, sums: Any) -> int:
        """Numbers in the matrices of one density, as many of which go together as fit a cache; 0 where all do."""
        ...

    def said(self, sums: Any) -> str:
        """What is integrated out, in a few words."""
        ...

    def bare(self) -> CollapsedForm:
        """The form without its data."""
        ...

    def signature(self) -> tuple[Any, ...]:
        """What two forms must share to be one program, the shapes of their sums aside."""
        ...

    def log_density(self, sums: Any, t: Array) -> Array:
        """Log p(y, t) up to a constant, for (n_hyper,) t."""
        ...

    def draw_sites(self, sums: Any, t: Array, key: Array) -> dict[str, Array]:
        """θ and one exact draw of everything else given it, by the names of the sites."""
        ...


@runtime_checkable
class ApproximateForm(CollapsedForm, Protocol):
    """A form whose density of θ and draws of the coefficients are approximate, and which knows by how much they are off.

    Its `log_density` is that of the approximation; `draw_sites` takes t and the noise side by side, as one vector.
    """

    @property
    def noise(self) -> int:
        """Standard normals that one draw of the coefficients is made of."""
        ...

    def correction(self, sums: Any, t: Array, noise: Array) -> Array:
        """Log of the exact joint density over the approximate one, at the coefficients that (noise,) standard normals give."""
        ...


@runtime_checkable
class Parts(Protocol):
    """Forms that share nothing, so that the posterior is their product."""

    @property
    def parts(self) -> Mapping[str, CollapsedForm]:
        """The forms by the prefix of their sites, "" for none."""
        ...


@runtime_checkable
class DrawsTotal(Protocol):
    """A collapsed form that draws the one number overall answers hang on, and nothing else."""

    def draw_total(self, sums: Any, t: Array, key: Array) -> Array:
        """() exactly of the law it has under `draw_sites` and all noise that comes after."""
        ...


@runtime_checkable
class OnLine(Protocol):
    """A collapsed form of one hyperparameter whose draws need not start from the data again at every point."""

    def table(self, sums: Any, t: Array) -> tuple[Array, Any]:
        """`log_density`, and what a draw needs of one node, a pytree of arrays that change smoothly with it."""
        ...

    def normals(self, sums: Any) -> int:
        """Standard normals a draw takes."""
        ...

    def draw_between(self, sums: Any, nodes: Array, tables: Any, t: Array, normal: Array) -> dict[str, Array]:
        """`draw_sites` at a point between evenly spaced (N,) nodes, from their tables and (n,) standard normals."""
        ...


@runtime_checkable
class TotalOnLine(OnLine, Protocol):
    """A form on a line that draws the one number overall answers hang on, and nothing else."""

    def total_between(self, sums: Any, nodes: Array, tables: Any, t: Array, uniform: Array) -> Array:
        """(S,) at (S,) points, of the law it has under `draw_between` and all noise that comes after, from (3, S) uniforms."""
        ...


class GibbsForm(Protocol):
    """A posterior cut into blocks, each of which can be drawn given the others: one step of a chain is a sweep over them.

    A state is a pytree of arrays, all a chain carries from sweep to sweep. What no later sweep needs is drawn for kept sweeps
    alone. The functions take the sums beside the form, so that programs are shared.
    """

    @property
    def sums(self) -> Any:
        """What the data say, a pytree of arrays."""
        ...

    @property
    def width(self) -> int:
        """Numbers a program holds for each kept sweep while it draws the sites: what bounds the sweeps of one call."""
        ...

    def said(self, sums: Any) -> str:
        """What the blocks are, in a few words."""
        ...

    def bare(self) -> GibbsForm:
        """The form without its data."""
        ...

    def signature(self) -> tuple[Any, ...]:
        """What two forms must share to be one program, the shapes of their sums aside."""
        ...

    def first(self, sums: Any, key: Array) -> Any:
        """Where a chain starts: a state, more spread out than the posterior."""
        ...

    def sweep(self, sums: Any, state: Any, key: Array, adapting: Array) -> Any:
        """The state after a step that leaves the posterior as it is; proposals may learn from it only while `adapting`."""
        ...

    def sites(self, sums: Any, state: Any, key: Array) -> dict[str, Array]:
        """The state by the names of the sites, with everything that it leaves out drawn given it."""
        ...

    def stats(self, state: Any) -> dict[str, Array]:
        """Statistics of the last sweep under ArviZ's names, each ()."""
        ...
