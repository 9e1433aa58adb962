#!/usr/bin/env python3
"""Writes the figures of `styleid eval --compare` into docs/quality.md, and its plot and contact sheets beside it.

  page.py --figures RESULTS/figures.json --sheets RESULTS --docs ../../../docs
"""
import argparse
import json
from pathlib import Path

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt
from PIL import Image

BEGIN, END = "<!-- figures -->\n", "<!-- /figures -->"
SHEETS = {"Balanced": "balanced", "layers 7 to 11": "layers-7-to-11", "without injection": "without-injection",
          "Magenta 1.00": "magenta"}
AT_LEFT = "without AdaIN", "T = 1"  # their words would lie on others' at the right
# Points that one setting connects, in its order; the rest stand alone.
LINES = {
    "γ, from 0 to 1": ["γ = 0", "Strong style", "Balanced", "Keep content", "γ = 1"],
    "T, from 1 to 3": ["T = 1", "Balanced", "T = 3"],
    "Magenta, strength": ["photo copied", "Magenta 0.25", "Magenta 0.50", "Magenta 0.75", "Magenta 1.00"],
}


def table(figures) -> str:
    """A line for each way to make results."""
    lines = ["| | LPIPS | style distance | histogram loss |", "|---|---|---|---|"]
    for name, mean in figures.items():
        lines.append(f"| {name} | {mean['lpips']:.3f} | {mean['style_distance']:.3f} | {mean['histogram']:.3f} |")
    return "\n".join(lines) + "\n"


def plot(figures, path: Path):
    """LPIPS against style distance, the whole and what lies close together larger."""
    plt.rcParams.update({"svg.hashsalt": "styleid", "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 8})
    whole, (left, right) = plt.subplots(1, 2, figsize=(10, 4.6))
    at = {name: (mean["lpips"], mean["style_distance"]) for name, mean in figures.items()}
    ours = [name for name in at if not name.startswith("Magenta") and not name.endswith("copied")]
    near = [name for name in ours if name not in ("without AdaIN", "without both")]
    crowd = sorted([*LINES["γ, from 0 to 1"], "Published schedule"], key=at.get)
    for axes, names in ((left, list(at)), (right, near)):
        for label, line in LINES.items():
            points = [at[name] for name in line if name in names]
            if len(points) > 1:
                axes.plot(*zip(*points), linewidth=1, alpha=0.6, label=label, zorder=1)
        for name in names:
            axes.scatter(*at[name], s=14, color="#b4380c" if name in ours else "#525252", zorder=2)
            words = {"textcoords": "offset points", "fontsize": 7}
            if axes is right and name in crowd:  # too close for words side by side: every other's are at the lower left
                side, shift = ("right", -3) if crowd.index(name) % 2 == 0 else ("left", 3)
                words.update(rotation=50, rotation_mode="anchor", ha=side, va="center")
                axes.annotate(name, at[name], xytext=(shift, shift), **words)
            elif axes is right or name not in near or name == "Balanced":
                side, shift = ("right", (-4, -6)) if name in AT_LEFT else ("left", (4, 3))
                axes.annotate(name, at[name], xytext=shift, ha=side, **words)
        axes.set_xlabel("LPIPS: how far from the photo")
        axes.set_ylabel("style distance: how far from the painting")
        axes.margins(0.12)
        axes.spines[["top", "right"]].set_visible(False)
    left.legend(frameon=False, fontsize=7)
    left.set_title("everything")
    right.set_title("settings close together")
    whole.tight_layout()
    whole.savefig(path, metadata={"Date": None})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("figures", "sheets", "docs"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    args = parser.parse_args()
    everything = json.loads(args.figures.read_text())
    figures = {one["name"]: one["mean"] for one in everything}
    folder = args.docs / "quality"
    folder.mkdir(exist_ok=True)
    plot(figures, folder / "tradeoff.svg")
    for name, file in SHEETS.items():
        sheet = Image.open(args.sheets / f"sheet {name}.png").convert("RGB")
        sheet.save(folder / f"{file}.jpg", quality=76, optimize=True)
    (folder / "figures.json").write_text(json.dumps(everything, indent=1, ensure_ascii=False) + "\n")
    page = args.docs / "quality.md"
    head, rest = page.read_text().split(BEGIN)
    page.write_text(head + BEGIN + table(figures) + END + rest.split(END)[1])


if __name__ == "__main__":
    main()
