"""Partly centred random effects: the same model in coordinates that NUTS finds easier. Densities and sites stay what they are.

An effect known from its own data alone mixes best centred, one known from its prior best not; in between a power λ of the scale
is best (Papaspiliopoulos, Roberts & Sköld 2007, doi:10.1214/088342307000000014). Offsets z ~ N(0, 1) of scale s are sampled as
s^λ z; effects ~ N(m, s) as their part λ of m plus s^λ times a standard normal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpyro import handlers
from numpyro.infer.reparam import LocScaleReparam
from numpyro.primitives import Messenger, sample

from bayes_causal.inference.generate import latent_sites

DENSE = 200

Centring = Mapping[str, tuple[str | None, np.ndarray]]
"""Name of a site to the name of its scale's site, None where its distribution has one, and λ in [0, 1] for each entry."""


class PartlyCentred(Messenger):
    """Run a NumPyro model with some of its sites in other coordinates."""

    def __init__(self, model: Callable[..., Any], centring: Centring):
        super().__init__(model)
        self.centring = centring
        self.scales: dict[str, Any] = {}

    def process_message(self, msg: dict[str, Any]) -> None:
        """Put the site's value together from its other coordinates."""
        if msg["type"] != "sample" or msg["name"] not in self.centring:
            return
        scale, share = self.centring[msg["name"]]
        if scale is None:
            _, value = LocScaleReparam(share)(msg["name"], msg["fn"], None)
        else:
            stretch = self.scales[scale] ** share
            value = sample(f"{msg['name']}_stretched", _normal(stretch)) / stretch
        msg.update(type="deterministic", value=value)

    def postprocess_message(self, msg: dict[str, Any]) -> None:
        """Keep the values of sites that are scales of others."""
        if msg["type"] == "sample" and any(msg["name"] == s for s, _ in self.centring.values()):
            self.scales[msg["name"]] = msg["value"]


def dense_sites(program: Callable[..., Any]) -> tuple[str, ...]:
    """The smallest latent sites of a program, `DENSE` numbers in all: few enough to adapt their whole covariance."""
    with handlers.block():
        sizes = latent_sites(program)
    names = sorted(sizes, key=lambda k: (sizes[k], k))
    total = np.cumsum([sizes[k] for k in names])
    return tuple(k for k, n in zip(names, total, strict=True) if n <= DENSE)


def _normal(sd: Any) -> Any:
    from numpyro.distributions import Normal

    return Normal(0.0, sd).to_event(1)
