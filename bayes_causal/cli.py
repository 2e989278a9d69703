"""The command line: parse, call, say. Heavy modules are imported by the command that needs them."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bayes_causal.errors import BayesCausalError

DONE, FAULT, REFUSED, BLOCKED, INTERRUPTED = 0, 1, 2, 3, 130
FAULT_TEXT = "a fault of bayes-causal, not of your input; nothing was written. BAYES_CAUSAL_TRACEBACK=1 shows where."
ABOUT = "Bayesian causal inference beside its frequentist baselines."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit status.

    0 done; 2 the input was refused and nothing was written; 3 done and written, but a blocking check failed; 1 a fault of ours;
    130 interrupted, nothing half written.
    """
    options = _parser().parse_args(arguments)
    try:
        return int(options.command(options))
    except BayesCausalError as error:
        return _fail(REFUSED, f"error: {error}")
    except KeyboardInterrupt:
        return _fail(INTERRUPTED, "interrupted: nothing was written")
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except Exception as error:
        if os.environ.get("BAYES_CAUSAL_TRACEBACK"):
            raise
        return _fail(FAULT, f"{FAULT_TEXT}\n{type(error).__name__}: {error}")


def _fail(status: int, message: str) -> int:
    print(message, file=sys.stderr)
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bayes-causal", description=ABOUT)
    parser.add_argument("--version", action=_Version, nargs=0, help="the version, and nothing else")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    run = commands.add_parser("run", help="a study file: data, model, posterior, baselines, checks, report")
    run.add_argument("study", metavar="STUDY.yaml")
    _run_options(run)
    run.set_defaults(command=_run)

    example = commands.add_parser("example", help="the same on a shipped study with public data")
    example.add_argument("name", metavar="NAME")
    _run_options(example)
    example.set_defaults(command=_example)

    examples = commands.add_parser("examples", help="the shipped studies")
    examples.set_defaults(command=_examples)

    init = commands.add_parser("init", help="print a commented study file for a model")
    init.add_argument("model", metavar="MODEL")
    init.set_defaults(command=_init)

    models = commands.add_parser("models", help="every model, baseline, check and engine")
    models.set_defaults(command=_models)

    power = commands.add_parser("power", help="what effects a test would find, by how long it runs and in which market")
    power.add_argument("study", metavar="STUDY.yaml", help="of a series, or of synthetic control; may be a test to come")
    power.add_argument("--durations", metavar="N", type=int, nargs="+", help="lengths of the test, in dates")
    power.add_argument("--markets", metavar="UNIT", nargs="+", help="synthetic control: candidates, by default every unit")
    power.add_argument(
        "--effects", metavar="SIZE", type=float, nargs="+", help="in units of the outcome; 0.05 for a lift of 5 %%"
    )
    power.add_argument("--power", metavar="P", type=float, default=0.8, help="how often the smallest effect is found (0.8)")
    power.add_argument("--out", metavar="DIR", help="a new folder for tables and a figure")
    power.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], help="any key of the study")
    power.add_argument("--json", action="store_true", help="everything as JSON on stdout, instead of the table")
    power.set_defaults(command=_power)

    macro = commands.add_parser("macro", help="macroeconomic series: shocks, features and returns by month")
    steps = macro.add_subparsers(title="steps", metavar="STEP", required=True)
    _macro_options(steps.add_parser("build", help="fetch what is missing, align it on release dates, and write a lake"))

    report = commands.add_parser("report", help="rebuild the report of a run without refitting")
    report.add_argument("folder", metavar="RUN", type=Path)
    report.set_defaults(command=_report)

    compare = commands.add_parser("compare", help="one table over runs")
    compare.add_argument("folders", metavar="RUN", type=Path, nargs="+")
    compare.add_argument("--json", action="store_true", help="print the table as JSON")
    compare.set_defaults(command=_compare)

    doctor = commands.add_parser("doctor", help="versions, devices, precision, extras, known-bad combinations")
    doctor.set_defaults(command=_doctor)
    return parser


def _run_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", metavar="DIR", help="the run folder, instead of the study's output")
    parser.add_argument("--seed", metavar="N", help="instead of engine.seed")
    parser.add_argument("--engine", metavar="NAME", help="instead of engine.name")
    parser.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], help="any other key, as engine.draws=200")
    parser.add_argument("--force", action="store_true", help="replace the run folder if it exists")
    parser.add_argument("--quiet", action="store_true", help="no progress on stderr, no table on stdout")
    parser.add_argument("--json", action="store_true", help="the verdict on stdout as JSON")


def _macro_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--out", metavar="LAKE", required=True, help="a folder or an URL as s3://bucket/macro; an old one is continued"
    )
    parser.add_argument("--start", metavar="MONTH", help="first month, as 1990-01; the first observed if left out")
    parser.add_argument("--end", metavar="MONTH", help="last month; the last observed if left out")
    parser.add_argument(
        "--from",
        metavar="PATH",
        nargs="+",
        default=[],
        dest="given",
        help="built lakes or wide files; no network unless `online` is listed too",
    )
    parser.add_argument("--schema", metavar="FILE", help="what the columns of a wide file are, instead of its macro.yaml")
    parser.add_argument("--without", metavar="SERIES", nargs="+", default=[], help="series to leave out")
    parser.add_argument("--offline", action="store_true", help="ask no source: only what is in the lake")
    parser.add_argument("--refresh", action="store_true", help="ask the sources again; revisions are kept beside what was there")
    parser.add_argument("--quiet", action="store_true", help="no progress on stderr, no report on stdout")
    parser.add_argument("--json", action="store_true", help="what was built on stdout as JSON")
    parser.set_defaults(command=_macro_build)


