import numpy as np
import pytest

from cir_tf.evaluation.encode import in_batches


@pytest.mark.parametrize("batch_size", [1, 3, 4, 7, 100])
def test_rows_come_back_in_order_and_once(batch_size):
    seen = []

    def square(position):
        seen.append(len(position))
        return {"square": position**2, "pair": np.stack([position, -position], 1)}

    found = in_batches(square, 7, batch_size, "test")
    np.testing.assert_array_equal(found["square"], np.arange(7) ** 2)
    np.testing.assert_array_equal(found["pair"][:, 1], -np.arange(7))
    assert set(seen) == {batch_size}, "a compiled function is to see one shape"
