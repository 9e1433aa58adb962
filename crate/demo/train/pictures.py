"""Training pictures, all on one device: the decoded sources, a bank of random square crops, and augmented batches."""
import io
import math
import zipfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

# How often each group is drawn. Paintings are few, but they are what the model is for.
SHARES = {"photo": 0.45, "painting": 0.28, "object": 0.12, "drawing": 0.11, "texture": 0.04}
SMALLEST_CROP = 170  # source pixels: at most 1.5 times enlarged


def read_split(path, split: str) -> dict[str, Image.Image]:
    """The zip's pictures of one split, by name (GROUP/NAME)."""
    def decode(name):
        with zipfile.ZipFile(path) as archive:
            return Image.open(io.BytesIO(archive.read(name))).convert("RGB")

    with zipfile.ZipFile(path) as archive:
        names = sorted(n for n in archive.namelist() if n.startswith(split + "/"))
    with ThreadPoolExecutor(8) as pool:
        pictures = pool.map(decode, names)
        return {name.removeprefix(split + "/").removesuffix(".jpg"): p for name, p in zip(names, pictures)}


def to_tensor(image: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()


class CropBank:
    """`slots` random crops, resized to `size`, from which batches are gathered; a few are replaced at every step. So
    the slow part, cutting and resizing one picture at a time, is shared by many batches."""

    def __init__(self, path, size: int, slots: int, device, seed: int):
        self.size, self.device = size, device
        self.rng = np.random.default_rng(seed)
        self.random = torch.Generator(device).manual_seed(seed)
        self.groups = {group: [] for group in SHARES}
        for name, image in read_split(path, "train").items():
            self.groups[name.split("/")[0]].append(to_tensor(image).to(device))
        self.shares = np.array([SHARES[g] if self.groups[g] else 0.0 for g in SHARES])
        self.shares /= self.shares.sum()
        self.crops = torch.empty(slots, 3, size, size, dtype=torch.uint8, device=device)
        for slot in range(slots):
            self.crops[slot] = self.crop()

    def crop(self) -> torch.Tensor:
        group = self.groups[list(SHARES)[self.rng.choice(len(SHARES), p=self.shares)]]
        picture = group[self.rng.integers(len(group))]
        height, width = picture.shape[1:]
        short = min(height, width)
        low = min(SMALLEST_CROP, short)
        side = round(math.exp(self.rng.uniform(math.log(low), math.log(short))))
        top, left = self.rng.integers(height - side + 1), self.rng.integers(width - side + 1)
        cut = picture[None, :, top:top + side, left:left + side].float()
        cut = F.interpolate(cut, (self.size, self.size), mode="bicubic", antialias=True)
        return cut[0].round_().clamp_(0, 255)

    def refresh(self, count: int):
        for slot in self.rng.integers(len(self.crops), size=count):
            self.crops[slot] = self.crop()

    def batch(self, count: int, size: int | None = None) -> torch.Tensor:
        """[count, 3, size, size] in [-1, 1], augmented; a smaller `size` cuts the crops once more."""
        picks = torch.randint(len(self.crops), (count,), device=self.device, generator=self.random)
        crops = self.crops[picks]
        if size is not None and size < self.size:
            top, left = self.rng.integers(0, self.size - size + 1, 2)
            crops = crops[:, :, top:top + size, left:left + size]
        return augment(crops.float() / 127.5 - 1, self.random)


def augment(x: torch.Tensor, random: torch.Generator) -> torch.Tensor:
    """Mirror half; turn a sixth by 90 degrees; change the colours of a quarter."""
    def chance(p):
        return (torch.rand(len(x), 1, 1, 1, device=x.device, generator=random) < p)

    x = torch.where(chance(1 / 2), x.flip(3), x)
    x = torch.where(chance(1 / 6), x.transpose(2, 3), x)
    # A random linear map near the identity, or a permutation of the channels, then gain and offset.
    mix = torch.eye(3, device=x.device) + 0.2 * torch.randn(len(x), 3, 3, device=x.device, generator=random)
    mix = mix / mix.sum(2, keepdim=True).clamp(min=0.5)
    order = torch.rand(len(x), 3, device=x.device, generator=random).argsort(1)
    swap = F.one_hot(order, 3).to(x.dtype)
    mix = torch.where(chance(1 / 3)[:, 0], swap, mix)
    gain = 1 + 0.2 * torch.randn(len(x), 1, 1, 1, device=x.device, generator=random)
    offset = 0.15 * torch.randn(len(x), 3, 1, 1, device=x.device, generator=random)
    changed = (torch.einsum("nij,njhw->nihw", mix, x) * gain + offset).clamp(-1, 1)
    return torch.where(chance(1 / 4), changed, x)


def held_out(path, size: int, device) -> tuple[list[str], torch.Tensor]:
    """The held-out pictures' central squares, in [-1, 1]."""
    names, squares = [], []
    for name, image in read_split(path, "held").items():
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        image = image.crop((left, top, left + side, top + side)).resize((size, size), Image.LANCZOS)
        names.append(name.split("-", 1)[1])
        squares.append(to_tensor(image).float() / 127.5 - 1)
    return names, torch.stack(squares).to(device)
