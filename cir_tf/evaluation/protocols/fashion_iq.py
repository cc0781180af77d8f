"""FashionIQ: the protocols in print. Their figures do not compare: galleries, references and texts differ.

Each kind of garment is a ranking problem of its own; figures are means over the three.
"""

import dataclasses

from cir_tf.evaluation.protocol import Protocol

ORIGINAL = Protocol(
    name="fashion_iq_original",  # CLIP4Cir, MLCL, CaLa, SPRC
    dataset="fashion_iq",
    subsets=("dress", "shirt", "toptee"),
    split="validation",
    gallery="validation",
    captions="capitalized_and",
    exclude_reference=False,
    metrics=("R@1", "R@10", "R@50"),
    mean_of=("R@10", "R@50"),
)
UNION = dataclasses.replace(
    ORIGINAL,
    name="fashion_iq_val",  # VAL: the references and targets of the validation rows
    gallery="validation_union",
    reference_gallery=None,  # the same
    captions="each_caption",
    exclude_reference=True,
)


def _variant(protocol, suffix, **changes):
    return dataclasses.replace(protocol, name=f"{protocol.name}_{suffix}", **changes)


PROTOCOLS = (
    ORIGINAL,
    _variant(ORIGINAL, "excluded", exclude_reference=True),  # DQU-CIR, which also corrects spelling
    UNION,
    _variant(ORIGINAL, "as_published", captions="capitalized_and_as_published"),
    _variant(ORIGINAL, "averaged", captions="both_orders_averaged"),  # SEARLE
    _variant(ORIGINAL, "averaged_capitalized", captions="both_orders_averaged_capitalized"),  # FTI4CIR
    _variant(ORIGINAL, "photo_reversed", captions="photo_reversed"),  # Pic2Word
    _variant(ORIGINAL, "both_orders", captions="both_orders", exclude_reference=True),  # CoSMo's code, ComqueryFormer
    _variant(ORIGINAL, "both_orders_kept", captions="both_orders"),
    _variant(UNION, "both_orders", captions="both_orders"),  # CoSMo's paper, ComqueryFormer with VAL's gallery
    _variant(UNION, "joined", captions="capitalized_and"),  # DQU-CIR, which also corrects spelling
)
