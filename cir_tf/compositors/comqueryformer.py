"""ComqueryFormer: at several depths, image tokens that have read the text; vectors of the whole and of regions.

Dimension key: B batch, D shared embedding, E width of the text, L text tokens, M image tokens, H W C map, R regions.
"""

import keras
from keras import ops

from cir_tf.bert import PostNormAttention, PostNormMLP, mask_bias, start
from cir_tf.compositors.base import Compositor
from cir_tf.layers import TorchConv2D, at_least_float32, l2_normalize

SCALE = 4.0  # of all vectors, at the start


class ComqueryFormer(Compositor):
    """Per level of maps v and texts t: y = fused(dense_t(t), dense_v(v)) for the query, y = dense_v(v) for the target.

    global: s u / |u| with u = tanh(dense(mean of y)), dense and s one for all levels and both sides.
    local: s' u_r / |u_r| for each region r, u_r the mean of y * conv3x3(y)_r; conv and s' per level and side.
    `fused` is `TwoStreams`, the same for all levels. s and s' are trained from 4 and act in retrieval, too.

    The text of a level is the text encoder's tap of that depth, or where it has no taps, its last tokens.

    Args:
        width: D, of all tokens; a local vector has `regions` times as many numbers.
        layers: of the exchange between text and image.
        heads: of each attention.
        mlp_ratio: hidden width of its feed-forward branches, in D.
        regions: R.
        dropout: rate, of attention weights and of what is added to the tokens.
        levels: how many of the deepest maps are used; None: all.
        use_global, use_local: which vectors there are.
        share_regions: one convolution and one s' per level for both sides. Published: False.

    Raises:
        ValueError: neither kind of vector, no layer or no level.

    Reference: ComqueryFormer, IEEE TMM 2023, and its released code; its figure takes the maps before each merging and
    one text for all levels, its code the maps after it and a text per level. The last text layer and the pooled text,
    which the released code has and nothing reads, are left out.
    """

    needs_image = ("maps",)
    needs_text = ("tokens",)
    normalized = True
    own_widths = True

    def __init__(
        self,
        width=768,
        layers=4,
        heads=8,
        mlp_ratio=4,
        regions=8,
        dropout=0.1,
        levels=None,
        use_global=True,
        use_local=True,
        share_regions=False,
        **kwargs,
    ):
        super().__init__(width, **kwargs)
        if not (use_global or use_local):
            raise ValueError("There must be vectors. Received: use_global=False, use_local=False. Set one to True.")
        if layers < 1 or (levels is not None and levels < 1):
            raise ValueError(
                f"Layers and levels count from 1. Received: layers={layers}, levels={levels}. "
                "Use layers=4, and levels=None for all maps."
            )
        self.levels, self.regions, self.share_regions = levels, regions, share_regions
        self.streams = TwoStreams(width, heads, mlp_ratio * width, layers, dropout, name="streams")
        self.pooler = Pooler(width, name="pooler") if use_global else None
        self.use_local = use_local
        self.image_dense, self.text_dense = [], []  # per level, made when the first maps say how many there are
        self.query_regions, self.target_regions = [], []

    def compose(self, reference, text, training=False):
        self.check(reference, text)
        maps = self._maps(reference)
        named = {}
        for level, map_BHWC in enumerate(maps):
            text_BLE = text.maps[level] if text.maps else text.tokens_BLE
            image_BMD = self.image_dense[level](_tokens(map_BHWC))
            text_BLD = self.text_dense[level](text_BLE)
            fused_BMD = self.streams(text_BLD, image_BMD, text.mask_BL, training=training)
            named |= self._vectors(level, fused_BMD, map_BHWC, self.query_regions)
        return named

    def project_target(self, target, training=False):
        named = {}
        for level, map_BHWC in enumerate(self._maps(target)):
            image_BMD = self.image_dense[level](_tokens(map_BHWC))
            named |= self._vectors(level, image_BMD, map_BHWC, self.target_regions)
        return named

    def check(self, reference, text):
        count = len(reference.maps) if self.levels is None else self.levels
        if count > len(reference.maps):
            raise ValueError(
                f"Levels are maps of the image encoder. Received: levels={count}, {len(reference.maps)} maps. "
                "Use fewer levels, or None."
            )
        if text.maps and len(text.maps) != count:
            raise ValueError(
                f"Each level has a text of its own depth. Received: {len(text.maps)} taps of the text encoder, "
                f"{count} levels. Use as many taps as levels, from shallow to deep, or no taps."
            )

    def _maps(self, features):
        """The maps of the levels; makes the layers of each level where there are none yet."""
        maps = features.maps if self.levels is None else features.maps[-self.levels :]
        for level in range(len(self.image_dense), len(maps)):
            for layers, name in ((self.image_dense, "image_dense"), (self.text_dense, "text_dense")):
                dense = keras.layers.Dense(self.width, kernel_initializer=start(), name=f"{name}_{level}")
                layers.append(dense)
            if self.use_local:
                sides = ("regions",) if self.share_regions else ("query_regions", "target_regions")
                made = [RegionLearner(self.regions, name=f"{side}_{level}") for side in sides]
                self.query_regions.append(made[0])
                self.target_regions.append(made[-1])
        return maps

    def _vectors(self, level, tokens_BMD, map_BHWC, regions):
        named = {f"global_{level + 1}": self.pooler(tokens_BMD)} if self.pooler else {}
        if self.use_local:
            map_BHWD = ops.reshape(tokens_BMD, (-1, *map_BHWC.shape[1:3], self.width))
            named[f"local_{level + 1}"] = regions[level](map_BHWD)
        return named


