"""The example submission that CIRCO's repository holds, against the figures of its definition."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from cir_tf.evaluation.metrics import average_precision_at_k, ranks_in, recall_at_k
from cir_tf.evaluation.runner import padded

EXPECTED = {  # k: mAP@k and R@k of the one hard target
    5: (0.4861, 0.9091),
    10: (0.5178, 0.9091),
    25: (0.5400, 1.3636),
    50: (0.6020, 3.6364),
}


@pytest.fixture(scope="module")
def example():
    """Ranked image ids [Q, 50], and the rows of the validation split."""
    folder = os.environ.get("CIR_TF_ANNOTATIONS")
    if not folder:
        pytest.skip("needs the real annotations: set CIR_TF_ANNOTATIONS to the folder that holds circo/")
    rows = json.loads(Path(folder, "circo", "annotations", "val.json").read_text(encoding="utf-8"))
    ranked = json.loads(Path(folder, "circo", "submission_examples", "submission_val.json").read_text(encoding="utf-8"))
    return np.array([ranked[str(row["id"])] for row in rows]), rows


@pytest.mark.parametrize("k", EXPECTED)
def test_the_example_has_the_published_figures(example, k):
    ranked_QK, rows = example
    rank_QT = ranks_in(ranked_QK, padded([row["gt_img_ids"] for row in rows]))
    hard_Q1 = ranks_in(ranked_QK, [[row["target_img_id"]] for row in rows])
    figures = average_precision_at_k(rank_QT, k).mean(), recall_at_k(hard_Q1, k).mean()
    assert [round(100 * figure, 4) for figure in figures] == list(EXPECTED[k])
    assert len(rows) == 220