class _Version(argparse.Action):
    """Print the version and leave; reads no more than the package's metadata."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from bayes_causal import __version__

        print(f"bayes-causal {__version__}")
        parser.exit()


def _run(options: argparse.Namespace) -> int:
    return _study(options, options.study, options.out)


def _example(options: argparse.Namespace) -> int:
    from bayes_causal.study.shipped import shipped_study

    return _study(options, shipped_study(options.name), options.out or f"runs/{options.name}")


def _study(options: argparse.Namespace, path: str | Path, out: str | None) -> int:
    from bayes_causal.study.interrupt import interruptible

    keep_compiled_programs()
    with interruptible():
        from bayes_causal.study.run import run_study

        folder = run_study(
            path,
            out=out,
            seed=options.seed,
            engine=options.engine,
            overrides=options.set,
            force=options.force,
            progress=None if options.quiet or not sys.stderr.isatty() else _say,
            quiet=options.quiet,
        )
    return _tell(folder, options)


def _tell(folder: Path, options: argparse.Namespace) -> int:
    """The verdict on stdout; the status it asks for."""
    estimates = json.loads((folder / "estimates.json").read_text(encoding="utf-8"))
    if options.json:
        answer = {"answer": estimates["answer"]} if "answer" in estimates else {}
        print(json.dumps(estimates["verdict"] | answer, ensure_ascii=False))
    elif not options.quiet:
        from bayes_causal.study.inventory import verdict_text

        print(verdict_text(folder))
        print(f"Report: {folder / 'report.html'}")
    return DONE if estimates["verdict"]["reliable"] else BLOCKED


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def keep_compiled_programs() -> None:
    """Let JAX keep compiled programs in the user's cache folder, so that the second run starts at once.

    ``BAYES_CAUSAL_CACHE`` names another folder, or is empty for none. JAX reads these variables when it is first imported. Every
    kind of processor has a folder of its own, since homes are shared between machines. XLA's log is switched off below fatal: it
    takes its own tuning flags for processor features and warns of every program it loads.
    """
    default = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bayes-causal"
    folder = os.environ.get("BAYES_CAUSAL_CACHE", str(default))
    if folder:
        os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(Path(folder) / f"jax-{_processor()}"))
        os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def _processor() -> str:
    """A short name for the kind of processor: what it says of itself, hashed."""
    import hashlib
    import platform

    about = Path("/proc/cpuinfo")
    lines = about.read_text(errors="replace").splitlines() if about.is_file() else []
    said = next((line for line in lines if line.startswith(("flags", "Features"))), platform.processor())
    return hashlib.sha256(f"{platform.machine()} {said}".encode()).hexdigest()[:8]


def _examples(options: argparse.Namespace) -> int:
    from bayes_causal.study.shipped import first_line, shipped_studies

    studies = shipped_studies()
    width = max(map(len, studies), default=0)
    for name, path in studies.items():
        print(f"{name:<{width}}  {first_line(path)}")
    return DONE


def _init(options: argparse.Namespace) -> int:
    from bayes_causal.study.template import template

    print(template(options.model), end="")
    return DONE


def _models(options: argparse.Namespace) -> int:
    from bayes_causal.study.inventory import inventory

    print(inventory())
    return DONE


def _power(options: argparse.Namespace) -> int:
    from bayes_causal.study.interrupt import interruptible

    keep_compiled_programs()
    with interruptible():
        from bayes_causal.study.power import run_power

        asked = {name: getattr(options, name) for name in ("durations", "effects", "power", "markets")}
        found, text = run_power(options.study, **asked, out=options.out, overrides=options.set)
    if options.json:
        from bayes_causal.study.power import as_json

        print(as_json(found))
        return DONE
    print(text, end="" if options.out is None else f"\nWritten: {options.out}\n")
    return DONE


def _macro_build(options: argparse.Namespace) -> int:
    from bayes_causal.data.macro.build import build_macro
    from bayes_causal.data.macro.wide_file import read_schema
    from bayes_causal.study.interrupt import interruptible

    names = ("start", "end", "given", "without", "offline", "refresh", "quiet")
    schema = None if options.schema is None else read_schema(options.schema)
    try:
        with interruptible():
            built = build_macro(options.out, schema=schema, **{name: getattr(options, name) for name in names})
    except KeyboardInterrupt:
        return _fail(
            INTERRUPTED, "interrupted: the lake is as it was, and what was fetched is kept: the next run goes on from there"
        )
    if options.json:
        said = {name: built.manifest[name] for name in ("months", "columns", "warnings", "revised", "choice", "files")}
        print(json.dumps({"lake": options.out, "fetched": built.fetched} | said, ensure_ascii=False))
    elif not options.quiet:
        print(f"{built.report}\n\nLake: {options.out} ({built.fetched} fetched)")
    return DONE


def _report(options: argparse.Namespace) -> int:
    from bayes_causal.reports import content, html

    print(f"Report: {html.write(content.load(options.folder), options.folder)}")
    return DONE


def _compare(options: argparse.Namespace) -> int:
    from bayes_causal.study.inventory import runs_table

    rows, text = runs_table(options.folders)
    print(json.dumps(rows, ensure_ascii=False) if options.json else text)
    return DONE


def _doctor(options: argparse.Namespace) -> int:
    from bayes_causal.study.doctor import examination

    lines, troubles = examination()
    print("\n".join(lines))
    return BLOCKED if troubles else DONE


if __name__ == "__main__":
    sys.exit(main())
