"""The struct every layer of the library speaks.

Dimension key: B batch, E tower width, L text tokens.
"""

from typing import Any, NamedTuple


class Features(NamedTuple):
    """What an encoder returns. An encoder fills what it has; a compositor says what it needs.

    Attributes:
        pooled_BE: one vector per example, float [B, E].
        tokens_BLE: one vector per token or patch, float [B, L, E], or None.
        mask_BL: bool [B, L], True where `tokens_BLE` is real, or None.
        maps: feature maps [B, h, w, C], from shallow to deep; empty where there are none.
        ids_BL: the text itself, int32 [B, L], for compositors that read it with a table of their own, or None.
    """

    pooled_BE: Any
    tokens_BLE: Any = None
    mask_BL: Any = None
    maps: tuple = ()
    ids_BL: Any = None
