#!/usr/bin/env python3
"""Measure the model on the held-out pictures, at 256 px, in float32 arithmetic: with its half-precision weights, or with
those that a pack of it holds.

  evaluate.py --data demo-data.zip --lpips lpips-alex.safetensors --model ../model [--pack ../demo.styleid.gguf]
      [--report figures.json] [--pictures DIR]
"""
import argparse
import json
from pathlib import Path

import torch
from PIL import Image

import ddim
from lpips import Lpips
from pictures import held_out
from styleid import StyleId
from train_vae import psnr

STEPS = 20
TRANSFERS = [("chelsea", "GreatWave"), ("chelsea", "gogh_auvert"), ("coffee", "GreatWave"), ("city8", "gogh_auvert"),
             ("red_panda", "HokusaiPoppies"), ("tajMahal", "VincentVanGoghBridge")]


def save(path: Path, *rows):
    """Rows of pictures in [-1, 1] as one PNG."""
    sheet = torch.cat([torch.cat(list(row), 2) for row in rows], 1)
    sheet = ((sheet.clamp(-1, 1) + 1) * 127.5).round().byte().permute(1, 2, 0).cpu().numpy()
    Image.fromarray(sheet).save(path)


def take_weights(model: StyleId, pack: Path):
    """Put a pack's weights in the place of the model's own."""
    from gguf import GGUFReader  # here, for stylize.py does without

    from unpack import NETWORKS, fill, tensors

    found = tensors(GGUFReader(pack))
    for part in NETWORKS:
        fill(getattr(model, part), part, found)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--lpips", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--pack", type=Path, help="take the weights from this file")
    parser.add_argument("--report", type=Path)
    parser.add_argument("--pictures", type=Path, help="a folder for PNGs to look at")
    parser.add_argument("--size", type=int, default=256)
    args = parser.parse_args()

    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    model, lpips = StyleId(args.model, device), Lpips(args.lpips).to(device)
    if args.pack:
        take_weights(model, args.pack)
    names, pictures = held_out(args.data, args.size, device)

    rows, sheets = {}, []
    for name, picture in zip(names, pictures.split(1)):
        latents = model.encode(picture)
        decoded = model.decode(latents)
        noise = ddim.invert(model.predict, latents, STEPS)
        again = model.decode(ddim.sample(model.predict, noise, STEPS))
        rows[name] = {"psnr": psnr(decoded, picture).item(), "lpips": lpips(decoded.clamp(-1, 1), picture).item(),
                      "inversion_psnr": psnr(again, decoded.clamp(-1, 1)).item(), "noise_std": noise.std().item()}
        print(f"{name:24}" + "".join(f" {key} {value:7.3f}" for key, value in rows[name].items()), flush=True)
        sheets.append((picture[0], decoded[0], again[0]))
    mean = {key: sum(row[key] for row in rows.values()) / len(rows) for key in next(iter(rows.values()))}
    print("mean                    " + "".join(f" {key} {value:7.3f}" for key, value in mean.items()), flush=True)
    parameters = {part: sum(p.numel() for p in getattr(model, part).parameters()) for part in ("unet", "vae")}

    if args.pictures:
        args.pictures.mkdir(parents=True, exist_ok=True)
        save(args.pictures / "reconstruction.png", *sheets)
        at = {name: picture[None] for name, picture in zip(names, pictures)}
        results = [(at[c][0], at[s][0], model.transfer(at[c], at[s], STEPS)[0]) for c, s in TRANSFERS]
        save(args.pictures / "transfer.png", *results)
        noise = torch.randn(6, 4, args.size // 4, args.size // 4, generator=torch.Generator().manual_seed(3)).to(device)
        save(args.pictures / "samples.png", model.decode(ddim.sample(model.predict, noise, 50)))
    if args.report:
        args.report.write_text(json.dumps({"size": args.size, "steps": STEPS, "parameters": parameters, "mean": mean,
                                           "pictures": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
