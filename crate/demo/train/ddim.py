"""The noise schedule, and DDIM inversion and sampling as StyleID's diffusers version does them."""
import torch

TRAIN_STEPS, BETA_START, BETA_END = 1000, 0.00085, 0.012
SCHEDULER_CONFIG = {
    "_class_name": "PNDMScheduler", "_diffusers_version": "0.35.2", "beta_start": BETA_START, "beta_end": BETA_END,
    "beta_schedule": "scaled_linear", "num_train_timesteps": TRAIN_STEPS, "set_alpha_to_one": False, "steps_offset": 1,
    "clip_sample": False, "skip_prk_steps": True, "trained_betas": None, "prediction_type": "epsilon",
}


def alphas_cumprod(device=None) -> torch.Tensor:
    betas = torch.linspace(BETA_START ** 0.5, BETA_END ** 0.5, TRAIN_STEPS, dtype=torch.float32) ** 2
    return torch.cumprod(1 - betas, 0).to(device)


def timesteps(steps: int) -> list[int]:
    """From noisy to clean: 951, 901, ..., 1 for 20 steps."""
    return [i * (TRAIN_STEPS // steps) + 1 for i in reversed(range(steps))]


def move(x, noise, a_from, a_to):
    """One deterministic DDIM hop along the predicted noise."""
    clean = (x - (1 - a_from).sqrt() * noise) / a_from.sqrt()
    return a_to.sqrt() * clean + (1 - a_to).sqrt() * noise


def hop_before(t: int, steps: int) -> int:
    """The timestep that the inversion comes from on its way to t."""
    return max(0, t - TRAIN_STEPS // steps)


@torch.no_grad()
def invert(predict, latents, steps: int):
    """Latents to noise. `predict(x, t)` sees the latents of the step before with the timestep it goes to."""
    a, x = alphas_cumprod(latents.device), latents
    for t in reversed(timesteps(steps)):
        x = move(x, predict(x, t), a[hop_before(t, steps)], a[t])
    return x


@torch.no_grad()
def sample(predict, noise, steps: int):
    """Noise to latents; the result is the last step's prediction of the clean latents."""
    a, x = alphas_cumprod(noise.device), noise
    for t in timesteps(steps):
        eps = predict(x, t)
        clean = (x - (1 - a[t]).sqrt() * eps) / a[t].sqrt()
        x = move(x, eps, a[t], a[hop_before(t, steps)])
    return clean
