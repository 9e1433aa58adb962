#!/usr/bin/env python3
"""Tests of the training scripts, on a CPU and on pictures of this repository: that the parts do what they say, and that
every script runs from its first step to its last. Whether what they train is good is for evaluate.py to say.

  python -m unittest
"""
import contextlib
import io
import json
import runpy
import shutil
import sys
import tempfile
import unittest
import zipfile
from pathlib import Path
from unittest import mock

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from PIL import Image

import colours
import ddim
import repaint
import tune_injection
from common import INJECTION_LAYERS
from evaluate import TRANSFERS, take_weights
from pictures import held_out
from styleid import StyleId, adain, self_attention
from stylize import square
from train_vae import psnr
from unpack import unpack

TRAIN = Path(__file__).parent
ROOT = TRAIN.parents[2]
PACK = TRAIN.parent / "demo.styleid.gguf"
LPIPS = ROOT / "crate/metrics/lpips-alex-f16.safetensors"
PICTURES = ROOT / "www/pictures"
PHOTO, PAINTING = PICTURES / "photo-coffee.jpg", PICTURES / "style-van-gogh-auvers.jpg"
SIZE = 64  # pixels: 16 x 16 latents, 2 x 2 at the UNet's lowest level
UNPACKED = tempfile.TemporaryDirectory()
MODEL = Path(UNPACKED.name)


def setUpModule():
    unittest.addModuleCleanup(UNPACKED.cleanup)
    unpack(PACK, MODEL)


def assert_close(found, wanted, tolerance):
    torch.testing.assert_close(found, wanted, atol=tolerance, rtol=0)


class Colours(unittest.TestCase):
    def test_mean_and_covariance_are_the_paintings(self):
        photo, painting = torch.randn(1, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1)), square(PAINTING, SIZE)
        result = colours.recoloured(photo, colours.matching(photo, painting)).flatten(2)[0]
        wanted = painting.flatten(2)[0]
        assert_close(result.mean(1), wanted.mean(1), 1e-4)
        assert_close(torch.cov(result), torch.cov(wanted), 1e-3)

    def test_grain_of_a_grey_picture_does_not_become_colour(self):
        random = torch.Generator().manual_seed(2)
        grey = 0.3 * torch.randn(1, 1, SIZE, SIZE, generator=random) + 0.005 * torch.randn(1, 3, SIZE, SIZE, generator=random)
        painting = square(PAINTING, SIZE)
        result = colours.recoloured(grey, colours.matching(grey, painting))
        second = lambda picture: torch.linalg.eigvalsh(torch.cov(picture.flatten(2)[0]))[1].sqrt().item()
        self.assertLess(second(result), second(painting) / 10)


class Repainting(unittest.TestCase):
    def test_a_painting_of_its_own_patches_is_itself(self):
        painting = square(PAINTING, SIZE)
        patches = torch.nn.functional.unfold(painting, repaint.SIZE, stride=repaint.SEARCH)[0]
        assert_close(repaint.from_patches(painting, patches), painting, 1e-4)

    def test_every_colour_of_a_result_lies_within_the_paintings(self):
        photo, painting = square(PHOTO, SIZE), square(PAINTING, SIZE).clamp(-0.5, 0.25)
        result = repaint.repainted(photo, painting)
        self.assertEqual(result.shape, photo.shape)
        self.assertGreaterEqual(result.min().item(), -0.5 - 1e-5)
        self.assertLessEqual(result.max().item(), 0.25 + 1e-5)
        self.assertGreater(psnr(result, colours.match(photo, painting)).item(), 15)  # it is the photo still


class Schedule(unittest.TestCase):
    """Against the scheduler of diffusers."""

    def setUp(self):
        config = {k: v for k, v in ddim.SCHEDULER_CONFIG.items() if not k.startswith("_") and k != "skip_prk_steps"}
        self.reference = DDIMScheduler(**config)
        self.reference.set_timesteps(20)

    def test_levels_and_timesteps(self):
        assert_close(self.reference.alphas_cumprod, ddim.alphas_cumprod(), 1e-6)
        self.assertEqual(self.reference.timesteps.tolist(), ddim.timesteps(20))

    def test_sampling(self):
        random = torch.Generator().manual_seed(3)
        mixing = torch.randn(4, 4, generator=random) / 2
        predict = lambda x, t: torch.einsum("ij,bjhw->bihw", mixing, x).tanh() * (1 + t / 1000)
        noise = torch.randn(1, 4, 8, 8, generator=random)
        x = noise
        for t in self.reference.timesteps:
            step = self.reference.step(predict(x, t.item()), t, x)
            x = step.prev_sample
        assert_close(ddim.sample(predict, noise, 20), step.pred_original_sample, 1e-3)

    def test_inversion_of_one_noise_comes_back(self):
        random = torch.Generator().manual_seed(4)
        latents, noise = torch.randn(2, 1, 4, 8, 8, generator=random)
        there = ddim.invert(lambda x, t: noise, latents, 20)
        clean = ddim.sample(lambda x, t: noise, there, 20)
        # Inversion takes the latents to be at the first level of noise already; what is sampled has none.
        assert_close(ddim.move(clean, noise, torch.tensor(1.0), ddim.alphas_cumprod()[0]), latents, 1e-3)


