#!/usr/bin/env python3
"""Makes and measures everything that docs/quality.md shows, and writes its tables, plot and contact sheets.

  measure.py --styleid PROGRAM --work DIR

What lies in DIR already is not made again, so a run that was stopped goes on where it was. Start from an empty DIR when
the program's results have changed.
"""
import argparse
import json
import subprocess
import sys
from pathlib import Path

import page

HERE = Path(__file__).parent
# Controls are many, so that they are measured on three of the nine; redraw, whose end moves little, on all of them too.
SETS = {"nine": ("versions", "looks", "redraw"), "six": ("versions", "looks"), "three": ("controls",)}


def python(script: str, **options: Path):
    """Runs a script of this folder."""
    flags = [str(part) for name, value in options.items() for part in (f"--{name}", value)]
    subprocess.run([sys.executable, HERE / script, *flags], check=True)


def evaluate(program: Path, folder: Path, results: Path, settings: str) -> list:
    """The figures of `styleid eval` for one file of settings."""
    figures = results / f"{settings}.json"
    # Only a version decides how much of a photo its inversion brings back.
    trips = ["--round-trip"] if settings == "versions" else []
    subprocess.run([
        program, "eval", "--device", "cpu", "--precision", "f32", "--size", "256", *trips,
        "--content", folder / "contents", "--style", folder / "styles", "--results", results,
        "--compare", HERE / f"{settings}.json", "--json", figures,
    ], check=True, stdout=subprocess.DEVNULL)
    return json.loads(figures.read_text())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--styleid", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    args = parser.parse_args()
    pairs = args.work / "pairs"
    if not pairs.exists():
        python("pictures.py", work=args.work / "packages", out=pairs)
    figures = {}
    for name, files in SETS.items():
        results = args.work / "results" / name
        if "looks" in files and not (results / "painting copied").exists():
            python("peers.py", content=pairs / name / "contents", style=pairs / name / "styles", results=results)
        figures[name] = [one for file in files for one in evaluate(args.styleid.absolute(), pairs / name, results, file)]
    page.write(figures, args.work / "results", HERE.parents[2] / "docs")


if __name__ == "__main__":
    main()
