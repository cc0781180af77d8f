"""ComqueryFormer's compositor in PyTorch, step by step, on tensors with the names of the released code.

specs/comqueryformer.md, sections 2.3 to 2.5.
"""

from tests.golden import FILL
from tests.lavis import attention, linear, mlp


def shapes(width, channels, texts, layers, regions, mlp_width):
    """{name: shape} of what is used.

    Args:
        width: of all tokens.
        channels, texts: widths of the maps and of the texts, one per level.
        layers: of the exchange.
        regions: of each learner.
        mlp_width: of the feed-forward branches.
    """
    found = {"token_type_embeddings.weight": (2, width), "normalization_layer.norm_s": (1,)}
    found |= linear("image_pooler.dense", width, width)
    for level, (image, text) in enumerate(zip(channels, texts, strict=True)):
        found |= linear(f"image_linears.{level}", width, image) | linear(f"text_linears.{level}", width, text)
        for side in ("ref", "tar"):
            region = f"local_region_{side}.{level}"
            found[f"{region}.normalization_layer.norm_s"] = (1,)
            found |= {f"{region}.spatial_att.weight": (regions, width, 3, 3), f"{region}.spatial_att.bias": (regions,)}
    for stream, count in (("image", layers), ("text", layers - 1)):
        for i in range(count):
            layer = f"cross_modal_{stream}_layers.{i}."
            found |= attention(f"{layer}attention", width, width) | attention(f"{layer}crossattention", width, width)
            found |= mlp(layer, "", width, mlp_width)
    return found


def filled(names):
    """Values for `shapes`; scales near 3."""
    return {name: 3 + array if name.endswith("norm_s") else array for name, array in FILL(names).items()}


def vectors(state, reference, text, target, layers, heads):
    """{"global_1": (query, target), "local_1": …, …} as tensors.

    Args:
        state: {name: tensor}.
        reference, target: `Features` of NumPy arrays, as many maps as there are levels.
        text: `Features` of NumPy arrays, with or without taps.
        layers, heads: int.
    """
    import torch
    from torch.nn import functional as F

    def dense(name, x):
        return F.linear(x, state[f"{name}.weight"], state[f"{name}.bias"])

    def norm(name, x):
        return F.layer_norm(x, x.shape[-1:], state[f"{name}.weight"], state[f"{name}.bias"], 1e-12)

    def attend(name, x, memory, mask):
        asked = {"query": x, "key": memory, "value": memory}
        parts = (dense(f"{name}.self.{part}", tokens) for part, tokens in asked.items())
        q, k, v = (part.reshape(*part.shape[:2], heads, -1).transpose(1, 2) for part in parts)
        scores = q @ k.transpose(2, 3) / q.shape[-1] ** 0.5
        if mask is not None:
            scores = scores + (1 - mask[:, None, None, :].to(scores.dtype)) * -10000
        joined = (torch.softmax(scores, -1) @ v).transpose(1, 2).reshape(x.shape)
        return norm(f"{name}.output.LayerNorm", x + dense(f"{name}.output.dense", joined))

    def cross_layer(name, x, y, mask_x, mask_y):
        x = attend(f"{name}.crossattention", attend(f"{name}.attention", x, x, mask_x), y, mask_y)
        change = dense(f"{name}.output.dense", F.gelu(dense(f"{name}.intermediate.dense", x)))
        return norm(f"{name}.output.LayerNorm", x + change)

    def fused(x, y, mask):
        types = state["token_type_embeddings.weight"]
        x, y = x + types[0], y + types[1]
        for i in range(layers):
            text_layer, image_layer = (f"cross_modal_{stream}_layers.{i}" for stream in ("text", "image"))
            after = cross_layer(text_layer, x, y, mask, None) if i < layers - 1 else None
            x, y = after, cross_layer(image_layer, y, x, None, mask)
        return y

    def unit(x):
        return x / x.norm(dim=1, keepdim=True)

    def both(tokens, shape, side, level):
        pooled = torch.tanh(dense("image_pooler.dense", tokens.mean(1)))
        region = f"local_region_{side}.{level}"
        image = tokens.transpose(1, 2).reshape(len(tokens), -1, *shape[1:3])
        weight, bias = (state[f"{region}.spatial_att.{each}"] for each in ("weight", "bias"))
        masks = F.conv2d(image, weight, bias, padding=1)
        regions = [unit((image * mask[:, None]).mean((2, 3))) for mask in masks.unbind(1)]
        local = state[f"{region}.normalization_layer.norm_s"] * torch.stack(regions, -1).flatten(1)
        return state["normalization_layer.norm_s"] * unit(pooled), local

    named, mask = {}, torch.tensor(text.mask_BL)
    for level, maps in enumerate(zip(reference.maps, target.maps, strict=True)):
        images = [torch.tensor(each.reshape(len(each), -1, each.shape[-1])) for each in maps]
        y, z = (dense(f"image_linears.{level}", image) for image in images)
        x = dense(f"text_linears.{level}", torch.tensor(text.maps[level] if text.maps else text.tokens_BLE))
        queries, targets = both(fused(x, y, mask), maps[0].shape, "ref", level), both(z, maps[1].shape, "tar", level)
        for kind, pair in zip(("global", "local"), zip(queries, targets, strict=True), strict=True):
            named[f"{kind}_{level + 1}"] = pair
    return named
