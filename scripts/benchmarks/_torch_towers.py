"""PyTorch's network for each of our encoders, from the fields of our variants."""

import torch
import transformers

from cir_tf import qformer
from cir_tf.encoders import image_blip2_vit
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


class Blip2QFormer(torch.nn.Module):
    """A vision tower of transformers, whose tokens its Q-Former's queries read."""

    def __init__(self, variant, image_size, tower, qformer_sizes):
        super().__init__()
        tower = image_blip2_vit.VARIANTS[variant] | tower
        size = qformer.SIZES | qformer_sizes
        self.tower = blip2(tower | {"image_size": image_size})
        self.queries = torch.nn.Parameter(torch.randn(1, size["queries"], size["width"]))
        config = transformers.Blip2QFormerConfig(
            hidden_size=size["width"],
            intermediate_size=size["mlp_width"],
            num_hidden_layers=size["layers"],
            num_attention_heads=size["heads"],
            encoder_hidden_size=tower["width"],
        )
        self.qformer = transformers.Blip2QFormerModel(config)

    def forward(self, image_BCHW):
        tokens_BME = self.tower(image_BCHW).last_hidden_state
        queries_BQE = self.queries.expand(len(image_BCHW), -1, -1)
        return self.qformer(query_embeds=queries_BQE, encoder_hidden_states=tokens_BME)


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
    "image_blip2": lambda sizes: Blip2QFormer(sizes["variant"], sizes["image_size"], sizes["tower"], sizes["qformer"]),
    "image_blip2_vit": blip2,
    "image_swin": swin,
    "text_bert": bert,
    "text_clip": lambda sizes: CLIPText(VOCABULARY, **sizes),
    "text_lstm": lambda sizes: TIRGText(VOCABULARY, **sizes),
    "text_gru": lambda sizes: VALText(VOCABULARY, **sizes),
}
