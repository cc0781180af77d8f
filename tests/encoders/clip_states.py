"""Names and shapes of CLIP's published states (specs/clip_and_blip2.md, section 1.6), to fill them."""


def vit(token_width, patch, grid, layers, width):
    """Of a vision transformer."""
    return {
        "visual.conv1.weight": (token_width, 3, patch, patch),
        "visual.class_embedding": (token_width,),
        "visual.positional_embedding": (grid * grid + 1, token_width),
        **norm("visual.ln_pre", token_width),
        **norm("visual.ln_post", token_width),
        "visual.proj": (token_width, width),
        **transformer("visual.", token_width, layers),
    }


def resnet(stem_width, blocks, grid, width):
    """Of a ResNet with attention pool."""
    found = {}
    channels = 3
    for i, after in enumerate((stem_width // 2, stem_width // 2, stem_width), 1):
        found |= {f"visual.conv{i}.weight": (after, channels, 3, 3), **batch_norm(f"visual.bn{i}", after)}
        channels = after
    for stage, count in enumerate(blocks, 1):
        inner = stem_width * 2 ** (stage - 1)
        for block in range(count):
            prefix = f"visual.layer{stage}.{block}."
            found |= {
                f"{prefix}conv1.weight": (inner, channels, 1, 1),
                f"{prefix}conv2.weight": (inner, inner, 3, 3),
                f"{prefix}conv3.weight": (4 * inner, inner, 1, 1),
                **batch_norm(f"{prefix}bn1", inner),
                **batch_norm(f"{prefix}bn2", inner),
                **batch_norm(f"{prefix}bn3", 4 * inner),
            }
            if block == 0:
                found[f"{prefix}downsample.0.weight"] = (4 * inner, channels, 1, 1)
                found |= batch_norm(f"{prefix}downsample.1", 4 * inner)
            channels = 4 * inner
    found["visual.attnpool.positional_embedding"] = (grid * grid + 1, channels)
    for name, after in (("q", channels), ("k", channels), ("v", channels), ("c", width)):
        found |= linear(f"visual.attnpool.{name}_proj", channels, after)
    return found


def text(token_width, vocabulary, context, layers, width):
    """Of the text tower, with the scale of the logits."""
    return {
        "token_embedding.weight": (vocabulary, token_width),
        "positional_embedding": (context, token_width),
        "text_projection": (token_width, width),
        "logit_scale": (),
        **norm("ln_final", token_width),
        **transformer("", token_width, layers),
    }


def transformer(prefix, width, layers):
    """Of the blocks of either transformer."""
    found = {}
    for i in range(layers):
        block = f"{prefix}transformer.resblocks.{i}."
        found |= {
            f"{block}attn.in_proj_weight": (3 * width, width),
            f"{block}attn.in_proj_bias": (3 * width,),
            **linear(f"{block}attn.out_proj", width, width),
            **norm(f"{block}ln_1", width),
            **norm(f"{block}ln_2", width),
            **linear(f"{block}mlp.c_fc", width, 4 * width),
            **linear(f"{block}mlp.c_proj", 4 * width, width),
        }
    return found


def linear(name, before, after):
    """Of a dense layer."""
    return {f"{name}.weight": (after, before), f"{name}.bias": (after,)}


def norm(name, width):
    """Of a layer normalisation."""
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def batch_norm(name, width):
    """Of a batch normalisation."""
    return {f"{name}.{member}": (width,) for member in ("weight", "bias", "running_mean", "running_var")}
