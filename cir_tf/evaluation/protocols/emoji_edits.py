"""Emoji edits: find the person emoji with exactly one attribute changed. The roles of the test are unseen in training.

The headline is `emoji_edits_test`: edits of gender, skin and hair. Edits of the role itself, whose words training never
saw, and texts in templates it never saw are scored apart; the training queries show how well they were fitted.
"""

from cir_tf.evaluation.protocol import Protocol


def _protocol(suffix, split, gallery="people"):
    return Protocol(
        name=f"emoji_edits_{suffix}",
        dataset="emoji_edits",
        subsets=("people",),
        split=split,
        gallery=gallery,
        exclude_reference=True,
        hit="ids",
        groups="category",
    )


PROTOCOLS = (
    _protocol("train", "train"),
    _protocol("validation", "validation"),
    _protocol("validation_roles", "validation_roles"),
    _protocol("test", "test"),
    _protocol("test_all", "test", gallery="all_emoji"),
    _protocol("test_roles", "test_roles"),
    _protocol("test_paraphrase", "test_paraphrase"),
)
