"""The study file as frozen values: every key with its type, its default and what it means."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

Kind = Literal["panel", "time_series", "multi_series", "cross_section"]
Interval = Literal["eti", "hdi"]


def _as_tuple(value: Any) -> Any:
    """A single name where a list of names is meant is a list of one."""
    return (value,) if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_as_tuple)]
Pair = tuple[Any, Any]
Listed = Literal["default", "none"] | tuple[dict[str, dict[str, Any]], ...]


class Section(BaseModel):
    """What all parts of a study share: frozen, and no key that is not known."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class DataSection(Section):
    """Where the data are, and which column plays which part."""

    source: str | None = Field(None, description="a file, glob, folder, URL or example:NAME")
    sources: Names = Field((), description="several files, concatenated")
    in_memory: bool | None = Field(None, description="hold rows, or stream Parquet as sums; left out, its size decides")
    where: str | None = Field(None, description="a row filter, as a DuckDB SQL expression")
    kind: Kind = "panel"
    unit: str | None = Field(None, description="column that names the unit")
    time: str | None = Field(None, description="column of the period")
    outcome: str | None = Field(None, description="column of the outcome")
    outcomes: Names = Field((), description="several outcomes; `outcome`, else the first, is the headline")
    treatment: str | None = Field(None, description="0/1 column, on while the unit is treated")
    group: str | None = Field(None, description="column that says which treatment it is")
    exposures: str | tuple[dict[str, Any], ...] | None = Field(
        None, description="rows (unit, group, start, end), or their file, or last"
    )
    cohort: str | None = Field(None, description="column of the first treated period, 0 or empty = never")
    covariates: Names = ()
    predictors: Names = Field((), description="columns that synthetic control may match; gaps are allowed")
    weights: str | None = None
    cluster: str | None = None
    layout: Literal["campaign_rows"] | None = None
    pre: Pair | None = Field(None, description="[first, last] period before")
    post: Pair | None = Field(None, description="[first, last] period after")
    arms: str | None = Field(None, description="column of several treatments, one value of which is untreated")
    terms: str | None = Field(None, description="right-hand side of a formula for covariates")
    controls: Names = ()
    placebo_outcomes: Names = Field((), description="columns that the intervention cannot have moved")
    intervention: Any = None
    end: Any = None
    shocks: Names = ()
    instrument: str | None = None
    running: str | None = None
    cutoff: float | None = None

    @property
    def all_outcomes(self) -> tuple[str, ...]:
        """Every outcome, the headline first."""
        first = (self.outcome,) if self.outcome else ()
        return tuple(dict.fromkeys(first + self.outcomes))

    @property
    def names_groups(self) -> bool:
        """True where the data say which treatment a treated cell is under."""
        return bool(self.group or self.arms or self.exposures or self.layout or (self.source or "").startswith("example:"))


class ModelSection(Section):
    """Which model, with which options and priors."""

    name: str = ""
    options: dict[str, Any] = Field(default_factory=dict)
    priors: dict[str, float] = Field(default_factory=dict)

    @field_validator("options", "priors", mode="before")
    @classmethod
    def _empty(cls, value: Any) -> Any:
        return {} if value is None else value


class EngineSection(Section):
    """Which sampler, and how long it runs."""

    name: str = "auto"
    draws: int = Field(1000, ge=1)
    chains: int = Field(4, ge=1)
    warmup: int = Field(1000, ge=1)
    seed: int = Field(1, ge=0, lt=2**32)


class QuestionSection(Section):
    """Of several series and shocks, the ones the verdict is about."""

    shock: str | None = Field(None, description="the column that moves; the first shock if left out")
    outcome: str | None = Field(None, description="the series that responds; the first if left out")
    magnitude: float = Field(1.0, description="by how much the shock moves, in its own unit")


class Study(Section):
    """A study: data, model, engine, and what is set beside the answer. Made by `read_study`, or from the same keys in Python."""

    name: str = "study"
    data: DataSection = DataSection()
    model: ModelSection = ModelSection()
    engine: EngineSection = EngineSection()
    question: QuestionSection | None = None
    level: float = Field(0.9, gt=0, lt=1)
    interval: Interval = "eti"
    rope: tuple[float, float] | None = None
    baselines: Listed = "default"
    checks: Listed = "default"
    output: str | None = None

    @field_validator("baselines", "checks", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        if isinstance(value, str) and value in ("default", "none"):
            return value
        if not isinstance(value, (list, tuple)):
            raise ValueError("default, none, or a list of names")
        return tuple(_named_options(entry) for entry in value)

    @field_validator("rope")
    @classmethod
    def _rope(cls, value: tuple[float, float] | None) -> tuple[float, float] | None:
        if value is not None and not value[0] < value[1]:
            raise ValueError(f"the lower end must be below the upper end, as [{value[1]:g}, {value[0]:g}]")
        return value


def _named_options(entry: Any) -> dict[str, dict[str, Any]]:
    """A list entry, a name or ``{name: {option: value}}``, in the second form."""
    if isinstance(entry, str):
        return {entry: {}}
    if isinstance(entry, dict) and len(entry) == 1:
        name, options = next(iter(entry.items()))
        if isinstance(options, dict) or options is None:
            return {str(name): dict(options or {})}
    raise ValueError("an entry is a name, or {name: {option: value}}")
