"""PyTorch's network for each of our encoders, from the fields of our variants."""

import transformers

from scripts.benchmarks._torch_convolutions import MobileNet, ModifiedResNet, ResNet, ResNetV2
from scripts.benchmarks._torch_transformers import CLIPText, CLIPVision, TIRGText, VALText

VOCABULARY = 1000


def blip2(sizes):
    """EVA of transformers, or CLIP's tower."""
    if sizes["clip"]:
        names = ("image_size", "patch", "heads", "layers")
        return CLIPVision(**{name: sizes[name] for name in names}, token_width=sizes["width"], width=8)
    config = transformers.Blip2VisionConfig(
        hidden_size=sizes["width"],
        intermediate_size=sizes["mlp_width"],
        num_hidden_layers=sizes["layers"],
        num_attention_heads=sizes["heads"],
        image_size=sizes["image_size"],
        patch_size=sizes["patch"],
    )
    return transformers.Blip2VisionModel(config)


def swin(sizes):
    config = transformers.SwinConfig(
        embed_dim=sizes["stem_width"],
        depths=sizes["blocks"],
        num_heads=sizes["heads"],
        image_size=sizes["image_size"],
        window_size=sizes["image_size"] // 32,
    )
    return transformers.SwinModel(config)


def bert(sizes):
    config = transformers.BertConfig(
        vocab_size=VOCABULARY,
        hidden_size=sizes["width"],
        intermediate_size=sizes["mlp_width"],
        num_hidden_layers=sizes["layers"],
        num_attention_heads=sizes["heads"],
    )
    return transformers.BertModel(config)


MAKE = {
    "image_resnet": lambda sizes: ResNet(**sizes),
    "image_resnet_v2": lambda sizes: ResNetV2(**sizes),
    "image_mobilenet": lambda sizes: MobileNet(**sizes),
    "image_clip_resnet": lambda sizes: ModifiedResNet(**sizes),
    "image_clip_vit": lambda sizes: CLIPVision(**sizes),
    "image_blip2_vit": blip2,
    "image_swin": swin,
    "text_bert": bert,
    "text_clip": lambda sizes: CLIPText(VOCABULARY, **sizes),
    "text_lstm": lambda sizes: TIRGText(VOCABULARY, **sizes),
    "text_gru": lambda sizes: VALText(VOCABULARY, **sizes),
}
