"""The report as one HTML file: no network, no script, no font to load; it reads on paper, on a phone and in the dark."""

from __future__ import annotations

import base64
import re
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bayes_causal.reports.content import RunContent
from bayes_causal.reports.page import page

if TYPE_CHECKING:
    from jinja2 import Environment


def render(content: RunContent) -> tuple[str, dict[str, bytes]]:
    """The page, and the figures on it.

    Returns
    -------
    html : str
        The whole report, figures inside.
    figures : dict of str to bytes
        PNG by figure name, in the order of the report; figures that do not apply are left out.
    """
    from bayes_causal.reports.figures import drawn
    from bayes_causal.reports.style import DPI, png

    figures: dict[str, bytes] = {}
    placed: dict[str, list[dict[str, Any]]] = {}
    for drawing, figure in drawn(content):
        figures[drawing.name] = png(figure)
        width, height = (round(DPI * side / 2) for side in figure.get_size_inches())
        source = "data:image/png;base64," + base64.b64encode(figures[drawing.name]).decode("ascii")
        view = {"name": drawing.name, "src": source, "alt": drawing.alt(content), "caption": drawing.caption}
        placed.setdefault(drawing.section, []).append(view | {"width": width, "height": height})
    template = environment().get_template("report.html.j2")
    return template.render(figures=placed, css=stylesheet(), **page(content, placed)), figures


def write(content: RunContent, folder: str | Path) -> Path:
    """Write ``report.html`` and ``figures/*.png`` into a run folder; figures of an earlier report there are replaced.

    Returns
    -------
    pathlib.Path
        The report.
    """
    folder = Path(folder)
    html, figures = render(content)
    (folder / "figures").mkdir(parents=True, exist_ok=True)
    for old in (folder / "figures").glob("*.png"):
        old.unlink()
    for name, image in figures.items():
        (folder / "figures" / f"{name}.png").write_bytes(image)
    path = folder / "report.html"
    path.write_text(html, encoding="utf-8")
    return path


@lru_cache(maxsize=1)
def environment() -> Environment:
    """Jinja with every value escaped and every undefined name an error."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader("bayes_causal.reports", "templates")
    jinja = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    jinja.filters["subscripts"] = subscripts
    return jinja


def subscripts(text: str) -> Any:
    """Formulas as people write them: ``y_it`` with its index below the line."""
    from markupsafe import Markup, escape

    return Markup(re.sub(r"_([a-z]{1,2}(?:,[a-z](?:−\d)?)?)(?![a-z_])", r"<sub>\1</sub>", str(escape(text))))


@lru_cache(maxsize=1)
def stylesheet() -> Any:
    """The style sheet, safe to stand inside ``<style>``."""
    from markupsafe import Markup

    return Markup((files("bayes_causal.reports") / "templates" / "report.css").read_text(encoding="utf-8"))
