"""Names and shapes of LAVIS's BLIP-2 files and of Hugging Face's BERT: specs/clip_and_blip2.md, section 2."""

import numpy as np


def linear(name, units, inputs, bias=True):
    return {f"{name}.weight": (units, inputs), **({f"{name}.bias": (units,)} if bias else {})}


def norm(name, width):
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def attention(name, width, memory_width):
    shapes = norm(f"{name}.output.LayerNorm", width) | linear(f"{name}.output.dense", width, width)
    shapes |= linear(f"{name}.self.query", width, width)
    return shapes | linear(f"{name}.self.key", width, memory_width) | linear(f"{name}.self.value", width, memory_width)


def mlp(layer, suffix, width, mlp_width):
    shapes = linear(f"{layer}intermediate{suffix}.dense", mlp_width, width)
    shapes |= linear(f"{layer}output{suffix}.dense", width, mlp_width)
    return shapes | norm(f"{layer}output{suffix}.LayerNorm", width)


def qformer(width=768, layers=12, mlp_width=3072, image_width=1024, queries=32, words=30523, positions=512):
    """`query_tokens` and `Qformer.bert.*`."""
    start = "Qformer.bert."
    shapes = {"query_tokens": (1, queries, width), f"{start}embeddings.word_embeddings.weight": (words, width)}
    shapes |= {f"{start}embeddings.position_embeddings.weight": (positions, width)}
    shapes |= norm(f"{start}embeddings.LayerNorm", width)
    for i in range(layers):
        layer = f"{start}encoder.layer.{i}."
        shapes |= attention(f"{layer}attention", width, width)
        if i % 2 == 0:
            shapes |= attention(f"{layer}crossattention", width, image_width)
        shapes |= mlp(layer, "", width, mlp_width) | mlp(layer, "_query", width, mlp_width)
    return shapes


def heads(width=768, projected=256):
    return (
        linear("vision_proj", projected, width) | linear("text_proj", projected, width) | linear("itm_head", 2, width)
    )


def language_model(width=768, words=30523):
    """What no retrieval reads."""
    shapes = {"Qformer.bert.embeddings.position_ids": (1, 512), "temp": (), "Qformer.cls.predictions.bias": (words,)}
    shapes |= linear("Qformer.cls.predictions.transform.dense", width, width)
    shapes |= norm("Qformer.cls.predictions.transform.LayerNorm", width)
    return shapes | linear("Qformer.cls.predictions.decoder", words, width)


def eva(width=1408, layers=39, mlp_width=6144, patch=14, image_size=224, start="visual_encoder."):
    tokens = 1 + (image_size // patch) ** 2
    shapes = {f"{start}cls_token": (1, 1, width), f"{start}pos_embed": (1, tokens, width)}
    shapes |= {f"{start}patch_embed.proj.weight": (width, 3, patch, patch), f"{start}patch_embed.proj.bias": (width,)}
    for i in range(layers):
        block = f"{start}blocks.{i}."
        shapes |= norm(f"{block}norm1", width) | norm(f"{block}norm2", width)
        shapes |= {f"{block}attn.q_bias": (width,), f"{block}attn.v_bias": (width,)}
        shapes |= linear(f"{block}attn.qkv", 3 * width, width, bias=False) | linear(f"{block}attn.proj", width, width)
        shapes |= linear(f"{block}mlp.fc1", mlp_width, width) | linear(f"{block}mlp.fc2", width, mlp_width)
    return shapes


def vit_l(width=1024, layers=23, mlp_width=4096, patch=14, image_size=224, start="visual_encoder."):
    tokens = 1 + (image_size // patch) ** 2
    shapes = {f"{start}conv1.weight": (width, 3, patch, patch), f"{start}class_embedding": (width,)}
    shapes |= {f"{start}positional_embedding": (tokens, width)} | norm(f"{start}ln_pre", width)
    for i in range(layers):
        block = f"{start}transformer.resblocks.{i}."
        shapes |= {f"{block}attn.in_proj_weight": (3 * width, width), f"{block}attn.in_proj_bias": (3 * width,)}
        shapes |= linear(f"{block}attn.out_proj", width, width)
        shapes |= norm(f"{block}ln_1", width) | norm(f"{block}ln_2", width)
        shapes |= linear(f"{block}mlp.c_fc", mlp_width, width) | linear(f"{block}mlp.c_proj", width, mlp_width)
    return shapes


def bert(width=768, layers=12, mlp_width=3072, words=30522, positions=512, start="bert."):
    """Hugging Face's BERT, with its pooler."""
    shapes = {f"{start}embeddings.word_embeddings.weight": (words, width)}
    shapes |= {f"{start}embeddings.position_embeddings.weight": (positions, width)}
    shapes |= {f"{start}embeddings.token_type_embeddings.weight": (2, width)}
    shapes |= norm(f"{start}embeddings.LayerNorm", width) | linear(f"{start}pooler.dense", width, width)
    for i in range(layers):
        layer = f"{start}encoder.layer.{i}."
        shapes |= attention(f"{layer}attention", width, width) | mlp(layer, "", width, mlp_width)
    return shapes


def size(shapes):
    return sum(int(np.prod(shape, dtype=np.int64)) for shape in shapes.values())
