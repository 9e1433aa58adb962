"""What both trainings share: the two architectures, a learning rate driven by the clock, averaged weights, and
checkpoints that a later run picks up."""
import copy
import json
import math
import time
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel

SAVE_EVERY = 500  # steps between checkpoints
NULL_TOKENS, CROSS_ATTENTION_DIM = 4, 32  # the constant context: the model is unconditional
INJECTION_LAYERS = range(3, 12)  # of the decoder, as StyleID counts them: all that have self-attention


def build_vae() -> AutoencoderKL:
    """Three levels, so 256 px become 64 x 64 latents: at this size a factor of 8 would lose every detail."""
    return AutoencoderKL(
        block_out_channels=(48, 64, 112), layers_per_block=2, latent_channels=4, norm_num_groups=8, sample_size=256,
        down_block_types=("DownEncoderBlock2D",) * 3, up_block_types=("UpDecoderBlock2D",) * 3)


def build_unet() -> UNet2DConditionModel:
    """Stable Diffusion 1.5's blocks, so all of StyleID's decoder layers exist, with narrow channels."""
    return UNet2DConditionModel(
        block_out_channels=(64, 96, 96, 96), layers_per_block=2, norm_num_groups=8, sample_size=64,
        attention_head_dim=2,  # as in Stable Diffusion 1.x's files, this is the number of heads
        cross_attention_dim=CROSS_ATTENTION_DIM,
        down_block_types=("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
        up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3)


class Clock:
    """Training time over all runs: `seconds` in this run, `total` in all of them."""

    def __init__(self, seconds: float, total: float):
        self.seconds, self.total, self.before = seconds, max(seconds, total), 0.0
        self.start = None

    def begin(self):
        """Start counting: call it when compilation is over."""
        self.start = time.monotonic()

    @property
    def elapsed(self) -> float:
        return self.before + (time.monotonic() - self.start if self.start else 0.0)

    @property
    def progress(self) -> float:
        return min(1.0, self.elapsed / self.total)

    @property
    def over(self) -> bool:
        return self.start is not None and time.monotonic() - self.start >= self.seconds


def rate(step: int, progress: float, warm_up: int = 300) -> float:
    """Linear warm-up, then a cosine from 1 to 0."""
    return min(1.0, (step + 1) / warm_up) * (0.5 + 0.5 * math.cos(math.pi * progress))


class Average:
    """Exponential moving average of a model's parameters, with a short memory at first."""

    def __init__(self, model: torch.nn.Module, decay: float):
        self.model, self.decay, self.steps = model, decay, 0
        self.values = [p.detach().clone() for p in model.parameters()]

    @torch.no_grad()
    def update(self):
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        torch._foreach_lerp_(self.values, list(self.model.parameters()), 1 - decay)

    @torch.no_grad()
    def swap(self):
        """Exchange the model's parameters and the averages; a second call restores them."""
        for parameter, value in zip(self.model.parameters(), self.values):
            keep = parameter.detach().clone()
            parameter.copy_(value)
            value.copy_(keep)


def save_checkpoint(path: Path, model, optimizer, average: Average, step: int, clock: Clock):
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "average": average.values,
                "average_steps": average.steps, "step": step, "elapsed": clock.elapsed}, part)
    part.replace(path)


def load_checkpoint(path: Path, model, optimizer, average: Average, clock: Clock) -> int:
    """Restore everything from `path` if it exists. Returns the step to go on from."""
    if not path.exists():
        return 0
    state = torch.load(path, map_location=next(model.parameters()).device, weights_only=True)
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    average.steps = state["average_steps"]
    for value, saved in zip(average.values, state["average"]):
        value.copy_(saved)
    clock.before = state["elapsed"]
    print(f"resumed at step {state['step']}, {state['elapsed']:.0f} s", flush=True)
    return state["step"]


def save_half(model, folder: Path):
    """A diffusers folder with half-precision weights; the model itself stays as it is."""
    copy.deepcopy(model).half().save_pretrained(folder, safe_serialization=True)
    path = folder / "config.json"
    config = json.loads(path.read_text())
    config.pop("_name_or_path", None)  # where the model was loaded from, on the machine that trained it
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
