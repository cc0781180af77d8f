"""ScaNN: exact by brute force for small galleries; tree, hashing and reordering for large ones.

Reference: Guo et al., Accelerating Large-Scale Inference with Anisotropic Vector Quantization, ICML 2020.

Dimension key: Q queries, N gallery, K kept ranks, D shared embedding.
"""

import math
import time

import numpy as np

from cir_tf.retrieval._storage import SCANN
from cir_tf.retrieval._tuning import LADDER, Rung, choose
from cir_tf.retrieval.base import Index
from cir_tf.retrieval.brute_force import NO_ENTRY, pair_keys, split_keys, top_k

EXACT_BELOW = 20_000
SEARCHED_SHARE = 0.1
REORDERED = 200
MARGIN = 16  # candidates beyond k: ScaNN's float32 scores may swap neighbours at the cut
TRAINING_SAMPLE = 250_000
SCORE_ERROR = 1e-5  # bound on the error of a float32 inner product of unit vectors
SAMPLE = 256  # queries on which recall is measured
SINGLE = 20  # queries of which each is timed by itself


class ScannIndex(Index):
    """ScaNN behind the same rules as the oracle: what it finds is scored again and ordered as `brute_force` does.

    ScaNN's own state is made at the first search, and again at the first search after `add` or `delete`.

    Args:
        exact_below: galleries smaller than this are searched exactly; at least 100.
        searched_share: share of the tree's sqrt(N) leaves that a query looks into, above 0 and at most 1.
        reordered: how many candidates are scored again after hashing, at least 1; never fewer than 2 (k + 17).

    Raises:
        ValueError: an argument breaks a rule above.
        ImportError: ScaNN is not installed or does not work here.
    """

    kind = "scann"

    def __init__(self, exact_below=EXACT_BELOW, searched_share=SEARCHED_SHARE, reordered=REORDERED):
        super().__init__()
        if exact_below < 100:
            raise ValueError(
                f"exact_below must be at least 100: fewer vectors cannot train the hashing. Received: {exact_below}."
            )
        if not 0 < searched_share <= 1 or reordered < 1:
            raise ValueError(
                "searched_share must be above 0 and at most 1, reordered at least 1. "
                f"Received: searched_share={searched_share}, reordered={reordered}."
            )
        self.exact_below, self.searched_share, self.reordered = exact_below, searched_share, reordered
        self._scann = _import_scann()

    def is_exact_at(self, count):
        return count < self.exact_below

    def measured_recall(self, query_QD, k=10, sample=SAMPLE, seed=0):
        """Share of the exact best k that `search` finds, on a sample of queries. Equal scores are equally right.

        Args:
            query_QD: floats [Q, D], Q at least 1.
            k: how many neighbours to look at.
            sample: at most so many queries are drawn.
            seed: of the drawing.
        """
        query_QD, k = _drawn(query_QD, sample, seed), min(k, len(self.vectors_ND))
        return _recall(self.search(query_QD, k), self._exact().search(query_QD, k))

    def _tuned(self, query_QD, target_recall, k):
        query_QD, exact = _drawn(query_QD, SAMPLE, 0), self._exact()
        truth = exact.search(query_QD, k)
        curve = [self._measured(query_QD, k, truth, *setting) for setting in LADDER]
        best = choose(curve, target_recall)
        self.searched_share, self.reordered = best.searched_share, best.reordered
        return {
            "target_recall": target_recall,
            "reached": best.recall >= target_recall,
            "k": k,
            "queries": len(query_QD),
            "count": len(self.vectors_ND),
            "chosen": best._asdict(),
            "exact_milliseconds": _milliseconds(exact, query_QD, k),
            "exact_single_milliseconds": _single_milliseconds(exact, query_QD, k),
            "curve": [rung._asdict() for rung in curve],
        }

    def _measured(self, query_QD, k, truth, searched_share, reordered):
        self.searched_share, self.reordered = searched_share, reordered
        recall = _recall(self.search(query_QD, k), truth)
        batch, single = _milliseconds(self, query_QD, k), _single_milliseconds(self, query_QD, k)
        return Rung(searched_share, self._leaves()[1], reordered, recall, batch, single)

    def _exact(self):
        """An index of the same vectors that is exact."""
        exact = ScannIndex(max(100, len(self.vectors_ND) + 1))
        exact._set(self.vectors_ND, self.ids_N.tolist())
        return exact

    def _options(self):
        return {
            "exact_below": self.exact_below,
            "searched_share": self.searched_share,
            "reordered": self.reordered,
        }

    def _forget(self):
        self._searcher = None
        self._longest = np.sqrt(np.einsum("nd,nd->n", self.vectors_ND, self.vectors_ND).max(initial=0))

    def _leaves(self):
        """How many leaves the tree has, and how many of them a query looks into."""
        leaves = round(math.sqrt(len(self.vectors_ND)))
        return leaves, math.ceil(leaves * self.searched_share)

    def _made(self):
        """ScaNN's searcher of the present `vectors_ND`."""
        if self._searcher is None:
            self._searcher = self._built(self._scann.scann_ops_pybind)
        return self._searcher

    def _built(self, ops):
        """ScaNN's searcher of `vectors_ND`, in its NumPy or its TensorFlow form."""
        count = len(self.vectors_ND)
        builder = ops.builder(self.vectors_ND, 10, "dot_product")
        if self.is_exact:
            return builder.score_brute_force().build()
        builder = builder.tree(*self._leaves(), training_sample_size=min(count, TRAINING_SAMPLE))
        return builder.score_ah(2, anisotropic_quantization_threshold=0.2).reorder(self.reordered).build()

    def packed(self):
        """The index as TensorFlow, for an export.

        Returns:
            module: `tf.Module` with the index's state, which the exported object must hold.
            search: function (query_BD, k) -> positions int32 and scores float32, [B, k or fewer], with (0, NaN) where
                there is no entry; to be called inside a `tf.function`.
        """
        ops = self._scann.scann_ops
        module, reordered = self._built(ops).serialize_to_module(), self.reordered

        def search(query_BD, k):
            return ops.searcher_from_module(module).search_batched_parallel(query_BD, k, reordered + 2 * k)

        return module, search

    def _top_k(self, query_QD, k, exclude_Q, among_n):
        if among_n is not None:
            return top_k(query_QD, self.vectors_ND, k, exclude_Q, among_n)
        wanted = min(k + 1 + MARGIN, len(self.vectors_ND))  # one more for the excluded entry
        candidates = max(self.reordered, 2 * wanted)
        leaves = None if self.is_exact else self._leaves()[1]
        position_QK, distance_QK = self._made().search_batched_parallel(query_QD, wanted, candidates, leaves)
        position_QK = np.where(np.isnan(distance_QK), -1, position_QK.astype(np.int64))  # ScaNN pads with row 0, NaN
        position_QK = np.where(position_QK == exclude_Q[:, None], -1, position_QK)
        key_QK = np.sort(pair_keys(query_QD, self.vectors_ND, position_QK), axis=1)
        if key_QK.shape[1] < k:
            key_QK = np.pad(key_QK, ((0, 0), (0, k - key_QK.shape[1])), constant_values=NO_ENTRY)
        found_QK, score_QK = split_keys(key_QK)
        if self.is_exact and wanted < len(self.vectors_ND):
            rows = self._undecided(query_QD, found_QK, score_QK, k)
            exact = top_k(query_QD[rows], self.vectors_ND, k, exclude_Q[rows])
            found_QK[rows, :k], score_QK[rows, :k] = exact
        return found_QK[:, :k], score_QK[:, :k]

    def _undecided(self, query_QD, found_QK, score_QK, k):
        """Queries whose ties at rank k may go on beyond the candidates: their order is left to the oracle."""
        last_Q = np.where(found_QK < 0, np.inf, score_QK).min(axis=1)
        norm_Q = np.linalg.norm(query_QD, axis=1) * self._longest
        return np.flatnonzero(score_QK[:, k - 1] <= last_Q + SCORE_ERROR * norm_Q)

    def _write_files(self, folder):
        if not self.is_exact:
            (folder / SCANN).mkdir()
            self._made().serialize(str(folder / SCANN), relative_path=True)

    def _read_files(self, folder):
        if self.is_exact:
            return
        if (folder / SCANN / "scann_docids.pkl").exists():  # ScaNN would unpickle it; this library never writes one
            raise ValueError("scann_docids.pkl does not belong there")
        self._searcher = self._scann.scann_ops_pybind.load_searcher(str(folder / SCANN), assets_backcompat_shim=False)


def _drawn(query_QD, sample, seed):
    rows = np.random.default_rng(seed).permutation(len(query_QD))[:sample]
    return np.asarray(query_QD, np.float32)[rows]


def _recall(found, exact):
    """Share of the exact best that was found, equal scores being equally right."""
    return float((found.scores_QK >= exact.scores_QK[:, -1:]).mean())


def _milliseconds(index, query_QD, k):
    """Of one query in a batch: the best of three."""
    return min(_seconds(index, query_QD, k) for _ in range(3)) / len(query_QD) * 1e3


def _single_milliseconds(index, query_QD, k):
    """Of one query by itself: the median over some."""
    return float(
        np.median([_seconds(index, query_QD[row : row + 1], k) for row in range(min(SINGLE, len(query_QD)))]) * 1e3
    )


def _seconds(index, query_QD, k):
    start = time.perf_counter()
    index.search(query_QD, k)
    return time.perf_counter() - start


def _import_scann():
    try:
        import scann
    except Exception as error:  # beside an unfit TensorFlow it fails with errors of TensorFlow's own
        message = f"ScaNN cannot be used here ({type(error).__name__}: {error}). Use the index 'brute_force' instead."
        raise ImportError(message) from error
    return scann


build = ScannIndex
