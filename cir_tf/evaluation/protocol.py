"""A protocol: everything besides the model that a recall depends on, as one frozen value."""

import dataclasses

HITS = {"ids": "hit by target id", "class": "hit by target class"}
GROUPS = (None, "category")


@dataclasses.dataclass(frozen=True)
class Protocol:
    """How a dataset is scored.

    Args:
        name: unique among the protocols.
        dataset: name of the TFDS builder.
        subset: its subset; rows come from the config `<subset>_index`, pictures from `<subset>_gallery`.
        split: split of the rows.
        gallery: split of the gallery view that is searched.
        reference_gallery: split of the gallery view that holds the reference pictures; None: the same as `gallery`.
        exclude_reference: whether the reference's own gallery entry is removed from its query's ranking.
        hit: "ids": the entry is among the query's accepted ids; "class": it has the query's target class.
        ks: ranks at which recall is taken, rising.
        groups: the row's key by which results are also given apart ("category"), or None.
        text: the row's key that holds the query's text.

    Raises:
        ValueError: an unknown `hit` or `groups`, or `ks` that do not rise from 1 or more.
    """

    name: str
    dataset: str
    subset: str
    split: str
    gallery: str
    reference_gallery: str | None = None
    exclude_reference: bool = True
    hit: str = "ids"
    ks: tuple[int, ...] = (1, 5, 10, 50)
    groups: str | None = None
    text: str = "text"

    def __post_init__(self):
        if self.reference_gallery is None:
            object.__setattr__(self, "reference_gallery", self.gallery)
        if self.hit not in HITS:
            raise ValueError(f"hit must be one of {', '.join(HITS)}. Received: hit={self.hit!r}.")
        if self.groups not in GROUPS:
            raise ValueError(f"groups must be None or 'category'. Received: groups={self.groups!r}.")
        if not self.ks or self.ks[0] < 1 or list(self.ks) != sorted(set(self.ks)):
            raise ValueError(f"ks must rise from 1 or more. Received: ks={self.ks}.")

    def describe(self):
        """One line that says all of it, for the head of a table."""
        gallery = f"gallery {self.gallery}"
        if self.reference_gallery != self.gallery:
            gallery += f", references from {self.reference_gallery}"
        parts = [
            f"queries {self.dataset}/{self.subset} {self.split}",
            gallery,
            "reference removed" if self.exclude_reference else "reference kept",
            HITS[self.hit],
            f"text from {self.text}",
            "R@" + "/".join(map(str, self.ks)),
        ]
        if self.groups:
            parts.append(f"by {self.groups}")
        return f"{self.name}: {'; '.join(parts)}"
