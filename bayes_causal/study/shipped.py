"""The study files that come with the package, each on public data."""

from __future__ import annotations

from pathlib import Path

from bayes_causal.errors import StudyError, closest


def shipped_studies() -> dict[str, Path]:
    """Name and path of every shipped study: inside an installed package, beside it in a checkout."""
    package = Path(__file__).parents[1]
    inside = package / "studies"
    folder = inside if inside.is_dir() else package.parent / "studies"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def shipped_study(name: str) -> Path:
    """Path of a shipped study.

    Raises
    ------
    StudyError
        No such study, with the closest that exists.
    """
    studies = shipped_studies()
    if name not in studies:
        raise StudyError(f"there is no example '{name}'{closest(name, studies)}")
    return studies[name]


def first_line(path: Path) -> str:
    """What a study file says of itself: its first comment line."""
    line = path.read_text(encoding="utf-8").partition("\n")[0]
    return line.removeprefix("#").strip() if line.startswith("#") else ""
