#!/usr/bin/env python3
"""Collect the public-domain and CC0 pictures that the demo model learns from, out of distribution packages.

  fetch_data.py --work DIR --out demo-data.zip --list ../data.tsv

Every picture is taken only where the package itself says, for that file, that it is in the public domain or CC0; the
one exception, old paintings photographed flat, is explained at `gcompris_paintings`. The zip holds JPEGs named
SPLIT/GROUP/NAME.jpg (SPLIT: train or held; GROUP: photo, object, painting, texture, drawing); the list names each
picture's package, path, author or title, licence and checksum.
"""
import argparse
import hashlib
import io
import json
import random
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

import packages
from drawings import draw

LONGEST_SHORT_SIDE = 512
SMALLEST_SHORT_SIDE = 180
GCOMPRIS_PHOTOS = {  # resource bundles with photographs that a README describes, and their group
    "categorization": "object", "clickgame": "photo", "erase": "photo", "explore_farm_animals": "photo",
    "explore_world_animals": "photo", "explore_world_music": "photo", "solar_system": "photo",
}
# Licences as stated in the docstrings of skimage.data.
SCIKIT_IMAGE = [
    ("astronaut.png", "photo", "Eileen Collins, NASA", "public domain"),
    ("brick.png", "texture", "CC0Textures", "CC0"),
    ("chelsea.png", "photo", "Stefan van der Walt", "CC0"),
    ("clock_motion.png", "photo", "Stefan van der Walt", "public domain"),
    ("coffee.png", "photo", "Rachel Michetti", "CC0"),
    ("grass.png", "texture", "Linolafett", "CC0"),
    ("gravel.png", "texture", "CC0Textures", "CC0"),
    ("hubble_deep_field.jpg", "photo", "NASA", "public domain"),
    ("retina.jpg", "photo", "Mikael Haggstrom", "CC0"),
    ("rocket.jpg", "photo", "SpaceX", "public domain"),
]
HELD_OUT = {  # never trained on: the demo's own pictures, and one of each kind
    "chelsea", "coffee", "GreatWave", "gogh_auvert",
    "beach3", "city8", "fields6", "mountain7", "snow4", "space2", "red_panda", "citrus-fruits",
    "HokusaiPoppies", "VincentVanGoghBridge", "tajMahal",
}


@dataclass
class Picture:
    name: str
    group: str
    package: str
    path: str
    author: str
    licence: str
    image: Image.Image
    sha256: str


def opened(data: bytes) -> Image.Image:
    """RGB, transparent parts on white."""
    image = Image.open(io.BytesIO(data))
    if image.mode in ("RGBA", "LA", "P"):
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def digest(*blobs: bytes) -> str:
    return hashlib.sha256(b"".join(blobs)).hexdigest()


def from_debian_copyright(package: str, folder: str, pattern: str, source: str, group: str, work: Path):
    """Pictures whose licence Debian's copyright file gives; `source` is their folder in the source package."""
    root = packages.debian(package, work)
    rights = packages.Copyright(root / "usr/share/doc" / package / "copyright")
    for path in sorted((root / folder).rglob(pattern)):
        licence, holder = rights.of(source + path.relative_to(root / folder).as_posix())
        if packages.is_free(licence):
            data = path.read_bytes()
            where = path.relative_to(root).as_posix()
            yield Picture(path.stem, group, package, where, holder, licence, opened(data), digest(data))


def gcompris_bundles(work: Path) -> Path:
    return packages.debian("gcompris-qt-data", work) / "usr/share/gcompris-qt/rcc"


def gcompris_photos(work: Path):
    for bundle, group in GCOMPRIS_PHOTOS.items():
        files = packages.read_rcc(gcompris_bundles(work) / f"{bundle}.rcc")
        for readme in sorted(name for name in files if name.endswith("/README")):
            folder = readme.removesuffix("README")
            for licence, holder, names in packages.readme_stanzas(files[readme].decode("utf-8", "replace")):
                for name in names if packages.is_free(licence) else []:
                    data = files.get(folder + name)
                    if data and not (bundle == "clickgame" and not name.startswith("sea")):  # its fish are sprites
                        yield Picture(Path(name).stem, group, "gcompris-qt-data", f"{bundle}.rcc:{folder}{name}",
                                      holder, licence, opened(data), digest(data))


