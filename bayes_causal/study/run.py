"""The one use case, in a page: data, model, posterior, baselines, comparison, checks, report, run folder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bayes_causal.data.kinds import KINDS
from bayes_causal.errors import BayesCausalError, StudyError
from bayes_causal.study.folder import claim, whole
from bayes_causal.study.manifest import Stages, data_record, manifest
from bayes_causal.study.question import answer, asked
from bayes_causal.study.read import read_study, study_from
from bayes_causal.study.schema import Study

if TYPE_CHECKING:
    import xarray as xr

    from bayes_causal.checks.base import Check
    from bayes_causal.estimates import Estimate
    from bayes_causal.reports.content import RunContent

FURTHER_CHECKS = ("convergence",)
"""What is checked of outcomes beside the headline."""


@dataclass(frozen=True, eq=False)
class Answer:
    """Everything said about one outcome, or about several together; the first estimate is the model's headline.

    Of several together, `labels` are those of the row that the study asks for, and `answered` is that row told in full.
    """

    outcome: str
    data: dict[str, Any]
    model: Any
    tree: xr.DataTree
    estimates: list[Estimate]
    checks: list[Check]
    labels: Mapping[str, str] = field(default_factory=dict)
    answered: Mapping[str, Any] = field(default_factory=dict)


def run_study(
    study: str | Path | Mapping[str, Any] | Study,
    *,
    out: str | Path | None = None,
    seed: int | None = None,
    engine: str | None = None,
    overrides: Iterable[str] = (),
    force: bool = False,
    progress: Callable[[str], None] | None = None,
    quiet: bool = False,
) -> Path:
    """Run a study from its data to its report.

    Parameters
    ----------
    study : path, mapping or Study
        A study file, or the same keys.
    out, seed, engine : optional
        Instead of the study's `output`, `engine.seed` and `engine.name`; `out` is relative to the current folder.
    overrides : iterable of str
        Any other key, as ``level=0.95`` or ``engine.draws=200``.
    force : bool
        Replace an existing run folder, once the new one is complete.
    progress : callable, optional
        Called with a line when a stage begins.
    quiet : bool
        No progress bar while sampling; by default there is one on a terminal.

    Returns
    -------
    pathlib.Path
        The run folder. ``estimates.json`` holds the verdict.

    Raises
    ------
    StudyError, DataError, IdentificationError, RunFolderError
        The input was refused; nothing was written.
    """
    resolved = resolve(study, out=out, seed=seed, engine=engine, overrides=overrides)
    target = Path(str(resolved.output))
    claim(target, force=force)
    stages = Stages(progress)
    outcomes = _outcomes(resolved)
    answers = [_answer(resolved, outcome, stages, first=k == 0, quiet=quiet) for k, outcome in enumerate(outcomes)]
    with whole(target, force=force) as folder:
        _write(resolved, answers, stages, folder)
    return target


def _outcomes(study: Study) -> tuple[str | None, ...]:
    """Outcomes that are modelled one after the other; one None where they are modelled together, or the data name theirs."""
    return (None,) if KINDS[study.data.kind].together else study.data.all_outcomes or (None,)


def resolve(
    study: str | Path | Mapping[str, Any] | Study,
    *,
    out: str | Path | None = None,
    seed: int | None = None,
    engine: str | None = None,
    overrides: Iterable[str] = (),
) -> Study:
    """The study as it will run: read, overridden, checked, with absolute paths."""
    given = {"output": None if out is None else Path(out).absolute(), "engine.seed": seed, "engine.name": engine}
    changes = [*overrides, *(f"{key}={value}" for key, value in given.items() if value is not None)]
    if isinstance(study, Study):
        return study_from(study.model_dump(exclude_unset=True), changes)
    if isinstance(study, Mapping):
        return study_from(study, changes)
    return read_study(study, changes)


def _answer(study: Study, outcome: str | None, stages: Stages, *, first: bool, quiet: bool) -> Answer:
    """Data, posterior, estimates, baselines and checks of one outcome."""
    from bayes_causal.baselines.catalogue import run as run_baselines
    from bayes_causal.checks.catalogue import check
    from bayes_causal.data.load import load_data
    from bayes_causal.inference.fit import fit

    said = f"{outcome}: " if len(_outcomes(study)) > 1 else ""
    with stages("data", f"{said}reading the data"):
        data, provenance = load_data(_declared(study), "/", outcome)
        model = _model(study, data)
        labels = asked(study, data)
    with stages("fit", f"{said}sampling the posterior"):
        tree = fit(model, _engine(study, quiet), seed=study.engine.seed)
    with stages("estimates", f"{said}reading the answers off the posterior"):
        estimates = _estimates(study, model, tree)
    beside = study.model
    with stages("baselines", f"{said}asking the baselines"):
        others = run_baselines(
            data, study.baselines, model.headline, level=study.level, beside=beside.name, options=beside.options
        )
        estimates += [replace(e, unit=e.unit or model.unit) for e in others]
    with stages("checks", f"{said}checking"):
        checks = check(model, tree, study.checks if first else FURTHER_CHECKS)
    name = outcome or getattr(data, "outcome_name", "") or labels["series"]
    answered = answer(study, model, tree, labels) if labels else {}
    if said:
        estimates = [e.labelled(outcome=name) for e in estimates]
    if not first:
        checks = [replace(c, name=f"{c.name} ({name})", severity="warning") for c in checks]
    return Answer(name, data_record(data.counts, provenance), model, tree, estimates, checks, labels, answered)


def model_of(study: Study) -> Any:
    """The model of a study, and nothing done with it."""
    return _model(study, data_of(study))


def data_of(study: Study) -> Any:
    """The data of a study's headline."""
    from bayes_causal.data.load import load_data

    return load_data(_declared(study), "/", _outcomes(study)[0])[0]


