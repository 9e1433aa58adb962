"""LPIPS v0.1 with AlexNet (Zhang et al., 2018): distances between deep features, each channel weighted by how much
people notice it. The weights are the published ones; the file's key names are those of its backbone and heads."""
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import nn

LAYERS = [  # (in, out, kernel, stride, padding), and whether a 3 x 3 max pooling of stride 2 comes before
    ((3, 64, 11, 4, 2), False), ((64, 192, 5, 1, 2), True), ((192, 384, 3, 1, 1), True),
    ((384, 256, 3, 1, 1), False), ((256, 256, 3, 1, 1), False),
]
IMAGENET_MEAN, IMAGENET_STD = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)  # for pictures in [-1, 1]


class Lpips(nn.Module):
    def __init__(self, weights):
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(i, o, k, s, p) for (i, o, k, s, p), _ in LAYERS)
        self.heads = nn.ParameterList(nn.Parameter(torch.empty(o)) for (_, o, *_), _ in LAYERS)
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN)[None, :, None, None])
        self.register_buffer("std", torch.tensor(IMAGENET_STD)[None, :, None, None])
        self.load(load_file(weights))
        self.requires_grad_(False)

    def load(self, tensors):
        for i, (conv, head) in enumerate(zip(self.convs, self.heads)):
            conv.weight.data.copy_(tensors[f"AlexNet_0.Conv_{i}.weight"])
            conv.bias.data.copy_(tensors[f"AlexNet_0.Conv_{i}.bias"])
            head.data.copy_(tensors[f"NetLinLayer_{i}.Conv_0.weight"].flatten())

    def features(self, x):
        x = (x - self.mean) / self.std
        for conv, (_, pooled) in zip(self.convs, LAYERS):
            x = F.relu(conv(F.max_pool2d(x, 3, 2) if pooled else x))
            yield x / (x.norm(dim=1, keepdim=True) + 1e-10)

    def forward(self, a, b):
        """Distance of each pair in two batches of pictures in [-1, 1]."""
        return sum(((fa - fb).square() * head[None, :, None, None]).sum(1).mean((1, 2))
                   for fa, fb, head in zip(self.features(a), self.features(b), self.heads))