def gcompris_paintings(work: Path):
    """The paintings of two activities. The eight van Goghs are marked public domain. The jigsaw's README puts the
    reproductions under the GPL; we take those of works finished before 1900, which are in the public domain by age,
    as is a faithful photograph of a flat work. So neither the Kandinsky nor the sculpture."""
    files = packages.read_rcc(gcompris_bundles(work) / "details.rcc")
    for name in sorted(files):
        if name.endswith(".qml") and "/board/" in name:
            text = files[name].decode()
            title = re.search(r"Vincent van Gogh, [^\"]*", text) or re.search(r"Vincent van Gogh[^\"]*", text)
            background = re.search(r"image/(.*?)_background\.webp", text)
            if title and background:
                path = name.split("/board/")[0] + f"/image/{background[1]}_background.webp"
                yield Picture(background[1], "painting", "gcompris-qt-data", f"details.rcc:{path}", title[0],
                              "public domain", opened(files[path]), digest(files[path]))
    files = packages.read_rcc(gcompris_bundles(work) / "paintings.rcc")
    for name in sorted(files):
        if name.endswith(".qml") and "/board/" in name:
            text = files[name].decode()
            title = re.search(r"instruction:.*?\"(.*?)\"", text)[1]
            if "Kandinsky" in title or "Pieta" in title:
                continue
            folder = name.split("/board/")[0] + "/image/"
            tiles = re.findall(r"image/([^\"]+\.webp)\".*?\"x\"\s*:\s*\"([\d.]+)\".*?\"y\"\s*:\s*\"([\d.]+)\"", text, re.S)
            data = [files[folder + tile] for tile, _, _ in tiles]
            label = re.sub(r"[_-]?[a-e]?\d$", "", Path(tiles[0][0]).stem)
            yield Picture(label, "painting", "gcompris-qt-data", f"paintings.rcc:{folder}{label}*.webp", title,
                          "public domain (by age)", assemble(tiles, data), digest(*data))


def assemble(tiles, data) -> Image.Image:
    """Put a jigsaw together: each tile's centre is given as a fraction of a 702 x 515 board."""
    board = Image.new("RGBA", (702, 515))
    for (_, x, y), blob in zip(tiles, data):
        tile = Image.open(io.BytesIO(blob)).convert("RGBA")
        board.alpha_composite(tile, (max(0, round(float(x) * 702 - tile.width / 2)),
                                     max(0, round(float(y) * 515 - tile.height / 2))))
    left, top, right, bottom = board.getchannel("A").point(lambda a: 255 * (a > 128)).getbbox()
    # The seams are a pixel wide: fill them from a slightly shifted copy below.
    below = board.copy()
    for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1), (2, 2), (-2, -2)):
        shifted = Image.new("RGBA", board.size)
        shifted.paste(board, (dx, dy))
        below = Image.alpha_composite(shifted, below)
    whole = Image.alpha_composite(Image.new("RGBA", board.size, "gray"), below)
    return whole.crop((left + 4, top + 4, right - 4, bottom - 4)).convert("RGB")


def palapeli(work: Path):
    folder = packages.debian("palapeli-data", work) / "usr/share/palapeli/collection"
    for entry in sorted(folder.glob("*.desktop")):
        keys = dict(re.findall(r"^([^=\[\n]+)=(.*)$", entry.read_text(), re.M))
        licence = keys["X-KDE-PluginInfo-License"]
        if packages.is_free(licence):
            data = (folder / keys["Image"]).read_bytes()
            yield Picture(entry.stem, "photo", "palapeli-data", f"usr/share/palapeli/collection/{keys['Image']}",
                          keys["X-KDE-PluginInfo-Author"], licence, opened(data), digest(data))


def scikit_image(work: Path):
    root = packages.wheel("scikit-image==0.26.0", work)
    for name, group, author, licence in SCIKIT_IMAGE:
        data = (root / "skimage/data" / name).read_bytes()
        yield Picture(Path(name).stem, group, "scikit-image", f"skimage/data/{name}", author, licence, opened(data),
                      digest(data))


