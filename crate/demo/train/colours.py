"""Giving one picture the colours of another."""
import torch

LEAST_DEVIATION = 0.12  # of colours along any axis, when they are stretched: a grey picture's grain must not become colour


def matching(x, palette):
    """The affine map that gives the colours of x [1, 3, H, W] the palette's mean and covariance: mean, matrix, new mean."""
    def statistics(z):
        z = z.flatten(2)
        mean = z.mean(2, keepdim=True)
        values, axes = torch.linalg.eigh((z - mean) @ (z - mean).mT / z.shape[2])
        return mean, values.clamp(min=0).sqrt(), axes

    (mean, deviation, axes), (to_mean, to_deviation, to_axes) = statistics(x), statistics(palette)
    whiten = axes @ torch.diag_embed(1 / deviation.clamp(min=LEAST_DEVIATION)) @ axes.mT
    return mean, to_axes @ torch.diag_embed(to_deviation) @ to_axes.mT @ whiten, to_mean


def recoloured(x, colours):
    mean, matrix, to_mean = colours
    return (matrix @ (x.flatten(2) - mean) + to_mean).unflatten(2, x.shape[2:])


def match(x, palette):
    """x with the palette's mean and covariance of colours, within [-1, 1]."""
    return recoloured(x, matching(x, palette)).clamp(-1, 1)
