#!/usr/bin/env python3
"""Teach a tuned denoiser what another picture's keys and values are for, on a CPU and in half an hour.

  tune_injection.py --data demo-data.zip --model ../model --out tuned/unet
  tune_injection.py --data demo-data.zip --model tuned --out tuned/unet --steps 60 --gamma 0 --lr 1.5e-4

A denoiser that has seen billions of pictures finds in a painting what suits a photo; one that has seen 450 does not, and
injection changes little but contrast. So it practises on pairs for which the result is known (`manners.py`): the photo goes
to noise and gets the other's statistics, and on its way back, with its own queries blended in, at StyleID's γ, scores
sharpened, and the other's keys and values, the noise to predict is the one that leaves the photo as it should become.

Inversion is kept exact beside that, and its noise equally strong in every picture, since the method matches strengths: at
the starts of all hops, where inversion asks, the target is one noise of unit variance that can be told from the picture
alone; at their ends, where sampling asks, it is the noise that the hop went along.
"""
import argparse
import copy
from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, UNet2DConditionModel

import ddim
from common import CROSS_ATTENTION_DIM, INJECTION_LAYERS, NULL_TOKENS, Average, Clock, rate, save_half
from manners import pair
from pictures import CropBank
from styleid import adain, self_attention
from train_unet import noised
from tune_inversion import ANCHOR_WEIGHT, STEPS, inversion, leverage, noise_prediction, own_noise, round_trip

ROUND, ROUNDS_KEPT, PAIRS = 24, 6, 8  # training steps between two rounds of inversions, rounds kept, pairs in each
FIRST_HOPS, FIRST_SHARE = torch.tensor([0.25, 0.75]), 0.4  # others that must tell the noise from the picture alone
STRENGTH = 10  # weight of the noise's strength, beside the noise itself
FIRST_LAYERS, FIRST_SHARES = (7, 3), torch.tensor([0.2, 0.8])  # injection goes from one of these to the last
GAMMA = 0.75  # StyleID's
TEMPERATURE = 3.5  # StyleID's is 1.5; after practice at that, results were nearest to the paintings at 1


