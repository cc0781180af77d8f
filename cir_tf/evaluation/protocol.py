"""A protocol: everything besides the model that a figure depends on, as one frozen value."""

import dataclasses

from cir_tf import captions

HITS = {
    "ids": "hit: any accepted image",
    "target": "hit: the one target image",
    "class": "hit: any image of the target's class",
    "adjective": "hit: any image with the adjective (first word) of the target's class",
    "noun": "hit: any image with the noun (all but the first word) of the target's class",
}
METRICS = ("R", "R_subset", "mAP")
GROUPS = (None, "category", "semantic_aspects")
MEAN = "mean"


@dataclasses.dataclass(frozen=True)
class Protocol:
    """How a dataset is scored.

    Args:
        name: unique among the protocols.
        dataset: name of the TFDS builder.
        subsets: its subsets, each a ranking problem of its own; rows come from the config `<subset>_index`, pictures
            from `<subset>_gallery`. Figures of several subsets are the plain mean of theirs.
        split: split of the rows.
        gallery: split of the gallery view that is searched.
        reference_gallery: split of the gallery view that holds the reference pictures; None: the same as `gallery`.
        captions: name of the policy (`cir_tf.captions`) that makes the queries' texts. Where it makes several of a
            row, each is a query of its own, or one query is their normalised mean, as the policy says.
        exclude_reference: whether the reference's own gallery entry is removed from its query's ranking.
        hit: what counts, one of `HITS`.
        metrics: "R@k" (is a hit among the first k), "R_subset@k" (the same among the other members of the row's
            `group_ids`), "mAP@k" (mean average precision over all accepted images, CIRCO's).
        mean_of: metrics whose plain mean is given as one more figure, "mean"; usually the one that papers sort by.
        groups: the row's key by which results are also given apart, or None; a row with several counts for all.

    Raises:
        ValueError: a value that is none of these.
    """

    name: str
    dataset: str
    subsets: tuple[str, ...]
    split: str
    gallery: str
    reference_gallery: str | None = None
    captions: str = "stored"
    exclude_reference: bool = True
    hit: str = "ids"
    metrics: tuple[str, ...] = ("R@1", "R@5", "R@10", "R@50")
    mean_of: tuple[str, ...] = ()
    groups: str | None = None

    def __post_init__(self):
        if self.reference_gallery is None:
            object.__setattr__(self, "reference_gallery", self.gallery)
        if self.hit not in HITS:
            raise ValueError(f"hit must be one of {', '.join(HITS)}. Received: hit={self.hit!r}.")
        if self.groups not in GROUPS:
            raise ValueError(f"groups must be one of {GROUPS}. Received: groups={self.groups!r}.")
        if self.captions not in captions.available():
            choices = ", ".join(captions.available())
            raise ValueError(f"captions must be one of {choices}. Received: captions={self.captions!r}.")
        if not self.subsets or isinstance(self.subsets, str):
            raise ValueError(f"subsets must be a tuple of names. Received: subsets={self.subsets!r}.")
        if not self.metrics or not all(map(_is_metric, self.metrics)):
            raise ValueError(f"metrics must be like R@10, R_subset@1, mAP@5. Received: metrics={self.metrics}.")
        if self.hit not in ("ids", "target") and any(parse_metric(metric)[0] != "R" for metric in self.metrics):
            raise ValueError(f"Hits by {self.hit} have R@k only. Received: metrics={self.metrics}.")
        if not set(self.mean_of) <= set(self.metrics):
            raise ValueError(f"mean_of must be some of metrics. Received: mean_of={self.mean_of}.")

    def describe(self):
        """One line that says all of it, for the head of a table."""
        gallery = f"gallery {self.gallery}"
        if self.reference_gallery != self.gallery:
            gallery += f", references from {self.reference_gallery}"
        parts = [
            f"queries {self.dataset}/{'+'.join(self.subsets)} {self.split}",
            f"{gallery}, a gallery for each subset and the mean over subsets" if len(self.subsets) > 1 else gallery,
            "reference removed" if self.exclude_reference else "reference kept",
            HITS[self.hit],
            f"captions {self.captions}",
            ", ".join(self.metrics),
        ]
        if self.mean_of:
            parts.append(f"mean of {' and '.join(self.mean_of)}")
        if self.groups:
            parts.append(f"by {self.groups}")
        return f"{self.name}: {'; '.join(parts)}"


def parse_metric(metric):
    """("R", 10) of "R@10"."""
    kind, _, k = metric.partition("@")
    return kind, int(k)


def _is_metric(metric):
    kind, _, k = metric.partition("@")
    return kind in METRICS and k.isdecimal() and int(k) > 0