def _tokens(map_BHWC):
    """Row by row: [B, H W, C]."""
    return ops.reshape(map_BHWC, (-1, map_BHWC.shape[1] * map_BHWC.shape[2], map_BHWC.shape[3]))


class TwoStreams(keras.layers.Layer):
    """Image tokens y after exchanges with text tokens x: x_k+1 = T_k(x_k, y_k), y_k+1 = I_k(y_k, x_k).

    At first a learned type is added to each, one for texts and one for images. The last x is not made.

    Args:
        width: D.
        heads: as in `CrossLayer`.
        mlp_width: as in `CrossLayer`.
        layers: how many y_k are made.
        dropout: as in `CrossLayer`.
    """

    def __init__(self, width, heads, mlp_width, layers, dropout, **kwargs):
        super().__init__(**kwargs)
        self.width = width
        sizes = (width, heads, mlp_width, dropout)
        self.text_layers = [CrossLayer(*sizes, name=f"text_{i}") for i in range(layers - 1)]
        self.image_layers = [CrossLayer(*sizes, name=f"image_{i}") for i in range(layers)]

    def build(self, *shapes):
        self.types = self.add_weight(name="types", shape=(2, self.width), initializer=start())
        for layer in (*self.text_layers, *self.image_layers):
            layer.build((None, None, self.width))

    def call(self, text_BLD, image_BMD, mask_BL, training=False):
        """The image tokens at the end, [B, M, D].

        Args:
            text_BLD, image_BMD: tokens.
            mask_BL: bool, True where a token of the text is real.
            training: whether dropout is on.
        """
        bias = mask_bias(mask_BL)
        text_type_D, image_type_D = ops.unstack(ops.cast(self.types, self.compute_dtype))
        x, y = text_BLD + text_type_D, image_BMD + image_type_D
        for text_layer, image_layer in zip(self.text_layers, self.image_layers, strict=False):
            x, y = text_layer(x, y, bias, None, training=training), image_layer(y, x, None, bias, training=training)
        return self.image_layers[-1](y, x, None, bias, training=training)


class CrossLayer(keras.layers.Layer):
    """mlp(cross(self(x), y)): tokens look at themselves, then at others; each norm(x + dropout(change)).

    Args:
        width: D.
        heads: of both attentions.
        mlp_width: of the feed-forward branch's hidden layer.
        dropout: rate, of the attention weights and of what is added.
    """

    def __init__(self, width, heads, mlp_width, dropout, **kwargs):
        super().__init__(**kwargs)
        self.attention = PostNormAttention(width, heads, dropout, name="attention")
        self.cross_attention = PostNormAttention(width, heads, dropout, name="cross_attention")
        self.mlp = PostNormMLP(width, mlp_width, dropout, name="mlp")

    def build(self, shape, *_):
        for layer in (self.attention, self.cross_attention, self.mlp):
            layer.build(shape)

    def call(self, x_BLD, other_BMD, bias, other_bias, training=False):
        """The tokens after the layer, [B, L, D].

        Args:
            x_BLD: tokens.
            other_BMD: those they look at.
            bias, other_bias: what is added to the scores of either, as of `mask_bias`; None hides no token.
            training: whether dropout is on.
        """
        x_BLD = self.attention(x_BLD, bias=bias, training=training)
        x_BLD = self.cross_attention(x_BLD, other_BMD, bias=other_bias, training=training)
        return self.mlp(x_BLD, training=training)


class Pooler(keras.layers.Layer):
    """s u / |u|, u = tanh(dense(mean of the tokens)), s trained from 4.

    Args:
        width: D.
    """

    def __init__(self, width, **kwargs):
        super().__init__(**kwargs)
        self.dense = keras.layers.Dense(width, kernel_initializer=start(), name="dense")

    def build(self, shape):
        self.dense.build((None, shape[-1]))
        self.scale = _scale(self)

    def call(self, tokens_BMD):
        """The vector, float32 [B, D]."""
        mean_BD = ops.mean(at_least_float32(tokens_BMD), axis=1)
        return self.scale * l2_normalize(ops.tanh(self.dense(mean_BD)))


class RegionLearner(keras.layers.Layer):
    """s u_r / |u_r| side by side, u_r the mean over the map of x * mask_r, masks = conv3x3(x), s trained from 4.

    Masks are signed and have no bounds.

    Args:
        regions: R.
    """

    def __init__(self, regions, **kwargs):
        super().__init__(**kwargs)
        self.masks = TorchConv2D(regions, 3, name="masks")

    def build(self, shape):
        self.masks.build(shape)
        self.scale = _scale(self)

    def call(self, map_BHWC):
        """The vectors, float32 [B, C R]; number c R + r is channel c of region r."""
        mask_BHWR = at_least_float32(self.masks(map_BHWC))
        places, channels = map_BHWC.shape[1] * map_BHWC.shape[2], map_BHWC.shape[3]
        mean_BCR = ops.einsum("bhwc,bhwr->bcr", at_least_float32(map_BHWC), mask_BHWR) / places
        return ops.reshape(self.scale * l2_normalize(mean_BCR, axis=1), (-1, channels * self.masks.filters))


def _scale(layer):
    initializer = keras.initializers.Constant(SCALE)
    return layer.add_weight(name="scale", shape=(), initializer=initializer, autocast=False)


build = ComqueryFormer
