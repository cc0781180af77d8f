"""What goes into an index and what is asked of it, checked."""

import numpy as np


def checked_vectors(vectors, role):
    """Finite floats [N, D] as float32 in C order; `ValueError` with the bad rows otherwise."""
    vectors = np.asarray(vectors)
    if vectors.ndim != 2 or not np.issubdtype(vectors.dtype, np.floating):
        raise ValueError(f"The {role} must be a float array of 2 axes. Received: {vectors.dtype} {vectors.shape}.")
    vectors = np.ascontiguousarray(vectors, np.float32)
    finite = np.isfinite(vectors).all(axis=1)
    if not finite.all():
        rows = np.flatnonzero(~finite)
        raise ValueError(f"The {role} must be finite. Received: {len(rows)} bad rows, the first ones {rows[:5]}.")
    return vectors


def checked_ids(ids, count):
    """`count` different strings, none of them empty, as a list; `ValueError` otherwise."""
    ids = [str(name) if isinstance(name, np.str_) else name for name in ids]
    if len(ids) != count:
        raise ValueError(f"There must be one id per vector. Received: {len(ids)} ids, {count} vectors.")
    if not all(isinstance(name, str) and name for name in ids):
        raise ValueError("Ids must be strings that are not empty.")
    if len(set(ids)) != count:
        seen = set()
        repeated = [name for name in ids if name in seen or seen.add(name)]
        raise ValueError(f"Ids must be different. Received twice: {', '.join(repeated[:5])}.")
    return ids
