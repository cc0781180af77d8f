"""Search: indexes by name, each in its file, and rankings by scores of pairs."""

from cir_tf.retrieval._pairs import rank_pairs, rerank, scorer_of

__all__ = ["rank_pairs", "rerank", "scorer_of"]
