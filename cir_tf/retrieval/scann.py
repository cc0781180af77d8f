"""ScaNN: exact by brute force for small galleries; tree, hashing and reordering for large ones.

Reference: Guo et al., Accelerating Large-Scale Inference with Anisotropic Vector Quantization, ICML 2020.

Dimension key: Q queries, N gallery, K kept ranks, D shared embedding.
"""

import math

import numpy as np

from cir_tf.retrieval.base import Index
from cir_tf.retrieval.brute_force import NO_ENTRY, pair_keys, split_keys, top_k

EXACT_BELOW = 20_000
SEARCHED_SHARE = 0.1  # of the tree's leaves
REORDERED = 200  # candidates that are scored again after hashing, at least
MARGIN = 16  # candidates beyond k: ScaNN's float32 scores may swap neighbours at the cut
TRAINING_SAMPLE = 250_000
SCORE_ERROR = 1e-5  # bound on the error of a float32 inner product of unit vectors
FILES = "scann"


class ScannIndex(Index):
    """ScaNN behind the same rules as the oracle: what it finds is scored again and ordered as `brute_force` does.

    Args:
        exact_below: galleries smaller than this are searched exactly; at least 100.

    Raises:
        ValueError: `exact_below` is too small.
        ImportError: ScaNN is not installed or does not work here.
    """

    kind = "scann"

    def __init__(self, exact_below=EXACT_BELOW):
        super().__init__()
        if exact_below < 100:
            raise ValueError(
                f"exact_below must be at least 100: fewer vectors cannot train the hashing. Received: {exact_below}."
            )
        self.exact_below = exact_below
        self._scann = _import_scann()
        self._searcher = None

    @property
    def is_exact(self):
        return len(self.vectors_ND) < self.exact_below

    def measured_recall(self, query_QD, k=10, sample=256, seed=0):
        """Share of the exact best k that `search` finds, on a sample of queries. Equal scores are equally right.

        Args:
            query_QD: floats [Q, D], Q at least 1.
            k: how many neighbours to look at.
            sample: at most so many queries are drawn.
            seed: of the drawing.
        """
        rows = np.random.default_rng(seed).permutation(len(query_QD))[:sample]
        query_QD, k = np.asarray(query_QD, np.float32)[rows], min(k, len(self.vectors_ND))
        found_QK = self.search(query_QD, k).scores_QK
        _, exact_QK = top_k(query_QD, self.vectors_ND, k, np.full(len(query_QD), -1))
        return float((found_QK >= exact_QK[:, -1:]).mean())

    def _options(self):
        return {"exact_below": self.exact_below}

    def _prepare(self):
        self._searcher = None
        if not len(self.vectors_ND):
            return
        self._searcher = self._built(self._scann.scann_ops_pybind)
        self._longest = np.linalg.norm(self.vectors_ND, axis=1).max()

    def _built(self, ops):
        """ScaNN's searcher of `vectors_ND`, in its NumPy or its TensorFlow form."""
        count = len(self.vectors_ND)
        builder = ops.builder(self.vectors_ND, 10, "dot_product")
        if self.is_exact:
            return builder.score_brute_force().build()
        leaves = round(math.sqrt(count))
        builder = builder.tree(
            leaves, math.ceil(leaves * SEARCHED_SHARE), training_sample_size=min(count, TRAINING_SAMPLE)
        )
        return builder.score_ah(2, anisotropic_quantization_threshold=0.2).reorder(REORDERED).build()

    def packed(self):
        """The index as TensorFlow, for an export.

        Returns:
            module: `tf.Module` with the index's state, which the exported object must hold.
            search: function (query_BD, k) -> positions int32 and scores float32, [B, k or fewer], with (0, NaN) where
                there is no entry; to be called inside a `tf.function`.
        """
        ops = self._scann.scann_ops
        module = self._built(ops).serialize_to_module()

        def search(query_BD, k):
            return ops.searcher_from_module(module).search_batched_parallel(query_BD, k, REORDERED + 2 * k)

        return module, search

    def _top_k(self, query_QD, k, exclude_Q):
        wanted = min(k + 1 + MARGIN, len(self.vectors_ND))  # one more for the excluded entry
        position_QK, distance_QK = self._searcher.search_batched_parallel(query_QD, wanted, max(REORDERED, 2 * wanted))
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

    def _write(self, folder, extra):
        super()._write(folder, extra)
        if not self.is_exact:
            (folder / FILES).mkdir()
            self._searcher.serialize(str(folder / FILES), relative_path=True)

    def _read_files(self, folder):
        if self.is_exact:
            self._prepare()
            return
        if (folder / FILES / "scann_docids.pkl").exists():  # ScaNN would unpickle it; this library never writes one
            raise ValueError("scann_docids.pkl does not belong there")
        self._searcher = self._scann.scann_ops_pybind.load_searcher(str(folder / FILES), assets_backcompat_shim=False)


def _import_scann():
    try:
        import scann
    except Exception as error:  # beside an unfit TensorFlow it fails with errors of TensorFlow's own
        message = f"ScaNN cannot be used here ({type(error).__name__}: {error}). Use the index 'brute_force' instead."
        raise ImportError(message) from error
    return scann


build = ScannIndex
