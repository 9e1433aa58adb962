#!/usr/bin/env python3
"""Write a pack as a folder of diffusers, for PyTorch. The weights are those that page and command line compute with, in single
precision, which holds them exactly.

  unpack.py ../demo.styleid.gguf ../model
"""
import json
import sys
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from gguf import GGUFReader, dequantize
from safetensors.torch import save_file

from write_pipeline import INDEX

NETWORKS = {"unet": UNet2DConditionModel, "vae": AutoencoderKL}


def write_json(path: Path, value: dict):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2) + "\n")


def tensors(reader: GGUFReader) -> dict[str, torch.Tensor]:
    return {tensor.name: torch.tensor(dequantize(tensor.data, tensor.tensor_type)) for tensor in reader.tensors}


def fill(network, part: str, found: dict[str, torch.Tensor]):
    """Put the tensors of `part` in the place of a network's own. Quantised convolutions are flattened in a pack."""
    network.load_state_dict({name: found[f"{part}.{name}"].reshape(value.shape)
                             for name, value in network.state_dict().items()})


def unpack(pack: Path, folder: Path):
    """Write the model in `pack` to `folder`."""
    reader = GGUFReader(pack)
    found = tensors(reader)
    configs = json.loads(reader.get_field("styleid.configs").contents())
    write_json(folder / "model_index.json", INDEX)
    write_json(folder / "scheduler/scheduler_config.json", configs["scheduler"])
    for part, network in NETWORKS.items():
        model = network.from_config(configs[part])
        fill(model, part, found)
        model.save_pretrained(folder / part)
        # diffusers leaves out what it does not know, such as the layers at which injection was practised.
        write_json(folder / part / "config.json", configs[part])
    save_file({"null_embedding": found["null_embedding"].float()}, folder / "null_embedding.safetensors")


if __name__ == "__main__":
    unpack(Path(sys.argv[1]), Path(sys.argv[2]))
