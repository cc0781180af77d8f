"""Convolutional towers in plain PyTorch, with the published names: what ours are compared with.

Each takes normalised pixels [B, 3, H, W]; `sizes` are the fields of the same name of our encoders' variants.
"""

import torch
from torch import nn


class ResNet(nn.Module):
    """torchvision's: the maps of all stages."""

    def __init__(self, stem_width, blocks, bottleneck, classes=10, **sizes):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, stem_width, 7, 2, 3, bias=False), nn.BatchNorm2d(stem_width)
        self.pool = nn.MaxPool2d(3, 2, 1)
        before = stem_width
        for stage, count in enumerate(blocks):
            layers = []
            for i in range(count):
                layers.append(_Block(before, stem_width * 2**stage, 2 if stage and not i else 1, bottleneck))
                before = layers[-1].width
            setattr(self, f"layer{stage + 1}", nn.Sequential(*layers))
        self.fc = nn.Linear(before, classes)  # in the files, and read by nobody here

    def forward(self, x):
        x = self.pool(self.bn1(self.conv1(x)).relu())
        maps = []
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = layer(x)
            maps.append(x)
        return maps


class _Block(nn.Module):
    """3x3, 3x3; or 1x1, 3x3, 1x1. The stride is the first 3x3 convolution's."""

    def __init__(self, before, inner, stride, bottleneck):
        super().__init__()
        self.width = 4 * inner if bottleneck else inner
        shapes = [(before, inner, 3, stride), (inner, inner, 3, 1)]
        if bottleneck:
            shapes = [(before, inner, 1, 1), (inner, inner, 3, stride), (inner, self.width, 1, 1)]
        self.count = len(shapes)
        for i, (inside, outside, kernel, step) in enumerate(shapes, start=1):
            setattr(self, f"conv{i}", nn.Conv2d(inside, outside, kernel, step, kernel // 2, bias=False))
            setattr(self, f"bn{i}", nn.BatchNorm2d(outside))
        self.downsample = None
        if stride > 1 or before != self.width:
            conv = nn.Conv2d(before, self.width, 1, stride, bias=False)
            self.downsample = nn.Sequential(conv, nn.BatchNorm2d(self.width))

    def forward(self, x):
        y = x
        for i in range(1, self.count + 1):
            y = getattr(self, f"bn{i}")(getattr(self, f"conv{i}")(y if i == 1 else y.relu()))
        return (y + (self.downsample(x) if self.downsample else x)).relu()


class ModifiedResNet(nn.Module):
    """CLIP's: the last map and the attention pool."""

    def __init__(self, image_size, stem_width, heads, blocks, width):
        super().__init__()
        stem = ((3, stem_width // 2), (stem_width // 2, stem_width // 2), (stem_width // 2, stem_width))
        for i, (before, after) in enumerate(stem, 1):
            setattr(self, f"conv{i}", nn.Conv2d(before, after, 3, 2 if i == 1 else 1, 1, bias=False))
            setattr(self, f"bn{i}", nn.BatchNorm2d(after))
        before = stem_width
        for stage, count in enumerate(blocks):
            layers = []
            for i in range(count):
                layers.append(_PooledBlock(before, stem_width * 2**stage, 2 if stage and not i else 1))
                before = 4 * stem_width * 2**stage
            setattr(self, f"layer{stage + 1}", nn.Sequential(*layers))
        self.attnpool = _AttentionPool(image_size // 32, before, heads, width)

    def forward(self, x):
        for i in (1, 2, 3):
            x = getattr(self, f"bn{i}")(getattr(self, f"conv{i}")(x)).relu()
        x = nn.functional.avg_pool2d(x, 2)
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = layer(x)
        return x, self.attnpool(x)


class _PooledBlock(nn.Module):
    def __init__(self, before, inner, stride):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(before, inner, 1, bias=False), nn.BatchNorm2d(inner)
        self.conv2, self.bn2 = nn.Conv2d(inner, inner, 3, padding=1, bias=False), nn.BatchNorm2d(inner)
        self.conv3, self.bn3 = nn.Conv2d(inner, 4 * inner, 1, bias=False), nn.BatchNorm2d(4 * inner)
        self.pool = nn.AvgPool2d(stride) if stride > 1 else nn.Identity()
        self.downsample = None
        if stride > 1 or before != 4 * inner:
            conv, norm = nn.Conv2d(before, 4 * inner, 1, bias=False), nn.BatchNorm2d(4 * inner)
            self.downsample = nn.Sequential(conv, norm)

    def forward(self, x):
        y = self.bn1(self.conv1(x)).relu()
        y = self.bn2(self.conv2(y)).relu()
        y = self.bn3(self.conv3(self.pool(y)))
        return (y + (self.downsample(self.pool(x)) if self.downsample else x)).relu()


class _AttentionPool(nn.Module):
    def __init__(self, grid, channels, heads, width):
        super().__init__()
        self.heads = heads
        self.positional_embedding = nn.Parameter(torch.randn(grid * grid + 1, channels) * channels**-0.5)
        self.q_proj, self.k_proj, self.v_proj = (nn.Linear(channels, channels) for _ in range(3))
        self.c_proj = nn.Linear(channels, width)

    def forward(self, x):
        tokens = x.flatten(2).transpose(1, 2)
        tokens = torch.cat([tokens.mean(1, keepdim=True), tokens], dim=1) + self.positional_embedding
        query, key, value = (
            layer(each).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for layer, each in ((self.q_proj, tokens[:, :1]), (self.k_proj, tokens), (self.v_proj, tokens))
        )
        joined = nn.functional.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        return self.c_proj(joined)[:, 0]


class ResNetV2(nn.Module):
    """slim's, with VAL's three taps; the norms of the first two are VAL's own."""

    def __init__(self, stem_width, blocks, **sizes):
        super().__init__()
        self.conv1 = nn.Conv2d(3, stem_width, 7, 2, 3)
        self.units, before = [], stem_width
        for stage, count in enumerate(blocks, start=1):
            width = 4 * stem_width * 2 ** (stage - 1)
            for i in range(1, count + 1):
                unit = _Unit(before, width, 2 if i == count and stage < len(blocks) else 1)
                self.add_module(f"block{stage}/unit_{i}/bottleneck_v2", unit)
                self.units.append((unit, i == count and stage))
                before = width
        self.map_norms = nn.ModuleDict({"2": nn.BatchNorm2d(before // 4), "3": nn.BatchNorm2d(before // 2)})
        self.postnorm = nn.BatchNorm2d(before)

    def forward(self, x):
        x = nn.functional.max_pool2d(pad_behind(self.conv1(x), 3, 2, -torch.inf), 3, 2)
        norms, maps = {2: self.map_norms["2"], 3: self.map_norms["3"], 4: self.postnorm}, []
        for unit, ends_stage in self.units:
            x = unit(x)
            if ends_stage in norms:
                maps.append(norms[ends_stage](x).relu())
        return maps


class _Unit(nn.Module):
    def __init__(self, before, width, stride):
        super().__init__()
        self.stride, inner = stride, width // 4
        self.preact = nn.BatchNorm2d(before)
        self.conv1 = _SlimConv(before, inner, 1, bias=False)
        self.conv2 = _SlimConv(inner, inner, 3, stride, 1, bias=False)
        self.conv3 = nn.Conv2d(inner, width, 1)
        self.shortcut = nn.Conv2d(before, width, 1, stride) if before != width else None

    def forward(self, x):
        y = self.preact(x).relu()
        x = self.shortcut(y) if self.shortcut else nn.functional.max_pool2d(x, 1, self.stride)
        return self.conv3(self.conv2(self.conv1(y))) + x


class _SlimConv(nn.Conv2d):
    """A convolution, its normalisation and a rectifier, in slim's names."""

    def __init__(self, before, after, *arguments, epsilon=1e-5, ceiling=torch.inf, **kwargs):
        super().__init__(before, after, *arguments, **kwargs)
        self.BatchNorm, self.ceiling = nn.BatchNorm2d(after, epsilon), ceiling

    def forward(self, x):
        x = self.BatchNorm(super().forward(x))
        return x.relu() if self.ceiling == torch.inf else x.clamp(0, self.ceiling)


class MobileNet(nn.Module):
    """slim's MobileNet v1: the maps after the tapped blocks."""

    def __init__(self, stem_width, widths, strides, taps, **sizes):
        super().__init__()
        common = {"bias": False, "epsilon": 1e-3, "ceiling": 6}
        self.Conv2d_0 = _SlimConv(3, stem_width, 3, 2, **common)
        self.strides, self.taps, before = strides, taps, stem_width
        for i, (width, stride) in enumerate(zip(widths, strides, strict=True), start=1):
            self.add_module(f"Conv2d_{i}_depthwise", _SlimConv(before, before, 3, stride, groups=before, **common))
            self.add_module(f"Conv2d_{i}_pointwise", _SlimConv(before, width, 1, **common))
            before = width

    def forward(self, x):
        x, maps = self.Conv2d_0(pad_behind(x, 3, 2)), []
        for i, stride in enumerate(self.strides, start=1):
            x = getattr(self, f"Conv2d_{i}_depthwise")(pad_behind(x, 3, stride))
            x = getattr(self, f"Conv2d_{i}_pointwise")(x)
            maps += [x] if i in self.taps else []
        return maps


def pad_behind(x, kernel, stride, value=0.0):
    """TensorFlow's "SAME": what is needed, the larger half below and on the right."""
    need = [max((-(-side // stride) - 1) * stride + kernel - side, 0) for side in x.shape[2:]]
    down, right = need
    return nn.functional.pad(x, (right // 2, right - right // 2, down // 2, down - down // 2), value=value)
