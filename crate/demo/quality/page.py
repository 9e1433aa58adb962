"""The tables, plot and contact sheets of docs/quality.md, out of the figures of `styleid eval --compare`."""
import json
from pathlib import Path

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt
from PIL import Image

MAGENTA = ["photo copied", "Magenta 0.25", "Magenta 0.50", "Magenta 0.75", "Magenta 1.00"]
LOOKS = ["tint", "gentle", "painted", "bold"]
# A row of a contact sheet: both pictures, StyleID's own version, the looks, and Magenta's model.
COLUMNS = ["photo copied", "painting copied", "diffusers, 20 steps", *LOOKS, "Magenta 0.75", "Magenta 1.00"]
CELL, GAP = 144, 4
# Points that one control connects, in its order; the version `fast` itself is where none is set.
PLAIN = "fast, 10 steps"
CONTROLS = {
    "γ": ["γ = 0", "γ = 0.5", PLAIN, "γ = 1"],
    "T": ["T = 1", PLAIN, "T = 3"],
    "AdaIN's strength": ["without AdaIN", "AdaIN 0.25", "AdaIN 0.5", "AdaIN 0.75", PLAIN],
    "redraw": [PLAIN, "redraw 0.25", "redraw 0.5", "redraw 0.75", "redraw 1"],
    "redraw's band": ["redraw 0.5, band 0.2", "redraw 0.5, band 0.4", "redraw 0.5", "redraw 0.5, band 0.8"],
    "tone": [PLAIN, "tone 0.25", "tone 0.5", "tone 0.75", "tone 1"],
    "texture": [PLAIN, "texture 0.25", "texture 0.5", "texture 0.75", "texture 1"],
    "style scale": [PLAIN, "style scale 1.25", "style scale 1.5", "style scale 1.75", "style scale 2"],
    "content share": [PLAIN, "content share 0.25", "content share 0.5", "content share 0.75", "content share 1"],
}
STEPS = {"diffusers": 20, "ldm": 50, "fast": 10}


def calls(settings) -> int:
    """Calls of the UNet for a picture: both inversions and the reverse pass, which the style scale doubles."""
    steps = settings["steps"] or STEPS[settings["preset"]]
    return steps * (3 if settings["styleScale"] == 1 else 4)


def magenta_at(at: dict, lpips: float):
    """The style distance of Magenta's line at this LPIPS; nothing beyond its ends."""
    points = [at[name] for name in MAGENTA]
    for (x0, y0), (x1, y1) in zip(points, points[1:]):
        if x0 <= lpips <= x1:
            return y0 + (lpips - x0) / (x1 - x0) * (y1 - y0)
    return None


def points(figures: list) -> dict:
    return {one["name"]: (one["mean"]["lpips"], one["mean"]["style_distance"]) for one in figures}


def rows(figures: list) -> list:
    """Of each way to make results: its name and its cells."""
    at = points(figures)
    lines = []
    for one in figures:
        mean, settings = one["mean"], one.get("settings")
        below = magenta_at(at, mean["lpips"]) if settings and MAGENTA[0] in at else None
        lines.append((one["name"], [
            str(calls(settings)) if settings else "",
            f"{mean['lpips']:.3f}", f"{mean['style_distance']:.2f}", f"{mean['histogram']:.3f}",
            f"{below - mean['style_distance']:.2f}" if below is not None else "",
        ]))
    return lines


def table(head: list, lines: list) -> str:
    text = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    return "\n".join(text + [f"| {' | '.join(cells)} |" for cells in lines]) + "\n"


MEASURES = ["", "UNet calls", "LPIPS", "style distance", "histogram loss", "below Magenta"]


# The sets that each table is made of.
MADE_OF = {"versions": {"nine", "six"}, "looks": {"nine", "six"}, "controls": {"three"}, "monotony": {"three", "nine"}}


def versions(figures: dict) -> str:
    """Round trips of all photos, and both kinds of held-out pairs."""
    trips = {}
    for one in (one for figures in figures.values() for one in figures):
        for trip in one.get("round_trips", []):
            trips.setdefault(one["name"], []).append(trip["decibels"])
    six = dict(rows(figures["six"]))
    lines = []
    for name, cells in rows(figures["nine"]):
        if "steps" in name:
            own = trips.get(name)
            told = f"{sum(own) / len(own):.1f} ({min(own):.1f})" if own else ""
            lines.append([name, cells[0], told, *cells[1:4], *six[name][1:4]])
    head = ["", "UNet calls", "round trip, dB (least)", "nine: LPIPS", "style distance", "histogram loss",
            "six: LPIPS", "style distance", "histogram loss"]
    return table(head, lines)


def controls(figures: dict) -> str:
    return table(MEASURES[:-1], [[name, *cells[:-1]] for name, cells in rows(figures["three"])])


