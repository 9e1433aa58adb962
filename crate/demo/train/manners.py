"""Photos, and pictures to paint them like, for which it is known what should come out."""
import math

import torch
import torch.nn.functional as F

from colours import matching, recoloured
from repaint import repainted

UNRELATED = 0.6  # share of the pairs that are two pictures


def strokes(shape, angle, length, random):
    """Noise of unit variance drawn out along an angle, [1, 1, H, W]."""
    reach = length // 2
    noise = torch.randn(shape[0], 1, shape[2] + 2 * reach, shape[3] + 2 * reach, generator=random)
    grid = torch.arange(-reach, reach + 1).float()
    y, x = torch.meshgrid(grid, grid, indexing="ij")
    along, across = x * math.cos(angle) + y * math.sin(angle), x * math.sin(angle) - y * math.cos(angle)
    kernel = torch.exp(-(along / (reach / 1.5)).square() / 2 - (across / 0.8).square() / 2)
    out = F.conv2d(noise, kernel[None, None])
    return out / out.std((2, 3), keepdim=True)


def blur(x, sigma):
    reach = max(1, math.ceil(2 * sigma))
    line = torch.exp(-(torch.arange(-reach, reach + 1).float() / sigma).square() / 2)
    line = line / line.sum()
    channels = F.pad(x.flatten(0, 1)[:, None], (reach,) * 4, mode="reflect")
    return F.conv2d(F.conv2d(channels, line[None, None, None]), line[None, None, :, None])[:, 0].unflatten(0, x.shape[:2])


def median(x, size):
    return F.pad(x, (size // 2,) * 4, mode="reflect").unfold(2, size, 1).unfold(3, size, 1).flatten(4).median(4).values


class Manner:
    """A change of palette and texture, drawn once; both pictures of a pair get the same."""

    def __init__(self, picture, palette, random):
        draw = lambda low=0.0, high=1.0: low + (high - low) * torch.rand((), generator=random).item()
        self.random = random
        self.colours = matching(picture, palette)
        self.kept = draw(0, 0.35) if draw() < 0.8 else 1.0  # how much of the old colours
        self.flat = (3, 5, 7)[int(draw(0, 3))] if draw() < 0.3 else 0
        self.sharp = draw(0.5, 2.0) if draw() < 0.3 else 0
        self.sigma = draw(1, 3)
        self.lines = draw(1, 4) if draw() < 0.25 else 0
        self.strokes = draw(0.06, 0.2) if draw() < 0.35 else 0
        self.angle, self.length = draw(0, math.pi), int(draw(5, 15)) | 1

    def __call__(self, x):
        x = self.kept * x + (1 - self.kept) * recoloured(x, self.colours)
        if self.flat:
            x = median(x, self.flat)
        if self.sharp:
            x = x + self.sharp * (x - blur(x, self.sigma))
        if self.lines:
            grey = x.mean(1, keepdim=True)
            x = x - self.lines * (blur(grey, 1.6) - blur(grey, 0.8)).clamp(min=0)
        if self.strokes:
            x = x + self.strokes * strokes(x.shape, self.angle, self.length, self.random)
        return x.clamp(-1, 1)


def pair(bank, size, random):
    """A photo, what it should become, and the picture to paint it like, each [1, 3, size, size]. That picture is another
    part of the same one, both in another manner; or another one altogether, of whose patches the photo is put together again."""
    whole, palette = bank.batch(2).split(1)
    manner = Manner(whole, palette, random)

    def part(x):
        top, left = torch.randint(0, x.shape[2] - size + 1, (2,), generator=random).tolist()
        return x[:, :, top:top + size, left:left + size]

    if torch.rand((), generator=random) < UNRELATED:
        photo, other = part(whole), part(palette)
        return photo, repainted(photo, other), other
    photo, other = part(whole), part(whole)
    if torch.rand((), generator=random) < 0.5:
        other = other.flip(3)
    return photo, manner(photo), manner(other)
