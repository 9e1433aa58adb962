"""Flat, colourful pictures from public-domain clip art on drawn or textured grounds: what photographs lack, sharp
edges and saturated areas, is what prints and posters are made of."""
import colorsys
import random

from PIL import Image, ImageDraw, ImageOps

SIZE = 512


def colour(rng: random.Random) -> tuple[int, int, int]:
    rgb = colorsys.hsv_to_rgb(rng.random(), rng.betavariate(1.2, 1.2), rng.betavariate(2.0, 1.0))
    return tuple(round(255 * c) for c in rgb)


def gradient(rng: random.Random) -> Image.Image:
    corners = Image.new("RGB", (2, 2))
    corners.putdata([colour(rng) for _ in range(4)])
    return corners.resize((SIZE, SIZE), Image.BICUBIC)


def bands(rng: random.Random) -> Image.Image:
    """Overlapping hills, as in a woodblock print."""
    image = gradient(rng)
    pen = ImageDraw.Draw(image)
    for layer in range(rng.randint(2, 5)):
        base = SIZE * (0.3 + 0.6 * (layer + rng.random()) / 6)
        points, y = [(0, SIZE)], base
        for x in range(0, SIZE + 64, 64):
            y = base + rng.uniform(-40, 40)
            points.append((x, y))
        pen.polygon(points + [(SIZE, SIZE)], fill=colour(rng), outline=colour(rng) if rng.random() < 0.4 else None)
    return image


def strokes(rng: random.Random) -> Image.Image:
    """Short thick strokes in a few related colours, all leaning one way."""
    image = gradient(rng)
    pen = ImageDraw.Draw(image)
    palette = [colour(rng) for _ in range(rng.randint(2, 5))]
    dx, dy = rng.uniform(-40, 40), rng.uniform(-40, 40)
    for _ in range(rng.randint(200, 900)):
        x, y = rng.uniform(-20, SIZE), rng.uniform(-20, SIZE)
        tone = tuple(max(0, min(255, c + rng.randint(-25, 25))) for c in rng.choice(palette))
        pen.line((x, y, x + dx * rng.uniform(0.4, 1.2), y + dy * rng.uniform(0.4, 1.2)), fill=tone, width=rng.randint(2, 9))
    return image


def tinted(rng: random.Random, texture: Image.Image) -> Image.Image:
    fitted = ImageOps.fit(texture.convert("L"), (SIZE, SIZE))
    return ImageOps.colorize(fitted, colour(rng), colour(rng))


def draw(rng: random.Random, cut_outs: list[Image.Image], textures: list[Image.Image]) -> Image.Image:
    ground = rng.choice([gradient, bands, bands, strokes, strokes, None])
    image = ground(rng) if ground else tinted(rng, rng.choice(textures))
    for _ in range(rng.randint(0 if ground is strokes else 2, 6)):
        cut_out = rng.choice(cut_outs)
        scale = rng.uniform(0.3, 1.0)
        cut_out = cut_out.resize([max(1, round(side * scale)) for side in cut_out.size], Image.LANCZOS)
        if rng.random() < 0.5:
            cut_out = ImageOps.mirror(cut_out)
        at = rng.randint(-60, SIZE - 60), rng.randint(-60, SIZE - 60)
        image.paste(cut_out, at, cut_out)
    return image
