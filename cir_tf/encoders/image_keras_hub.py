"""Any image tower of KerasHub: SigLIP, DINOv2 and v3, ViT, DeiT, Swin, ResNet, EfficientNet, …

Dimension key: B batch, E tower width, L tokens, H W C image.
"""

import keras
import keras_hub
import numpy as np
from keras import ops

from cir_tf.encoders.base import ImageEncoder
from cir_tf.types import Features

HEADS = ("vision_pooler", "vision_post_layer_norm", "vision_projection")  # of KerasHub's towers in pairs, in this order


class ImageKerasHub(ImageEncoder):
    """A KerasHub backbone, or the image tower of one that also reads texts, with the preset's pixel normalisation.

    A tower that gives a vector: that is pooled. One that gives tokens: its own pooling head, where it has one; else
    the first token if there are other tokens than patches (their number is no square), and the mean if not. One that
    gives a map: the mean over it; the maps are those of its feature pyramid.

    Args:
        preset: a preset's name, "hf://…", "kaggle://…" or a folder; of KerasHub, or of transformers or timm where
            KerasHub converts it. "" with `backbone` and `config`: random weights.
        image_size: side of the square input, in pixels; 0: the preset's own.
        scale: pixels of 0..255 are multiplied by it, a number or one per channel; None: the preset's, or 1 / 127.5.
        offset: then added, likewise; None: the preset's, or -1.
        backbone: name of a class in `keras_hub.models`, only without a preset.
        config: its constructor's arguments.

    Raises:
        ValueError: no such preset or class, arguments it does not take, or a size that is given nowhere.
    """

    def __init__(
        self,
        preset="",
        image_size=0,
        scale=None,
        offset=None,
        backbone="",
        config=None,
        name="image_encoder",
    ):
        super().__init__(name=name)
        if bool(preset) == bool(backbone):
            raise ValueError(
                "A tower comes from a preset or from a class. "
                f"Received: preset={preset!r}, backbone={backbone!r}. Give one of them."
            )
        shape = {"image_shape": (image_size, image_size, 3)} if image_size else {}
        if preset:
            model, converter = _from_preset(preset, shape)
        else:
            model, converter = _from_class(backbone, {**dict(config or {}), **shape}), None
        has_pixels = converter is not None and converter.scale is not None
        self.scale = scale if scale is not None else converter.scale if has_pixels else 1 / 127.5
        self.offset = offset if offset is not None else (converter.offset or 0) if has_pixels else -1
        self.tower = _tower(model)
        self.image_size = self.tower.inputs[0].shape[1] or ((converter and converter.image_size) or (0,))[0]
        if not self.image_size:
            raise ValueError(f"The tower takes any size. Received: preset={preset!r}, image_size=0. Give image_size.")
        self.width = self.tower.output["pooled"].shape[-1]
        self.map_widths = tuple(each.shape[-1] for each in self.tower.output["maps"])

    def call(self, image_BHWC, training=False):
        scale, offset = (np.array(each, self.variable_dtype) for each in (self.scale, self.offset))
        output = self.tower(ops.cast(image_BHWC, self.variable_dtype) * scale + offset, training=training)
        tokens_BLE = output.get("tokens")
        mask_BL = None if tokens_BLE is None else ops.ones(ops.shape(tokens_BLE)[:2], "bool")
        return Features(output["pooled"], tokens_BLE, mask_BL, tuple(output["maps"]))


def _from_preset(preset, shape):
    try:
        policy = keras.config.dtype_policy()
        model = keras_hub.models.Backbone.from_preset(preset, dtype=policy, **shape)
    except (ValueError, TypeError, OSError, KeyError) as error:
        raise ValueError(f"KerasHub cannot load this. Received: preset={preset!r}. It says: {error}") from error
    try:
        return model, keras_hub.layers.ImageConverter.from_preset(preset)
    except (ValueError, OSError):  # a preset need not say how its pixels are normalised
        return model, None


def _from_class(name, config):
    made = getattr(keras_hub.models, name, None)
    if made is None:
        raise ValueError(f"There is no such class. Received: backbone={name!r}. Choose one of keras_hub.models.")
    model = made(**config)
    for weight in model.weights:  # KerasHub leaves CLIP's at zero: every patch would have the same position
        if weight.name == "position_ids":
            weight.assign(np.arange(weight.shape[1])[None])
    return model


def _tower(model):
    """The image part of a KerasHub model: pixels to {"pooled", "tokens" where there are any, "maps"}."""
    tower = getattr(model, "vision_encoder", model)
    output = tower.output
    rank = len(output.shape)
    if rank == 4:
        levels = [each for each in getattr(tower, "pyramid_outputs", {}).values() if len(each.shape) == 4]
        outputs = {"pooled": ops.mean(output, axis=(1, 2)), "maps": levels or [output]}
    elif rank == 3:
        outputs = {"pooled": _pooled(model, output), "tokens": output, "maps": []}
    else:
        before = [layer.output for layer in tower.layers if len(layer.output.shape) == 3]
        outputs = {"pooled": output, "maps": []} | ({"tokens": before[-1]} if before else {})
    return keras.Model(tower.inputs[0], outputs, name="tower")


def _pooled(model, tokens_BLE):
    heads = [getattr(model, head) for head in HEADS if hasattr(model, head)]
    if heads:
        for head in heads:
            tokens_BLE = head(tokens_BLE)
        return tokens_BLE
    is_square = round(tokens_BLE.shape[1] ** 0.5) ** 2 == tokens_BLE.shape[1]
    return ops.mean(tokens_BLE, axis=1) if is_square else tokens_BLE[:, 0]


build = ImageKerasHub
