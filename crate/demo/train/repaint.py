"""A photo put together again from patches of a painting: texture optimisation (Kwatra et al., 2005) guided by the photo, as
Elad and Milanfar (2017) transfer styles. No network and no measure of style has a part in it."""
import torch
import torch.nn.functional as F

from colours import match

SIZE, STEP, SEARCH = 8, 4, 2  # pixels: a patch, from patch to patch in the result, from patch to patch in the painting
ROUNDS = 3
KEPT = 0.5  # weight of the photo between two rounds, beside 1 of the patches
ROBUST, LEAST = 0.8, 1e-3  # patches that fit count for more: error to the power of ROBUST, not of 2


def from_patches(x, patches):
    """x [1, 3, H, W] of those of the patches [3 SIZE², N] that are nearest, weighted where they overlap."""
    wanted = F.unfold(x, SIZE, stride=STEP)[0]
    nearest = (patches.square().sum(0)[:, None] - 2 * patches.T @ wanted).argmin(0)
    found = patches[:, nearest]
    weights = ((found - wanted).square().mean(0, keepdim=True) + LEAST) ** (ROBUST / 2 - 1)
    together = lambda z: F.fold(z[None], x.shape[2:], SIZE, stride=STEP)
    return together(found * weights) / together(weights.expand_as(found))


def repainted(photo, painting):
    """The photo in the painting's colours and strokes; both [1, 3, H, W] in [-1, 1], sides divisible by 4."""
    photo, patches = match(photo, painting), F.unfold(painting, SIZE, stride=SEARCH)[0]
    x = photo
    for left in reversed(range(ROUNDS)):
        x = from_patches(x, patches)
        if left:
            x = match((x + KEPT * photo) / (1 + KEPT), painting)
    return x
