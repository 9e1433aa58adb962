#!/usr/bin/env python3
"""Times our networks on the processor beside PyTorch's with diffusers: Stable Diffusion 1.5 at its true size in f32, calls in
turn, ours and theirs. Weights do not change the time, so ours come by formula and theirs at random.

Then whole runs of the demonstration model from two files to a third, programs' starts included.

  processor.py --ours PROGRAM --styleid PROGRAM [--json FILE] [--repetitions 5] [--threads 1 2] [--calls "unet 256" ...] [--kinds]

The first program is crate/examples/processor.rs, the second the command line. Peak memory is each process's largest resident
set.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PICTURES = ("photo-cat.jpg", "style-hokusai-great-wave.jpg")
CALLS = ("unet 256", "encode 256", "decode 256", "unet 512", "encode 512", "decode 512")


def environment(threads: int) -> dict:
    counts = ("RAYON_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
    return {**os.environ, **{name: str(threads) for name in counts}}


class Process:
    """A program that answers each call with its seconds."""

    def __init__(self, command: list, threads: int):
        # Memory that a program has freed stays its own while others have their turn, as in a run, which never waits.
        counts = environment(threads) | {"MIMALLOC_PURGE_DELAY": "-1"}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "bufsize": 1}
        self.process = subprocess.Popen(command, env=counts, **pipes)
        assert self.process.stdout.readline().strip() == "ready", command

    def call(self, name: str) -> float:
        return float(self.ask(name))

    def ask(self, line: str) -> str:
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        return self.process.stdout.readline()

    def close(self) -> dict:
        """Ends it. Its peak memory in bytes, and the part of its processor time that was the system's."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        peak = next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))
        user, system = (int(field) for field in Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13])
        self.process.stdin.close()
        self.process.wait()
        return {"peak": peak, "system": system / (user + system)}


