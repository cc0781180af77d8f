"""CIRR: two files, of the whole gallery and of each query's set of six; `cirr_validation` is in the same form."""

import dataclasses

from cir_tf.evaluation.protocols.cirr import PROTOCOLS
from cir_tf.evaluation.submissions.base import Submission, Upload

LIMIT = 5_000_000  # "Maximum 5MB" says the server


def _uploads(name):
    header = ("version", "rc2")
    return (
        Upload(f"{name}_recall.json", 50, ("R",), (header, ("metric", "recall")), limit=LIMIT),
        Upload(
            f"{name}_recall_subset.json",
            3,
            ("R_subset",),
            (header, ("metric", "recall_subset")),
            in_group=True,
            limit=LIMIT,
        ),
    )


(VALIDATION,) = PROTOCOLS
TEST = dataclasses.replace(VALIDATION, name="cirr_test", split="test", gallery="test", reference_gallery="test")
SUBMISSIONS = (
    Submission(
        TEST.name,
        TEST,
        4148,
        _uploads(TEST.name),
        "upload both, one after the other, to https://cirr.cecs.anu.edu.au (or https://cirr.junjie.au)",
    ),
    Submission(
        VALIDATION.name,
        VALIDATION,
        4181,
        _uploads(VALIDATION.name),
        "no server takes these: score them with --check",
    ),
)
