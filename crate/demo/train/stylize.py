#!/usr/bin/env python3
"""Paint one picture like another with this model, as a check that needs nothing but PyTorch and diffusers.

  stylize.py --model ../model cat.jpg wave.jpg out.png
"""
import argparse
from pathlib import Path

from PIL import Image, ImageOps

from evaluate import save
from pictures import to_tensor
from styleid import StyleId


def square(path: Path, size: int):
    image = ImageOps.fit(Image.open(path).convert("RGB"), (size, size), Image.LANCZOS)
    return to_tensor(image)[None].float() / 127.5 - 1


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("content", type=Path)
    parser.add_argument("style", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--gamma", type=float, default=0.75)
    parser.add_argument("--temperature", type=float, default=1.5)
    parser.add_argument("--layers", default="7,8,9,10,11")
    args = parser.parse_args()
    layers = [int(layer) for layer in args.layers.split(",")]
    result = StyleId(args.model).transfer(square(args.content, args.size), square(args.style, args.size), args.steps,
                                          args.gamma, args.temperature, layers)
    save(args.out, result)


if __name__ == "__main__":
    main()
