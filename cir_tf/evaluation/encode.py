"""A protocol's queries and gallery, encoded in batches.

Dimension key: Q queries, N gallery, D shared embedding.
"""

import numpy as np
from tqdm import tqdm


def in_batches(function, count, batch_size, label):
    """`function(positions)` over 0..count in batches of one size, rows of the results stacked.

    The last batch is filled up with its last position, so that a compiled function sees one shape.

    Args:
        function: of an int array [batch_size], gives an array or a dict of arrays with one row for each position.
        count: number of rows.
        batch_size: int.
        label: shown before the progress bar.
    """
    parts = []
    for start in tqdm(range(0, count, batch_size), desc=label, leave=False, dynamic_ncols=True):
        position = np.minimum(np.arange(start, start + batch_size), count - 1)
        result = function(position)
        keep = min(batch_size, count - start)
        parts.append({key: np.asarray(value)[:keep] for key, value in result.items()})
    return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
