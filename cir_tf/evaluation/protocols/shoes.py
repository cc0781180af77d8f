"""Shoes: the eval list of Guo et al. as gallery, VAL's part of it, or that with all references and targets."""

from cir_tf.evaluation.protocol import Protocol


def _protocol(suffix="", **changes):
    return Protocol(
        **{
            "name": f"shoes_test{suffix}",
            "dataset": "shoes",
            "subsets": ("guo2018",),
            "split": "test",
            "gallery": "test",
            "metrics": ("R@1", "R@10", "R@50"),
            "mean_of": ("R@1", "R@10", "R@50"),
            **changes,
        }
    )


PROTOCOLS = (
    _protocol(),
    _protocol("_val", gallery="test_val"),
    # VAL's list alone; only rows whose target is on it, and their references are found in the full list.
    _protocol("_val_list", split="test_val_list", gallery="test_val_list", reference_gallery="test"),
    # One row has its reference as target: it can be answered only here.
    _protocol("_kept", exclude_reference=False),
)
