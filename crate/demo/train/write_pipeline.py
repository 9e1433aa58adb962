#!/usr/bin/env python3
"""Write what the trainings leave out: the index, the schedule, the context that stands for 'no text', and, in the denoiser's
config, the layers at which injection was practised.

  write_pipeline.py ../model
"""
import json
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

from common import CROSS_ATTENTION_DIM, INJECTION_LAYERS, NULL_TOKENS
from ddim import SCHEDULER_CONFIG

INDEX = {
    "_class_name": "StableDiffusionPipeline", "_diffusers_version": "0.35.2", "feature_extractor": [None, None],
    "requires_safety_checker": False, "safety_checker": [None, None], "scheduler": ["diffusers", "PNDMScheduler"],
    "text_encoder": [None, None], "tokenizer": [None, None], "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
}


def main():
    folder = Path(sys.argv[1])
    (folder / "scheduler").mkdir(parents=True, exist_ok=True)
    (folder / "model_index.json").write_text(json.dumps(INDEX, indent=2) + "\n")
    (folder / "scheduler/scheduler_config.json").write_text(json.dumps(SCHEDULER_CONFIG, indent=2) + "\n")
    config = folder / "unet/config.json"
    chosen = {**json.loads(config.read_text()), "_injection_layers": list(INJECTION_LAYERS)}
    config.write_text(json.dumps(chosen, indent=2, sort_keys=True) + "\n")
    save_file({"null_embedding": torch.zeros(1, NULL_TOKENS, CROSS_ATTENTION_DIM)}, folder / "null_embedding.safetensors")


if __name__ == "__main__":
    main()