class Injecting:
    """Processor of one layer's self-attention. From the layer `first` on, a batch is `pairs` photos, as many pictures to
    paint them like, the photos on their way back, which get the pictures' keys and values, and others, left alone."""

    first, pairs, gamma = INJECTION_LAYERS.stop, 0, GAMMA  # of all layers: none injects

    def __init__(self, layer: int):
        self.layer = layer

    def __call__(self, attn, x, encoder_hidden_states=None, attention_mask=None, temb=None, **_):
        heads = lambda z: z.unflatten(-1, (attn.heads, -1)).transpose(1, 2)
        q, k, v = heads(attn.to_q(x)), heads(attn.to_k(x)), heads(attn.to_v(x))
        if self.layer >= Injecting.first:
            n = Injecting.pairs
            seen, asking, others = q[:2 * n], q[2 * n:3 * n], q[3 * n:]
            asking = (Injecting.gamma * seen[:n] + (1 - Injecting.gamma) * asking) * TEMPERATURE
            q = torch.cat([seen, asking, others])
            k, v = (torch.cat([z[:2 * n], z[n:2 * n], z[3 * n:]]) for z in (k, v))
        out = F.scaled_dot_product_attention(q, k, v, scale=attn.scale)
        return attn.to_out[0](out.transpose(1, 2).flatten(2))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--size", type=int, default=128, help="crops' size in pixels, four times the latents'")
    parser.add_argument("--pictures", type=int, default=8, help="in the test")
    parser.add_argument("--pairs", type=int, default=5, help="in a batch")
    parser.add_argument("--others", type=int, default=4, help="in a batch")
    parser.add_argument("--gamma", type=float, default=GAMMA, help="how much of the queries is the inverted photo's")
    parser.add_argument("--lr", type=float, default=3e-4)
    parser.add_argument("--average", type=float, default=0.985, help="how much of the averaged weights a step keeps")
    parser.add_argument("--seed", type=int, default=7)
    args = parser.parse_args()

    torch.manual_seed(args.seed)
    vae = AutoencoderKL.from_pretrained(args.model / "vae").float().eval().requires_grad_(False)
    unet = UNet2DConditionModel.from_pretrained(args.model / "unet").float()
    for layer in INJECTION_LAYERS:
        self_attention(unet, layer).processor = Injecting(layer)
    untuned = copy.deepcopy(unet).eval().requires_grad_(False)
    optimizer = torch.optim.AdamW(unet.parameters(), lr=args.lr, betas=(0.9, 0.98), weight_decay=0)
    average, clock = Average(unet, args.average), Clock(0, 0)
    bank = CropBank(args.data, 256, 200, "cpu", args.seed)
    random = torch.Generator().manual_seed(args.seed)
    alphas = ddim.alphas_cumprod()
    levels = torch.cat([alphas[:1], alphas[list(reversed(ddim.timesteps(STEPS)))]])[:, None, None, None]
    weights = leverage(alphas)
    weights = weights / weights.mean()
    chances = 0.5 * weights + 0.5
    grid = torch.tensor(ddim.timesteps(STEPS)).flip(0)
    n, rest = args.pairs, args.others
    Injecting.pairs, Injecting.gamma = n, args.gamma

    def predict(x, t, network=unet):
        context = torch.zeros(len(x), NULL_TOKENS, CROSS_ATTENTION_DIM)
        with torch.autocast("cpu", torch.bfloat16, enabled=torch.is_grad_enabled()):
            return network(x, t, encoder_hidden_states=context, return_dict=False)[0].float()

    @torch.no_grad()
    def encode(pictures):
        return vae.encode(pictures).latent_dist.mean * vae.config.scaling_factor

    def pure(x, clean, a):
        """The noise in x, where `clean` is what it is noise upon."""
        return (x - a.sqrt() * clean) / (1 - a).sqrt()

    test = encode(bank.batch(args.pictures, args.size))
    print(round_trip(predict, test), flush=True)
    step, rounds, sums, summed = 0, [], torch.zeros(4), 0
    clock.begin()
    while step < args.steps:
        for group in optimizer.param_groups:
            group["lr"] = args.lr * rate(step, step / args.steps, warm_up=20)
        if step % ROUND == 0:
            made = [pair(bank, args.size, random) for _ in range(PAIRS)]
            photos, goals, styles = (encode(torch.cat(pictures)) for pictures in zip(*made))
            clean = torch.cat([photos, styles])
            own = own_noise(lambda x, t: predict(x, t, untuned), clean)
            rounds = rounds[1 - ROUNDS_KEPT:] + [(clean, goals, own, *inversion(predict, clean, alphas))]
            bank.refresh(2 * PAIRS)
        clean, goals, own, points, along = rounds[torch.randint(len(rounds), ()).item()]

        # Pairs: what inversion sees of both, and the photo on its way back: where a sampler comes that has taken the picture
        # to be something between photo and goal. At the start that is the same point for all.
        picks = torch.randperm(PAIRS)[:n]
        hops = torch.multinomial(chances, n, replacement=True)
        both = torch.cat([picks, picks + PAIRS])
        seen, photo, goal = points[hops.repeat(2), both], clean[picks], goals[picks]
        start = adain(points[-1, picks], points[-1, picks + PAIRS])
        taken = goal + (grid[hops] / ddim.TRAIN_STEPS * torch.rand(n))[:, None, None, None] * (photo - goal)
        a = levels[hops + 1]
        coming = noised(taken, pure(start, taken, levels[-1]), a)

        # Others: ends of hops, where sampling is to go back along inversion's noise, points of the straight way from the
        # picture to its own noise, and starts of the first two hops.
        others = torch.randint(2 * PAIRS, (rest,))
        other_hops = torch.multinomial(chances, rest, replacement=True)
        first = torch.rand(rest) < FIRST_SHARE
        other_hops = torch.where(first, torch.multinomial(FIRST_HOPS, rest, replacement=True), other_hops)
        at = other_hops + torch.where(first, 0, 1)
        straight = torch.rand(rest, 1, 1, 1) < 0.5
        other = torch.where(straight, ddim.move(clean[others], own[others], alphas[0], levels[at]), points[at, others])
        back = torch.where(straight | first[:, None, None, None], own[others], along[other_hops, others])

        Injecting.first = FIRST_LAYERS[torch.multinomial(FIRST_SHARES, 1).item()]
        eps = predict(torch.cat([seen, coming, other]), grid[torch.cat([hops.repeat(3), other_hops])])
        Injecting.first = INJECTION_LAYERS.stop
        injected, kept = eps[2 * n:3 * n], torch.cat([eps[:2 * n], eps[3 * n:]])
        target = torch.cat([own[both], back])
        error = (kept - target).square().mean((1, 2, 3))
        strength = (kept.std((2, 3)) - target.std((2, 3))).square().mean(1)
        kept_weights = torch.cat([weights[hops.repeat(2)], torch.where(first, 1.0, weights[other_hops])])
        injection = weights[hops] * (injected - pure(coming, goal, a)).square().mean((1, 2, 3))
        loss = (kept_weights * (error + STRENGTH * strength)).mean() + injection.mean()
        with torch.no_grad():  # what the photo as it was would be wrong by
            unlike = weights[hops] * (pure(coming, photo, a) - pure(coming, goal, a)).square().mean((1, 2, 3))
            sums[:3] += torch.stack([error.mean(), injection.mean(), unlike.mean()])
        if step % 4 == 0:
            anchor, plain = noise_prediction(predict, encode(bank.batch(8, args.size)), alphas)
            loss = loss + ANCHOR_WEIGHT * anchor
            sums[3] += plain * 4
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(unet.parameters(), 1.0)
        optimizer.step()
        average.update()
        step, summed = step + 1, summed + 1
        if step % 40 == 0 or step == args.steps:
            kept, injection, unlike, plain = (sums / summed).tolist()
            sums, summed = torch.zeros(4), 0
            average.swap()
            save_half(unet, args.out)
            print(f"{step:5} {clock.elapsed:5.0f} s  errors: inversion {kept:.4f}, injection {injection:.4f} of {unlike:.4f}, "
                  f"noise {plain:.4f}, {round_trip(predict, test)}", flush=True)
            average.swap()


if __name__ == "__main__":
    main()