def paint(content: str, style: str, out: str):
    """StyleID with diffusers' modules, in the version diffusers: 20 steps at 256 px with the demonstration model."""
    import numpy as np
    import torch
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from PIL import Image
    from safetensors.torch import load_file

    steps, gamma, temperature = 20, 0.75, 1.5
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    model = Path(out).parent / "model"
    unet = UNet2DConditionModel.from_pretrained(model, subfolder="unet", torch_dtype=torch.float32).eval()
    vae = AutoencoderKL.from_pretrained(model, subfolder="vae", torch_dtype=torch.float32).eval()
    prompt = next(iter(load_file(model / "null_embedding.safetensors").values())).float().reshape(1, -1, 32)
    state = {"captured": {}, "injected": None}

    class SelfAttention:
        """The processor of one of the decoder's self-attentions."""

        def __init__(self, layer: int):
            self.layer = layer

        def __call__(self, attn, x, encoder_hidden_states=None, attention_mask=None, temb=None):
            heads = lambda z: z.unflatten(-1, (attn.heads, -1)).transpose(1, 2)
            q, k, v, scale = heads(attn.to_q(x)), heads(attn.to_k(x)), heads(attn.to_v(x)), 1.0
            key = (self.layer, state["level"])
            if state["injected"] is None:
                state["captured"][key] = (q, k, v)
            else:
                (content, style), scale = (bank[key] for bank in state["injected"]), temperature
                q, k, v = gamma * content[0] + (1 - gamma) * q, style[1], style[2]
            out = torch.nn.functional.scaled_dot_product_attention(q, k, v, scale=scale / q.shape[-1] ** 0.5)
            return attn.to_out[0](out.transpose(1, 2).flatten(2))

    layer = 3  # the first decoder block has no attention
    for block in unet.up_blocks[1:]:
        for transformer in block.attentions:
            transformer.transformer_blocks[0].attn1.set_processor(SelfAttention(layer))
            layer += 1
    betas = torch.linspace(0.00085 ** 0.5, 0.012 ** 0.5, 1000) ** 2
    alphas = torch.cumprod(1 - betas, 0)
    timesteps = [1000 // steps * i + 1 for i in range(steps)]

    def predict(x, level):
        state["level"] = level
        return unet(x, timesteps[level], prompt).sample

    def step(x, noise, before, after):
        clean = (x - (1 - before).sqrt() * noise) / before.sqrt()
        return clean, after.sqrt() * clean + (1 - after).sqrt() * noise

    def invert(path):
        picture = Image.open(path).convert("RGB")
        side = min(picture.size)
        left, top = (picture.width - side) // 2, (picture.height - side) // 2
        picture = picture.resize((256, 256), Image.Resampling.LANCZOS, box=(left, top, left + side, top + side))
        pixels = torch.from_numpy(np.asarray(picture).copy()).permute(2, 0, 1)[None] / 127.5 - 1
        x = vae.config.scaling_factor * vae.encode(pixels).latent_dist.mode()
        state["captured"], before = {}, alphas[0]
        for level, t in enumerate(timesteps):
            x = step(x, predict(x, level), before, alphas[t])[1]
            before = alphas[t]
        return x, state["captured"]

    with torch.inference_mode():
        (theirs, painted), (x, drawn) = invert(style), invert(content)
        moments = lambda z: (z.mean((2, 3), keepdim=True), z.std((2, 3), keepdim=True))
        (mean, deviation), (own_mean, own_deviation) = moments(theirs), moments(x)
        x = (x - own_mean) / (own_deviation + 1e-4) * deviation + mean
        state["injected"] = (drawn, painted)
        for level in reversed(range(steps)):
            after = alphas[timesteps[level - 1]] if level > 0 else alphas[0]
            clean, x = step(x, predict(x, level), alphas[timesteps[level]], after)
        pixels = vae.decode(clean / vae.config.scaling_factor).sample
    picture = ((pixels[0].permute(1, 2, 0) / 2 + 0.5).clamp(0, 1) * 255).round().byte().numpy()
    Image.fromarray(picture).save(out)


def whole_runs(styleid: str, threads: int, repetitions: int) -> dict:
    """Seconds of whole processes in turn, ours first."""
    content, style = (str(ROOT / "www/pictures" / name) for name in PICTURES)
    with tempfile.TemporaryDirectory() as folder:
        demo = ROOT / "crate/demo"
        subprocess.run([sys.executable, demo / "train/unpack.py", demo / "demo.styleid.gguf", f"{folder}/model"], check=True)
        commands = {
            "ours": [styleid, "stylize", "--device", "cpu", "--steps", "20", "--size", "256",
                     "--content", content, "--style", style, "--out", f"{folder}/ours.png"],
            "PyTorch": [sys.executable, __file__, "--paint", content, style, f"{folder}/theirs.png"],
        }
        seconds = {name: [] for name in commands}
        for _ in range(repetitions):
            for name, command in commands.items():
                began = time.perf_counter()
                subprocess.run(command, env=environment(threads), check=True, capture_output=True)
                seconds[name].append(time.perf_counter() - began)
    return {"seconds": seconds, "medians": {name: statistics.median(taken) for name, taken in seconds.items()}}


def start(styleid: str, threads: int, repetitions: int) -> float:
    """Seconds from the program's start to the report that opens its first step."""
    content, style = (str(ROOT / "www/pictures" / name) for name in PICTURES)
    seconds = []
    for _ in range(repetitions):
        command = [styleid, "stylize", "--device", "cpu", "--size", "256", "--json-lines", "--out", os.devnull]
        began = time.perf_counter()
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
        with subprocess.Popen([*command, "--content", content, "--style", style], env=environment(threads), **pipes) as process:
            next(line for line in process.stdout if json.loads(line)["event"] == "step")
            seconds.append(time.perf_counter() - began)
            process.kill()
    return statistics.median(seconds)


def kinds(ours: str, calls: list, threads: int) -> dict:
    """Seconds of each kind of operation in one of our calls, and of the whole call."""
    process = Process([ours], threads)
    taken = {}
    for call in calls:
        process.call(call)  # warms up
        process.ask("kinds")
        whole = process.call(call)
        taken[call] = {**json.loads(process.ask("kinds")), "whole": whole}
    process.close()
    return taken


def serve():
    """PyTorch's side: answers calls as the program does."""
    import torch
    from diffusers import AutoencoderKL, UNet2DConditionModel

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    cross = ["CrossAttnDownBlock2D"] * 3 + ["DownBlock2D"]
    unet = UNet2DConditionModel(
        sample_size=64, block_out_channels=[320, 640, 1280, 1280], cross_attention_dim=768, attention_head_dim=8,
        down_block_types=cross, up_block_types=["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 3,
    ).eval()
    vae = AutoencoderKL(
        block_out_channels=[128, 256, 512, 512], layers_per_block=2, latent_channels=4,
        down_block_types=["DownEncoderBlock2D"] * 4, up_block_types=["UpDecoderBlock2D"] * 4,
    ).eval()
    prompt = torch.rand(1, 77, 768)
    print("ready", flush=True)
    with torch.inference_mode():
        for line in sys.stdin:
            name, side = line.split()
            side = int(side) if name == "encode" else int(side) // 8
            x = torch.rand(1, 3 if name == "encode" else 4, side, side)
            began = time.perf_counter()
            if name == "unet":
                unet(x, 481, prompt)
            elif name == "encode":
                vae.encode(x)
            else:
                vae.decode(x)
            print(time.perf_counter() - began, flush=True)


def main():
    if sys.argv[1:] == ["--serve"]:
        return serve()
    if sys.argv[1:2] == ["--paint"]:
        return paint(*sys.argv[2:])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ours", required=True)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--calls", nargs="+", default=CALLS)
    parser.add_argument("--styleid", required=True)
    parser.add_argument("--commit", default="unknown")
    parser.add_argument("--kinds", action="store_true", help="only measures where our time goes, for the record in --json")
    args = parser.parse_args()
    if args.kinds:
        record = json.loads(args.json.read_text())
        record["kinds"] = kinds(args.ours, args.calls, max(args.threads))
        args.json.write_text(json.dumps(record, indent=2) + "\n")
        return print(json.dumps(record["kinds"], indent=2))
    model = next((line.split(": ")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    record = {"machine": f"{model}, {os.cpu_count()} cores", "load": os.getloadavg()[0], "time": int(time.time()),
              "commit": args.commit, "processor": []}
    for threads in args.threads:
        programs = {"ours": [args.ours], "PyTorch": [sys.executable, __file__, "--serve"], "ours, q8": [args.ours, "--weights", "q8"]}
        processes = {name: Process(command, threads) for name, command in programs.items()}
        calls = {}
        for call in args.calls:
            seconds = {name: [] for name in processes}
            for repetition in range(args.repetitions + 1):
                for name, process in processes.items():
                    taken = process.call(call)
                    if repetition > 0:  # the first one warms up
                        seconds[name].append(taken)
            medians = {name: statistics.median(taken) for name, taken in seconds.items()}
            calls[call] = {"seconds": seconds, "medians": medians}
            ratios = "  ".join(f"{name} {value:.3f} s ({value / medians['PyTorch']:.2f})" for name, value in medians.items())
            print(f"{threads} threads, {call}: {ratios}", flush=True)
        ends = {name: process.close() for name, process in processes.items()}
        for name, end in ends.items():
            print(f"{threads} threads, {name}: at most {end['peak'] / 2 ** 30:.2f} GiB, {end['system']:.0%} of its time the system's")
        runs = whole_runs(args.styleid, threads, args.repetitions)
        ours, theirs = runs["medians"].values()
        print(f"{threads} threads, a whole run: ours {ours:.1f} s, PyTorch {theirs:.1f} s ({ours / theirs:.2f})", flush=True)
        began = start(args.styleid, threads, args.repetitions)
        print(f"{threads} threads: the first step begins {began:.2f} s after the program", flush=True)
        record["processor"].append({"threads": threads, "calls": calls, "processes": ends, "run": runs, "start": began})
    record["kinds"] = kinds(args.ours, args.calls, max(args.threads))
    if args.json:
        args.json.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