class Injection(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.model = StyleId(MODEL)
        cls.photo, cls.painting = square(PHOTO, SIZE), square(PAINTING, SIZE)
        cls.injected = cls.model.transfer(cls.photo, cls.painting)

    def test_adain(self):
        random = torch.Generator().manual_seed(5)
        noise, style = torch.randn(1, 4, 8, 8, generator=random), 2 * torch.randn(1, 4, 8, 8, generator=random) + 1
        moved = adain(noise, style)
        for statistic in torch.mean, torch.std:
            assert_close(statistic(moved, (2, 3)), statistic(style, (2, 3)), 1e-3)
        self.assertGreater(torch.corrcoef(torch.stack([noise[0, 0].flatten(), moved[0, 0].flatten()]))[0, 1].item(), 0.999)

    @torch.no_grad()
    def test_attention_left_alone_is_diffusers(self):
        reference = UNet2DConditionModel.from_pretrained(MODEL / "unet").float().eval()
        x = torch.randn(2, 4, 16, 16, generator=torch.Generator().manual_seed(6))
        wanted = reference(x, torch.tensor(401), encoder_hidden_states=self.model.context.expand(2, -1, -1)).sample
        assert_close(self.model.predict(x, 401), wanted, 1e-4)

    def test_without_injection_and_adain_the_photo_comes_back(self):
        again = self.model.transfer(self.photo, self.painting, layers=(), init_adain=False)
        decoded = self.model.decode(self.model.encode(self.photo)).clamp(-1, 1)
        self.assertGreater(psnr(again, decoded).item(), 25)

    def test_the_paintings_keys_and_values_change_the_photo(self):
        plain = self.model.transfer(self.photo, self.painting, layers=())
        self.assertLess(psnr(self.injected, plain.clamp(-1, 1)).item(), 35)

    @torch.no_grad()
    def test_practice_is_on_what_the_method_does(self):
        """One call as the tuning makes it gives what StyleId gives, which has recorded the features before."""
        random = torch.Generator().manual_seed(7)
        content, style, coming, other = torch.randn(4, 1, 4, 16, 16, generator=random)
        model, t = self.model, 301
        model.mode, model.features = "record", {}
        model.predict(content, t)
        model.content, model.features = model.features, {}
        model.predict(style, t)
        model.style = model.features
        model.mode, model.gamma, model.temperature, model.layers = "inject", 0.3, tune_injection.TEMPERATURE, set(range(7, 12))
        wanted = model.predict(coming, t)
        model.mode = "off"
        alone = [model.predict(x, t) for x in (content, style, other)]

        practising = UNet2DConditionModel.from_pretrained(MODEL / "unet").float().eval()
        for layer in INJECTION_LAYERS:
            self_attention(practising, layer).processor = tune_injection.Injecting(layer)
        with mock.patch.multiple(tune_injection.Injecting, first=7, pairs=1, gamma=0.3):
            batch = torch.cat([content, style, coming, other])
            found = practising(batch, torch.tensor(t), encoder_hidden_states=model.context.expand(4, -1, -1)).sample
        assert_close(found[2:3], wanted, 1e-4)
        self.assertGreater((found[2:3] - model.predict(coming, t)).abs().max().item(), 1e-2)
        assert_close(torch.cat([found[:2], found[3:]]), torch.cat(alone), 1e-4)

    def test_the_unpacked_weights_are_the_packs(self):
        packed = StyleId(MODEL)
        for network in packed.unet, packed.vae:
            for value in network.parameters():
                torch.nn.init.normal_(value, std=0.01)
        take_weights(packed, PACK)
        self.assertGreater(psnr(packed.transfer(self.photo, self.painting), self.injected.clamp(-1, 1)).item(), 60)


class Scripts(unittest.TestCase):
    """Each for a few steps, on six pictures, one after the other as for the shipped model."""

    @classmethod
    def setUpClass(cls):
        cls.at = Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        held = sorted({name for transfer in TRANSFERS for name in transfer})
        with zipfile.ZipFile(cls.at / "data.zip", "w") as archive:
            for i, picture in enumerate(sorted([*PICTURES.glob("photo-*.jpg"), *PICTURES.glob("style-*.jpg")])):
                group = "painting" if picture.name.startswith("style") else "photo"
                archive.write(picture, f"train/{group}/{i:03}-{picture.stem}.jpg")
            for i, name in enumerate(held):
                archive.write(PHOTO if i % 2 else PAINTING, f"held/photo/{i:03}-{name}.jpg")

    def run_script(self, name, *options) -> str:
        """What it prints."""
        printed = io.StringIO()
        with mock.patch.object(sys, "argv", [name, *map(str, options)]), contextlib.redirect_stdout(printed):
            runpy.run_path(str(TRAIN / name), run_name="__main__")
        return printed.getvalue()

    def moved(self, unet, before) -> bool:
        """Whether a UNet's weights are finite and others than before."""
        weights, old = (UNet2DConditionModel.from_pretrained(path).state_dict() for path in (unet, before))
        self.assertTrue(all(value.isfinite().all() for value in weights.values()))
        return any(not torch.equal(weights[name], old[name]) for name in old)

    def test_a_model_from_nothing(self):
        data, out = ("--data", self.at / "data.zip"), self.at / "model"
        few = ("--seconds", 1, "--total", 2, "--batch", 2, "--no-compile")
        vae = (*data, "--lpips", LPIPS, "--out", out / "vae", "--checkpoint", self.at / "vae.pt", *few, "--size", SIZE, "--slots", 8)
        self.assertIn("held out PSNR", self.run_script("train_vae.py", *vae))
        self.assertIn("resumed at step", self.run_script("train_vae.py", *vae))
        self.assertTrue(AutoencoderKL.from_pretrained(out / "vae").config.scaling_factor > 0)

        unet = (*data, "--vae", out / "vae", "--checkpoint", self.at / "unet.pt", *few, "--slots", 2)
        self.run_script("train_unet.py", *unet, "--out", self.at / "first")
        self.assertIn("resumed at step", self.run_script("train_unet.py", *unet, "--out", out / "unet"))
        self.assertTrue(self.moved(out / "unet", self.at / "first"))

        self.run_script("write_pipeline.py", out)
        config = lambda model, name: json.loads((model / name).read_text())
        for name in "model_index.json", "scheduler/scheduler_config.json":
            self.assertEqual(config(out, name), config(MODEL, name))
        layers = lambda model: config(model, "unet/config.json")["_injection_layers"]
        self.assertEqual(layers(out), layers(MODEL))
        self.assertEqual((out / "null_embedding.safetensors").read_bytes(), (MODEL / "null_embedding.safetensors").read_bytes())
        StyleId(out)

    def test_tuning_then_results(self):
        data, tuned = ("--data", self.at / "data.zip"), self.at / "tuned"
        shutil.copytree(MODEL, tuned)
        for script, options in (("tune_inversion.py", ("--seconds", 60, "--batch", 4)), ("tune_injection.py", ()),
                                ("tune_injection.py", ("--gamma", 0, "--pairs", 2))):
            with self.subTest(script=script, options=options):
                said = self.run_script(script, *data, "--model", MODEL, "--out", tuned / "unet", "--steps", 1,
                                       "--size", SIZE, "--pictures", 2, *options)
                self.assertIn("round trip error", said)
                self.assertTrue(self.moved(tuned / "unet", MODEL / "unet"))

        self.run_script("evaluate.py", *data, "--lpips", LPIPS, "--model", tuned, "--size", SIZE,
                        "--report", self.at / "figures.json", "--pictures", self.at / "look")
        figures = json.loads((self.at / "figures.json").read_text())
        names, _ = held_out(self.at / "data.zip", SIZE, "cpu")
        self.assertEqual(sorted(figures["pictures"]), sorted(names))
        self.assertEqual(figures["parameters"]["unet"], 7_814_564)
        self.assertEqual(sorted(p.name for p in (self.at / "look").iterdir()),
                         ["reconstruction.png", "samples.png", "transfer.png"])

        self.run_script("stylize.py", "--model", tuned, "--size", SIZE, PHOTO, PAINTING, self.at / "out.png")
        self.assertEqual(Image.open(self.at / "out.png").size, (SIZE, SIZE))


if __name__ == "__main__":
    unittest.main()
