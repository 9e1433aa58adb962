#!/usr/bin/env python3
"""Make a trained denoiser go back along its own inversions, on a CPU and in minutes.

  tune_inversion.py --data demo-data.zip --model ../model --out tuned/unet --seconds 600

Inverting a picture takes 20 hops, and at each one the network is asked about latents one hop behind. Sampling goes the
same way back only as far as the network predicts, at the end of every hop, the noise that the inversion moved along.
The plain training leaves the two a few percent apart, and the errors add up. So: invert pictures, keep every hop's end
and prediction, and train on those pairs, most on the noisy hops, which weigh most in the result.

The first two hops get another target. There the network sees hardly any noise, predicts little, and the noise stays
weak all the way, the weaker the smoother the picture; matching the noises' strengths, as StyleID does, would then
change contrasts. They are to predict the same pattern at unit variance. Plain noise prediction keeps the rest of the
network's knowledge in place. Do not overdo it: noise that was only learnt from its own predictions weakens in the end, in
smooth pictures first, and contrasts change all the same; --steps ends a run before that.
"""
import argparse
import copy
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel

import ddim
from common import CROSS_ATTENTION_DIM, NULL_TOKENS, Average, Clock, rate, save_half
from pictures import CropBank
from train_unet import MIN_SNR_GAMMA, noised

STEPS = 20
ROUND, ROUNDS_KEPT = 12, 4  # training steps between two rounds of inversions, and how many rounds are trained on
FIRST_LOOK = 51  # the timestep at which the untuned network is asked for a picture's noise
ANCHOR_WEIGHT = 0.5


def leverage(alphas) -> torch.Tensor:
    """How far each hop moves the clean picture per unit of predicted noise, for the timesteps in rising order."""
    ratio = (1 / alphas - 1).sqrt()
    return torch.stack([ratio[t] - ratio[ddim.hop_before(t, STEPS)] for t in reversed(ddim.timesteps(STEPS))])


@torch.no_grad()
def own_noise(predict, latents):
    """A noise of zero mean and unit variance, per picture and channel, that can be told from the picture alone."""
    eps = predict(latents, torch.full((len(latents),), FIRST_LOOK))
    return (eps - eps.mean((2, 3), keepdim=True)) / eps.std((2, 3), keepdim=True)


@torch.no_grad()
def inversion(predict, latents, alphas, noise=None):
    """Where it comes, [hop + 1, picture, ...], and the noise that each hop goes along, [hop, picture, ...]; up to the first
    look that is `noise`, where there is one."""
    points, along = [latents], []
    for t in reversed(ddim.timesteps(STEPS)):
        given = noise is not None and t <= FIRST_LOOK
        along.append(noise if given else predict(points[-1], torch.full((len(latents),), t)))
        points.append(ddim.move(points[-1], along[-1], alphas[ddim.hop_before(t, STEPS)], alphas[t]))
    return torch.stack(points), torch.stack(along)


def noise_prediction(predict, clean, alphas):
    """The loss of plain noise prediction with min-SNR weights, and its mean error."""
    noise, t = torch.randn_like(clean), torch.randint(0, ddim.TRAIN_STEPS, (len(clean),))
    a = alphas[t]
    error = (predict(noised(clean, noise, a[:, None, None, None]), t) - noise).square().mean((1, 2, 3))
    return ((MIN_SNR_GAMMA * (1 - a) / a).clamp(max=1) * error).mean(), error.detach().mean()


