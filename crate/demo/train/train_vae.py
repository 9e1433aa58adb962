#!/usr/bin/env python3
"""Train the autoencoder.

  train_vae.py --data demo-data.zip --lpips lpips-alex.safetensors --out model/vae --checkpoint vae.pt --seconds 500

A later run with the same --checkpoint goes on where the last one stopped; --total is then the time over all runs.
"""
import argparse
import time
from pathlib import Path

import torch
import torch.nn.functional as F

from common import SAVE_EVERY, Average, Clock, build_vae, load_checkpoint, rate, save_checkpoint, save_half
from lpips import Lpips
from pictures import CropBank, held_out

KL_WEIGHT = 5e-4  # per latent value: latents near a unit normal, and a decoder that forgives noise of about 2 percent
LPIPS_WEIGHT, COLOUR_WEIGHT = 0.12, 0.5


def colour_loss(a, b):
    """Difference of the large-scale colours, which neither a sharp edge nor LPIPS watches over."""
    return (F.avg_pool2d(a, 8) - F.avg_pool2d(b, 8)).abs().mean()


def psnr(a, b):
    """Of each picture, in dB, for pictures in [-1, 1]."""
    return 10 * torch.log10(4 / (a.clamp(-1, 1) - b).square().mean((1, 2, 3)))


@torch.no_grad()
def measure(vae, pictures, lpips):
    """Mean PSNR and LPIPS of the reconstructions, and the latents' standard deviation per channel."""
    latents, images = [], []
    for picture in pictures.split(4):
        mean = vae.encode(picture).latent_dist.mean
        latents.append(mean)
        images.append(vae.decode(mean).sample)
    images, latents = torch.cat(images), torch.cat(latents)
    return psnr(images, pictures).mean().item(), lpips(images, pictures).mean().item(), latents.std((0, 2, 3))


@torch.no_grad()
def latent_std(vae, bank, count):
    """Over `count` crops, all channels together."""
    means = [vae.encode(bank.batch(8)).latent_dist.mean for _ in range(0, count, 8)]
    return torch.cat(means).std().item()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--lpips", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="a diffusers folder, half precision")
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--seconds", type=float, required=True, help="training time of this run")
    parser.add_argument("--total", type=float, default=0, help="training time over all runs")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--size", type=int, default=192)
    parser.add_argument("--slots", type=int, default=4096)
    parser.add_argument("--lr", type=float, default=6e-4)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no-compile", dest="compile", action="store_false")
    args = parser.parse_args()

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(args.seed)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    torch.backends.cudnn.benchmark = True
    vae = build_vae().to(device, memory_format=torch.channels_last)
    lpips = Lpips(args.lpips).to(device)
    optimizer = torch.optim.AdamW(vae.parameters(), lr=args.lr, betas=(0.9, 0.99), weight_decay=1e-3,
                                  fused=device.type == "cuda")
    average, clock = Average(vae, 0.999), Clock(args.seconds, args.total)
    step = first = load_checkpoint(args.checkpoint, vae, optimizer, average, clock)
    bank = CropBank(args.data, 256, args.slots, device, args.seed + step)
    names, pictures = held_out(args.data, 256, device)
    print(f"{sum(p.numel() for p in vae.parameters()):,} parameters, {len(bank.crops)} crops, {len(names)} held out", flush=True)

    def losses(x):
        posterior = vae.encode(x).latent_dist
        y = vae.decode(posterior.sample()).sample.float()
        kl = 0.5 * (posterior.mean.square() + posterior.var - 1 - posterior.logvar).float().mean()
        pixel = ((y - x).square() + 1e-6).sqrt().mean()
        return pixel, colour_loss(y, x), lpips(y, x).mean(), kl

    run = torch.compile(losses) if args.compile else losses
    started = time.monotonic()
    while not clock.over:
        x = bank.batch(args.batch, args.size).contiguous(memory_format=torch.channels_last)
        for group in optimizer.param_groups:
            group["lr"] = args.lr * rate(step, clock.progress)
        with torch.autocast(device.type, torch.bfloat16):
            pixel, colour, perceptual, kl = run(x)
        loss = pixel + COLOUR_WEIGHT * colour + LPIPS_WEIGHT * perceptual + KL_WEIGHT * kl
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
        optimizer.step()
        average.update()
        bank.refresh(8)
        step += 1
        if clock.start is None and step >= first + 3:
            if device.type == "cuda":
                torch.cuda.synchronize()
            print(f"first steps took {time.monotonic() - started:.1f} s", flush=True)
            clock.begin()
        if step % SAVE_EVERY == 0:
            save_checkpoint(args.checkpoint, vae, optimizer, average, step, clock)
        if step % 250 == 0:
            print(f"{step:6} {clock.elapsed:5.0f} s  pixel {pixel:.4f} colour {colour:.4f} lpips {perceptual:.4f} kl {kl:.3f}",
                  flush=True)

    save_checkpoint(args.checkpoint, vae, optimizer, average, step, clock)
    average.swap()
    db, distance, spread = measure(vae, pictures, lpips)
    vae.register_to_config(scaling_factor=1 / latent_std(vae, bank, min(512, args.slots)))
    save_half(vae, args.out)
    print(f"step {step}, {clock.elapsed:.0f} s: held out PSNR {db:.2f} dB, LPIPS {distance:.4f}, latents' deviation "
          f"{[round(s, 3) for s in spread.tolist()]}, scaling factor {vae.config.scaling_factor:.4f}", flush=True)


if __name__ == "__main__":
    main()