def _declared(study: Study) -> dict[str, Any]:
    """The data section as the readers take it: what the study says, and nothing else."""
    keys = study.data.model_dump(exclude_unset=True)
    return {key: value for key, value in keys.items() if value is not None and (key, value) != ("sources", ())}


def _model(study: Study, data: Any) -> Any:
    from bayes_causal.models.catalogue import MODELS

    try:
        return MODELS[study.model.name].build(data, study.model.options, study.model.priors)
    except (TypeError, ValueError) as error:
        if isinstance(error, BayesCausalError):
            raise
        raise StudyError(f"model.options: {error}") from error


def _engine(study: Study, quiet: bool) -> Any:
    from bayes_causal.inference.catalogue import engine_from

    said = study.engine
    engine: Any = engine_from(said.name, draws=said.draws, warmup=said.warmup, chains=said.chains)
    return replace(engine, progress=False) if quiet and hasattr(engine, "progress") else engine


def _estimates(study: Study, model: Any, tree: xr.DataTree) -> list[Estimate]:
    """The headline first, then whatever else the model reports; responses to shocks by regime and horizon last."""
    from bayes_causal.estimates import from_draws
    from bayes_causal.inference.estimate import estimate
    from bayes_causal.models.kinds import ShockModel

    wanted = dict.fromkeys([model.headline, *model.estimands()])
    told = [
        estimate(model, tree, e, level=study.level, interval=study.interval, rope=study.rope if e == model.headline else None)
        for e in wanted
    ]
    if isinstance(model, ShockModel):
        draws, asked_by = model.responses(tree["posterior"].to_dataset()), replace(told[0].estimand, by="horizon")
        kept: dict[str, Any] = {"level": study.level, "interval": study.interval, "unit": told[0].unit}
        told.append(from_draws(draws, asked_by, model.name, **kept))
    return told


def _write(study: Study, answers: list[Answer], stages: Stages, folder: Path) -> None:
    """Everything a run folder holds, into a folder that takes its place when this returns."""
    from bayes_causal.inference import tree
    from bayes_causal.reports import content, html

    for one in answers:
        tree.save(one.tree, folder / ("posterior.nc" if one is answers[0] else f"posterior_{one.outcome}.nc"))
    with stages("report", "writing the report"):
        told = _content(study, answers, stages)
        html.write(told, folder)
    content.save(replace(told, manifest=_record(study, answers, stages)), folder)


def _content(study: Study, answers: list[Answer], stages: Stages) -> RunContent:
    from bayes_causal.reports import shock_words, tables, text
    from bayes_causal.reports.content import RunContent

    head = answers[0]
    checks = [c for a in answers for c in a.checks]
    rows, coefficients = tables.split_coefficients([row for a in answers for e in a.estimates for row in e.rows()])
    record = _record(study, answers, stages)
    rows = [row | {"unit": row["by"].get("series", row["unit"])} for row in rows]
    headline = next(r for r in rows if all(r["by"].get(k) == v for k, v in head.labels.items()))
    told = shock_words.told(head.answered, checks) if head.answered else {}
    return RunContent(
        study=record["study"],
        verdict=text.verdict(headline, checks, study.rope, kind=KINDS[study.data.kind], sentence=told.get("sentence", "")),
        rows=rows,
        comparison=[row for a in answers for row in tables.comparison(a.estimates, a.estimates[0])],
        checks=checks,
        manifest=record,
        tree=head.tree,
        assumptions=[(a.name, a.sentence, a.checks) for a in head.model.assumptions()],
        coefficients=coefficients,
        answer=told,
    )


def _record(study: Study, answers: list[Answer], stages: Stages) -> dict[str, Any]:
    """The manifest as of now: stages take time until the last file is written."""
    from bayes_causal.inference.tree import info

    return manifest(study, answers[0].data, [info(a.tree) for a in answers], stages)