def looks(figures: dict) -> str:
    lines = []
    for kind, words in (("nine", "nine"), ("six", "six more")):
        cells = dict(rows(figures[kind]))
        lines += [[f"{name}, {words}", *cells[name]] for name in [*LOOKS, *MAGENTA[1:]]]
    ends = dict(rows(figures["nine"]))
    lines += [[f"{name}, nine", *ends[name]] for name in ("photo copied", "painting copied")]
    return table(MEASURES, lines)


def monotony(figures: dict) -> str:
    """How each control moves both measures, step by step."""
    three, nine = points(figures["three"]), points(figures["nine"])
    lines = []
    measured = [(name, line, three) for name, line in CONTROLS.items()]
    for name, line, at in [*measured, ("redraw, all nine pairs", CONTROLS["redraw"], nine)]:
        moves = [[at[b][i] - at[a][i] for a, b in zip(line, line[1:])] for i in (0, 1)]
        words = [" ".join(f"{move:+.3f}" if i == 0 else f"{move:+.2f}" for move in moves[i]) for i in (0, 1)]
        same = ["yes" if all(m >= 0 for m in one) or all(m <= 0 for m in one) else "no" for one in moves]
        lines.append([name, " → ".join(line).replace(PLAIN, "fast"), words[0], same[0], words[1], same[1]])
    return table(["", "from, to", "LPIPS moves", "one way", "style distance moves", "one way"], lines)


def plot(figures: dict, path: Path):
    """LPIPS against style distance: looks beside Magenta's line on both sets, and every control on three pairs."""
    plt.rcParams.update({"svg.hashsalt": "styleid", "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 8})
    kinds = [kind for kind in ("nine", "six", "three") if kind in figures]
    whole, axes = plt.subplots(1, len(kinds), figsize=(4.7 * len(kinds), 4.8))
    for axis, kind in zip(axes, kinds):
        at = points(figures[kind])
        lines = CONTROLS if kind == "three" else {"looks": LOOKS, "Magenta, strength": MAGENTA}
        named = [PLAIN] if kind == "three" else [*LOOKS, PLAIN, "diffusers, 20 steps", *MAGENTA[1:]]
        for label, line in lines.items():
            color = "#525252" if label.startswith("Magenta") else None
            axis.plot(*zip(*(at[name] for name in line)), linewidth=1.2, marker="o", markersize=3, alpha=0.8, label=label, color=color)
        axis.scatter(*zip(*(at[name] for name in named)), s=14, color="#b4380c", zorder=3)
        for name in named:
            side, shift = ("right", (-4, -8)) if name == PLAIN else ("left", (4, 3))
            axis.annotate(name, at[name], xytext=shift, ha=side, textcoords="offset points", fontsize=7)
        axis.set_xlabel("LPIPS: how far from the photo")
        axis.set_ylabel("style distance: how far from the painting")
        axis.margins(0.12)
        axis.spines[["top", "right"]].set_visible(False)
        axis.set_title({"nine": "nine pairs", "six": "six more pairs", "three": "controls, three of the nine"}[kind])
        axis.legend(frameon=False, fontsize=7)
    whole.tight_layout()
    whole.savefig(path, metadata={"Date": None})


def sheet(results: Path, path: Path):
    """Every pair of a set in a row of `COLUMNS`."""
    pairs = sorted(file.name for file in (results / COLUMNS[0]).iterdir())
    whole = Image.new("RGB", (len(COLUMNS) * (CELL + GAP) - GAP, len(pairs) * (CELL + GAP) - GAP), "white")
    for row, pair in enumerate(pairs):
        for column, name in enumerate(COLUMNS):
            picture = Image.open(results / name / pair).convert("RGB").resize((CELL, CELL), Image.Resampling.LANCZOS)
            whole.paste(picture, (column * (CELL + GAP), row * (CELL + GAP)))
    whole.save(path, quality=74, optimize=True)


def write(figures: dict, results: Path, docs: Path):
    """Everything into `docs`; results are in a folder for each set."""
    folder = docs / "quality"
    folder.mkdir(exist_ok=True)
    plot(figures, folder / "tradeoff.svg")
    for kind in ("nine", "six"):
        sheet(results / kind, folder / f"{kind}.jpg")
    (folder / "figures.json").write_text(json.dumps(figures, indent=1, ensure_ascii=False) + "\n")
    page = docs / "quality.md"
    text = page.read_text()
    for name, make in (("versions", versions), ("controls", controls), ("looks", looks), ("monotony", monotony)):
        if f"<!-- {name} -->" not in text or not MADE_OF[name] <= figures.keys():
            continue
        head, rest = text.split(f"<!-- {name} -->\n")
        _, tail = rest.split(f"<!-- /{name} -->")
        text = f"{head}<!-- {name} -->\n{make(figures)}<!-- /{name} -->{tail}"
    page.write_text(text)
