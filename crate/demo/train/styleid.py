"""StyleID (Chung et al., 2024) on this model, as its diffusers version does it: enough to look at results."""
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import load_file

import ddim
from common import INJECTION_LAYERS


def adain(noise, style):
    """The noise with the style's mean and deviation in every channel."""
    statistics = lambda z: (z.mean((2, 3), keepdim=True), z.std((2, 3), keepdim=True))
    (mean, std), (style_mean, style_std) = statistics(noise), statistics(style)
    return (noise - mean) / (std + 1e-4) * style_std + style_mean


def self_attention(unet, layer: int):
    """The decoder's layer as StyleID counts them: three to a block, from 3 on, for the first block has none."""
    return unet.up_blocks[layer // 3].attentions[layer % 3].transformer_blocks[0].attn1


class SelfAttention:
    """Processor of one decoder layer's self-attention: records its queries, keys and values, or replaces them."""

    def __init__(self, model, layer: int):
        self.model, self.layer = model, layer

    def __call__(self, attn, x, encoder_hidden_states=None, attention_mask=None, temb=None, **_):
        heads = lambda z: z.unflatten(-1, (attn.heads, -1)).transpose(1, 2)
        q, k, v = heads(attn.to_q(x)), heads(attn.to_k(x)), heads(attn.to_v(x))
        key, mode = (self.layer, self.model.now), self.model.mode
        if mode == "record":
            self.model.features[key] = q, k, v
        elif mode == "inject" and self.layer in self.model.layers:
            content, style = self.model.content[key], self.model.style[key]
            gamma = self.model.gamma
            q = (gamma * content[0] + (1 - gamma) * q) * self.model.temperature
            k, v = style[1], style[2]
        out = torch.nn.functional.scaled_dot_product_attention(q, k, v, scale=attn.scale)
        return attn.to_out[0](out.transpose(1, 2).flatten(2))


class StyleId:
    def __init__(self, folder: Path, device="cpu", dtype=torch.float32):
        self.unet = UNet2DConditionModel.from_pretrained(folder / "unet").to(device, dtype).eval()
        self.vae = AutoencoderKL.from_pretrained(folder / "vae").to(device, dtype).eval()
        self.context = load_file(folder / "null_embedding.safetensors")["null_embedding"].to(device, dtype)
        self.mode, self.now, self.layers, self.features = "off", None, (), {}
        for layer in INJECTION_LAYERS:
            self_attention(self.unet, layer).processor = SelfAttention(self, layer)

    def predict(self, x, t: int):
        self.now = t
        context = self.context.expand(len(x), -1, -1)
        return self.unet(x, torch.tensor(t, device=x.device), encoder_hidden_states=context).sample

    @torch.no_grad()
    def encode(self, pictures):
        return self.vae.encode(pictures).latent_dist.mean * self.vae.config.scaling_factor

    @torch.no_grad()
    def decode(self, latents):
        return self.vae.decode(latents / self.vae.config.scaling_factor).sample

    def inverted(self, latents, steps: int):
        """Noise that leads to the latents, and the features met on the way."""
        self.mode, self.features = "record", {}
        noise = ddim.invert(self.predict, latents, steps)
        self.mode = "off"
        return noise, self.features

    def transfer(self, content, style, steps=20, gamma=0.75, temperature=1.5, layers=INJECTION_LAYERS, init_adain=True):
        """The content picture painted like the style picture; both [1, 3, H, W] in [-1, 1]."""
        style_noise, self.style = self.inverted(self.encode(style), steps)
        noise, self.content = self.inverted(self.encode(content), steps)
        if init_adain:
            noise = adain(noise, style_noise)
        self.mode, self.gamma, self.temperature, self.layers = "inject", gamma, temperature, set(layers)
        latents = ddim.sample(self.predict, noise, steps)
        self.mode = "off"
        return self.decode(latents)
