"""FashionIQ: the files of the 2019 and 2020 challenges, one for each kind: the caption file with rankings added."""

import dataclasses

from cir_tf.evaluation.protocols.fashion_iq import ORIGINAL
from cir_tf.evaluation.submissions.base import Submission, Upload

QUERIES = {"dress": 2024, "shirt": 2038, "toptee": 2056}


class CaptionFile(Upload):
    """A list of JSON, for each row in order {"candidate": reference, "captions": both, "ranking": ids}."""

    form = "a list"

    def is_form_of(self, value):
        return isinstance(value, list)

    def value(self, rows, ranked):
        columns = zip(rows["reference_id"], rows["captions"], ranked, strict=True)
        return [{"candidate": reference, "captions": captions, "ranking": ids} for reference, captions, ids in columns]

    def lists(self, value, rows):
        """{query: ids}; rows must be those of the caption file, for they have no names.

        Raises:
            ValueError: they are not.
        """
        names, asked = rows["query_id"], zip(rows["reference_id"], rows["captions"], strict=True)
        if len(value) != len(names):
            raise ValueError(f"it has {len(value):,} rows, and the caption file {len(names):,}")
        for place, (row, (reference, captions)) in enumerate(zip(value, asked, strict=True)):
            if not isinstance(row, dict) or (row.get("candidate"), row.get("captions")) != (reference, captions):
                raise ValueError(f"row {place} (from 0) has another candidate or other captions than the caption file")
        return {name: row.get("ranking") for name, row in zip(names, value, strict=True)}


def _submission(kind, queries):
    name = f"fashion_iq_{kind}_test"
    protocol = dataclasses.replace(
        ORIGINAL, name=name, subsets=(kind,), split="test", gallery="test", reference_gallery="test"
    )
    uploads = (CaptionFile(f"{kind}.test.pred.json", 50, ("R",), indent=4),)
    return Submission(name, protocol, queries, uploads, "the challenge is over, no server takes it any more")


SUBMISSIONS = tuple(_submission(kind, queries) for kind, queries in QUERIES.items())