@torch.no_grad()
def round_trip(predict, latents) -> str:
    """The root mean square difference after inversion and sampling, and the strength of the noise in between."""
    timed = lambda x, t: predict(x, torch.full((len(x),), t))
    noise = ddim.invert(timed, latents, STEPS)
    error = (ddim.sample(timed, noise, STEPS) - latents).square().mean().sqrt()
    return f"round trip error {error:.4f}, noise of deviation {noise.std():.3f}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--steps", type=int, help="stop after so many, before the time is over")
    parser.add_argument("--size", type=int, default=128, help="crops' size in pixels, four times the latents'")
    parser.add_argument("--pictures", type=int, default=8, help="in the test")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--lr", type=float, default=2e-4)
    parser.add_argument("--average", type=float, default=0.97, help="how much of the averaged weights a step keeps")
    parser.add_argument("--seed", type=int, default=3)
    args = parser.parse_args()

    torch.manual_seed(args.seed)
    vae = AutoencoderKL.from_pretrained(args.model / "vae").float().eval().requires_grad_(False)
    unet = UNet2DConditionModel.from_pretrained(args.model / "unet").float()
    optimizer = torch.optim.AdamW(unet.parameters(), lr=args.lr, betas=(0.9, 0.98), weight_decay=0)
    average, clock = Average(unet, args.average), Clock(args.seconds, args.seconds)
    bank = CropBank(args.data, 256, 200, "cpu", args.seed)
    alphas = ddim.alphas_cumprod()
    weights = leverage(alphas)
    weights = weights / weights.mean()
    chances = 0.5 * weights + 0.5
    grid = torch.tensor(ddim.timesteps(STEPS)).flip(0)
    untuned = copy.deepcopy(unet).eval().requires_grad_(False)

    def predict(x, t, network=unet):
        context = torch.zeros(len(x), NULL_TOKENS, CROSS_ATTENTION_DIM)
        return network(x, t, encoder_hidden_states=context, return_dict=False)[0]

    before = lambda x, t: predict(x, t, untuned)

    @torch.no_grad()
    def latents(count):
        return vae.encode(bank.batch(count, args.size)).latent_dist.mean * vae.config.scaling_factor

    test = latents(args.pictures)
    print(round_trip(predict, test), flush=True)
    step, rounds, sums = 0, [], torch.zeros(2)
    clock.begin()
    while not clock.over and step != args.steps:
        for group in optimizer.param_groups:
            group["lr"] = args.lr * rate(step, clock.progress, warm_up=20)
        if step % ROUND == 0:
            clean = latents(args.pictures)
            rounds = rounds[1 - ROUNDS_KEPT:] + [inversion(predict, clean, alphas, own_noise(before, clean))]
            bank.refresh(args.pictures)
        points, along = rounds[torch.randint(len(rounds), ()).item()]
        hops = torch.multinomial(chances, args.batch, replacement=True)
        picks = torch.randint(points.shape[1], (args.batch,))
        # Ends of hops, but for a third of the samples the first two hops' starts.
        starts = torch.rand(args.batch) < 1 / 3
        hops = torch.where(starts, torch.multinomial(torch.tensor([0.25, 0.75]), args.batch, replacement=True), hops)
        x, target = points[torch.where(starts, hops, hops + 1), picks], along[hops, picks]
        error = (predict(x, grid[hops]) - target).square().mean((1, 2, 3))
        loss = (torch.where(starts, 1.0, weights[hops]) * error).mean()
        if step % 4 == 0:
            anchor, plain = noise_prediction(predict, latents(args.pictures), alphas)
            loss = loss + ANCHOR_WEIGHT * anchor
            sums[1] += plain * 4
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(unet.parameters(), 1.0)
        optimizer.step()
        average.update()
        sums[0] += error.detach().mean()
        step += 1
        if step % 20 == 0:
            hop, plain = (sums / 20).tolist()
            sums.zero_()
            average.swap()
            save_half(unet, args.out)
            print(f"{step:5} {clock.elapsed:5.0f} s  hop error {hop:.4f}, noise error {plain:.4f}, "
                  f"{round_trip(predict, test)}", flush=True)
            average.swap()

    average.swap()
    save_half(unet, args.out)
    print(f"step {step}: {round_trip(predict, test)}", flush=True)


if __name__ == "__main__":
    main()
