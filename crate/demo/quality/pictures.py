#!/usr/bin/env python3
"""Writes the photos and paintings of docs/quality.md, out of the packages that hold them: OUT/SET/contents and OUT/SET/styles.

  pictures.py --work DIR --out OUT
"""
import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "train"))
import fetch_data

# Photos and paintings of a set, by their names in ../data.tsv, each with its own here. The model was trained on none of them.
PHOTOS = {"chelsea": "cat", "coffee": "coffee", "citrus-fruits": "fruit"}
SETS = {
    "nine": (PHOTOS, {"GreatWave": "great-wave", "HokusaiPoppies": "poppies", "gogh_auvert": "auvers"}),
    "six": ({"red_panda": "red-panda", "tajMahal": "taj-mahal", "city8": "city"},
            {"VincentVanGoghBridge": "bridge", "GreatWave": "great-wave"}),
    "three": (PHOTOS, {"GreatWave": "great-wave"}),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("work", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    land = "usr/share/games/endless-sky/images/land"
    sources = (
        fetch_data.gcompris_photos(args.work), fetch_data.gcompris_paintings(args.work), fetch_data.palapeli(args.work),
        fetch_data.scikit_image(args.work),
        fetch_data.from_debian_copyright("endless-sky-data", land, "*.jpg", "images/land/", "photo", args.work),
    )
    found = {picture.name: picture.image for source in sources for picture in source}
    for name, groups in SETS.items():
        for group, pictures in zip(("contents", "styles"), groups):
            folder = args.out / name / group
            folder.mkdir(parents=True, exist_ok=True)
            for source, own in pictures.items():
                found[source].save(folder / f"{own}.png")


if __name__ == "__main__":
    main()
