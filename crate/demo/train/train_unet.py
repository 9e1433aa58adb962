#!/usr/bin/env python3
"""Train the denoiser on the latents of a trained autoencoder.

  train_unet.py --data demo-data.zip --vae model/vae --out model/unet --checkpoint unet.pt --seconds 600 --total 800

Beside plain noise prediction it practises what StyleID's inversion will ask of it; see `stale_levels` and `retrace`.
A later run with the same --checkpoint goes on where the last one stopped; --total is the time over all runs.
"""
import argparse
import time
from pathlib import Path

import torch
from diffusers import AutoencoderKL

from common import (CROSS_ATTENTION_DIM, NULL_TOKENS, SAVE_EVERY, Average, Clock, build_unet, load_checkpoint,
                    rate, save_checkpoint, save_half)
from ddim import TRAIN_STEPS, alphas_cumprod, move
from pictures import CropBank

HOP = 50  # the inversion's stride at 20 steps
STALE_SHARE = 0.3
RETRACE_FROM, RETRACE_EVERY = 0.25, 3  # from this progress on, every third step
MIN_SNR_GAMMA = 5.0


class LatentBank:
    """Encoded crops, so that the encoder runs on a few pictures a step instead of on every batch."""

    def __init__(self, vae, crops: CropBank, slots: int, seed: int):
        self.vae, self.crops = vae, crops
        self.random = torch.Generator(crops.device).manual_seed(seed)
        self.moments = torch.cat([self.encode(min(64, slots)) for _ in range(max(1, slots // 64))])

    @torch.no_grad()
    def encode(self, count: int) -> torch.Tensor:
        with torch.autocast(self.crops.device.type, torch.bfloat16):
            posterior = self.vae.encode(self.crops.batch(count)).latent_dist
        return torch.stack([posterior.mean.float(), posterior.std.float()], 1)

    def refresh(self, count: int):
        picks = torch.randint(len(self.moments), (count,), device=self.moments.device, generator=self.random)
        self.moments[picks] = self.encode(count)

    def batch(self, count: int) -> torch.Tensor:
        picks = torch.randint(len(self.moments), (count,), device=self.moments.device, generator=self.random)
        mean, std = self.moments[picks].unbind(1)
        return (mean + std * torch.randn_like(mean)) * self.vae.config.scaling_factor


def stale_levels(t: torch.Tensor) -> torch.Tensor:
    """The noise level that the latents really have when the network is told t. The inversion of StyleID's diffusers
    version asks about latents up to one hop behind their timestep, so a share of the samples is just so."""
    behind = torch.randint(0, HOP + 1, t.shape, device=t.device)
    stale = torch.rand(t.shape, device=t.device) < STALE_SHARE
    return torch.where(stale, (t - behind).clamp(min=0), t)


def noised(clean, noise, a):
    return a.sqrt() * clean + (1 - a).sqrt() * noise


def retrace(predict, clean, noise, alphas):
    """Two hops of the inversion, and what must be predicted there for sampling to go back along the last one."""
    t = torch.randint(HOP + 1, TRAIN_STEPS, (len(clean),), device=clean.device)
    first, second = (t - 2 * HOP).clamp(min=0), t - HOP
    x = noised(clean, noise, alphas(first))
    x = move(x, predict(x, second).detach(), alphas(first), alphas(second))
    eps = predict(x, t).detach()
    return move(x, eps, alphas(second), alphas(t)), t, eps


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--vae", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="a diffusers folder, half precision")
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--seconds", type=float, required=True, help="training time of this run")
    parser.add_argument("--total", type=float, default=0, help="training time over all runs")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--slots", type=int, default=4096, help="crops kept; four times as many latents")
    parser.add_argument("--lr", type=float, default=8e-4)
    parser.add_argument("--seed", type=int, default=2)
    parser.add_argument("--no-compile", dest="compile", action="store_false")
    args = parser.parse_args()

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(args.seed)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    torch.backends.cudnn.benchmark = True
    vae = AutoencoderKL.from_pretrained(args.vae).to(device, torch.float32).eval().requires_grad_(False)
    unet = build_unet().to(device, memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(unet.parameters(), lr=args.lr, betas=(0.9, 0.98), weight_decay=1e-2,
                                  fused=device.type == "cuda")
    average, clock = Average(unet, 0.9995), Clock(args.seconds, args.total)
    step = first = load_checkpoint(args.checkpoint, unet, optimizer, average, clock)
    torch.manual_seed(args.seed + step)
    bank = LatentBank(vae, CropBank(args.data, 256, args.slots, device, args.seed + step), 4 * args.slots, args.seed + step)
    context = torch.zeros(args.batch, NULL_TOKENS, CROSS_ATTENTION_DIM, device=device)
    table = alphas_cumprod(device)
    alphas = lambda t: table[t][:, None, None, None]
    print(f"{sum(p.numel() for p in unet.parameters()):,} parameters, {len(bank.moments)} latents of deviation "
          f"{bank.batch(1024).std():.3f}", flush=True)

    def forward(x, t):
        return unet(x, t, encoder_hidden_states=context, return_dict=False)[0]

    forward = torch.compile(forward) if args.compile else forward

    def predict(x, t):
        with torch.autocast(device.type, torch.bfloat16):
            return forward(x.contiguous(memory_format=torch.channels_last), t).float()

    started, sums = time.monotonic(), torch.zeros(2, 2, device=device)
    while not clock.over:
        for group in optimizer.param_groups:
            group["lr"] = args.lr * rate(step, clock.progress)
        clean = bank.batch(args.batch)
        noise = torch.randn_like(clean)
        retracing = clock.progress >= RETRACE_FROM and step % RETRACE_EVERY == 0
        if retracing:
            x, t, target = retrace(predict, clean, noise, alphas)
            weight = 1.0
        else:
            t = torch.randint(0, TRAIN_STEPS, (args.batch,), device=device)
            level = stale_levels(t)
            x, target = noised(clean, noise, alphas(level)), noise
            snr = table[level] / (1 - table[level])
            weight = (MIN_SNR_GAMMA / snr).clamp(max=1)
        error = (predict(x, t) - target).square().mean((1, 2, 3))
        loss = (weight * error).mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(unet.parameters(), 1.0)
        optimizer.step()
        average.update()
        sums[int(retracing)] += torch.stack([error.detach().mean(), torch.ones_like(loss)])
        bank.refresh(16)
        bank.crops.refresh(8)
        step += 1
        if clock.start is None and step >= first + 3:
            if device.type == "cuda":
                torch.cuda.synchronize()
            print(f"first steps took {time.monotonic() - started:.1f} s", flush=True)
            clock.begin()
        if step % SAVE_EVERY == 0:
            save_checkpoint(args.checkpoint, unet, optimizer, average, step, clock)
        if step % 250 == 0:
            plain, back = (sums[:, 0] / sums[:, 1].clamp(min=1)).tolist()
            sums.zero_()
            print(f"{step:6} {clock.elapsed:5.0f} s  noise error {plain:.4f} retracing error {back:.4f}", flush=True)

    save_checkpoint(args.checkpoint, unet, optimizer, average, step, clock)
    average.swap()
    save_half(unet, args.out)
    print(f"step {step}, {clock.elapsed:.0f} s", flush=True)


if __name__ == "__main__":
    main()
