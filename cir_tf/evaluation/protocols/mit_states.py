"""MIT-States: any picture of the wanted adjective and noun is right; variants look at one of the two words alone."""

from cir_tf.evaluation.protocol import Protocol


def _protocol(suffix="", hit="class", captions="stored"):
    return Protocol(
        name=f"mit_states_test{suffix}",
        dataset="mit_states",
        subsets=("tirg",),
        split="test",
        gallery="test",
        captions=captions,
        hit=hit,
        metrics=("R@1", "R@5", "R@10", "R@50"),
    )


PROTOCOLS = (
    _protocol(),
    _protocol("_adjective", hit="adjective"),
    _protocol("_noun", hit="noun"),
    _protocol("_complete_text", captions="reference_noun"),  # ComposeAE
)