def clip_art(work: Path, count: int):
    """Cut-outs for the drawings. All of Open Clip Art is dedicated to the public domain."""
    root = packages.debian("openclipart-png", work) / "usr/share/openclipart/png"
    kinds = ("animals", "buildings", "food", "people", "plants", "recreation", "transportation")
    paths = sorted(p for kind in kinds for p in (root / kind).rglob("*.png") if 12_000 < p.stat().st_size < 150_000)
    random.Random(1).shuffle(paths)
    for path in paths:
        data = path.read_bytes()
        image = Image.open(io.BytesIO(data))
        if 250 <= min(image.size) and max(image.size) <= 2500 and count > 0:
            count -= 1
            image = image.convert("RGBA")
            image.thumbnail((420, 420), Image.LANCZOS)
            yield Picture(path.stem, "clip-art", "openclipart-png", f"usr/share/openclipart/png/{path.relative_to(root)}",
                          "Open Clip Art Library", "public domain", image, digest(data))


def collect(work: Path) -> list[Picture]:
    games = "usr/share/games/endless-sky/images/"
    sources = [
        from_debian_copyright("endless-sky-data", games + "land", "*.jpg", "images/land/", "photo", work),
        from_debian_copyright("endless-sky-data", games + "scene", "*.jpg", "images/scene/", "photo", work),
        from_debian_copyright("lomiri-wallpapers-16.04", "usr/share/backgrounds", "*.jpg", "16.04/", "photo", work),
        from_debian_copyright("mypaint-data-extras", "usr/share/mypaint/backgrounds", "*.png", "backgrounds/",
                              "texture", work),
        from_debian_copyright("xplanet-images", "usr/share/xplanet/images", "earth.jpg", "xplanet/images/", "photo", work),
        gcompris_photos(work), gcompris_paintings(work), palapeli(work), scikit_image(work),
    ]
    return [picture for source in sources for picture in source if min(picture.image.size) >= SMALLEST_SHORT_SIDE]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="where packages are unpacked")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--list", type=Path, required=True)
    parser.add_argument("--clip-art", type=int, default=300)
    parser.add_argument("--drawings", type=int, default=100)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)

    pictures, cut_outs = collect(args.work), list(clip_art(args.work, args.clip_art))
    textures = [p.image for p in pictures if p.group == "texture"]
    counts: dict[str, int] = {}
    with zipfile.ZipFile(args.out, "w", zipfile.ZIP_STORED) as archive:
        def add(split: str, group: str, name: str, image: Image.Image):
            short = min(image.size)
            if short > LONGEST_SHORT_SIDE:
                size = tuple(round(side * LONGEST_SHORT_SIDE / short) for side in image.size)
                image = image.resize(size, Image.LANCZOS)
            buffer = io.BytesIO()
            image.save(buffer, "JPEG", quality=92 if group == "painting" or split == "held" else 86)
            # A time of its own in every entry would give the same pictures another checksum each time.
            entry = zipfile.ZipInfo(f"{split}/{group}/{name}.jpg", date_time=(1980, 1, 1, 0, 0, 0))
            archive.writestr(entry, buffer.getvalue())
            counts[f"{split}/{group}"] = counts.get(f"{split}/{group}", 0) + 1

        for index, picture in enumerate(pictures):
            picture.split = "held" if picture.name in HELD_OUT else "train"
            add(picture.split, picture.group, f"{index:03}-{picture.name}", picture.image)
        rng = random.Random(2)
        for index in range(args.drawings):
            add("train", "drawing", f"{index:03}", draw(rng, [c.image for c in cut_outs], textures))

    with open(args.list, "w", encoding="utf-8") as table:
        print("split", "group", "package", "path", "author or title", "licence", "sha256", sep="\t", file=table)
        for p in pictures + cut_outs:
            split = getattr(p, "split", "train")
            print(split, p.group, p.package, p.path, p.author, p.licence, p.sha256, sep="\t", file=table)
    print(json.dumps(counts), f"{args.out.stat().st_size / 2**20:.1f} MiB")


if __name__ == "__main__":
    main()
