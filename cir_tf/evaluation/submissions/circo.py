"""CIRCO: one file of 50 image numbers for each query, for the test split and, to be scored here, for validation."""

import dataclasses

from cir_tf.evaluation.protocols.circo import PROTOCOLS
from cir_tf.evaluation.submissions.base import Submission, Upload


def _submission(protocol, queries, advice):
    uploads = (Upload(f"{protocol.name}.json", 50, ("mAP", "R"), item=int),)
    return Submission(protocol.name, protocol, queries, uploads, advice)


def _test(protocol):
    return dataclasses.replace(protocol, name=protocol.name.replace("validation", "test"), split="test")


SUBMISSIONS = (
    *(_submission(protocol, 220, "no server takes this: score it with --check") for protocol in PROTOCOLS),
    *(
        _submission(_test(protocol), 800, "upload it to https://circo.micc.unifi.it; the figures come by mail")
        for protocol in PROTOCOLS
    ),
)
