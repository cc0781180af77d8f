"""Published weights into ours: `python -m cir_tf.convert SOURCE --to FILE`."""

from cir_tf.convert.base import Family, apply, count

__all__ = ["Family", "apply", "count"]
