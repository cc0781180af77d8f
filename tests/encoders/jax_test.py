"""Encoders, compositors and objectives on JAX as Keras' backend: the same outputs from the same weights.

The backend of a process is fixed, so that JAX has one of its own: this file as a script, `... jax_test FOLDER`, which
reads the weights that TensorFlow left in the folder and leaves the outputs there.
"""

import os
import subprocess
import sys
import traceback
from pathlib import Path

import keras
import numpy as np
import pytest

from cir_tf import registry, weights
from tests.compositors import contract_test as compositors
from tests.encoders import contract_test as encoders
from tests.golden import S
from tests.objectives import contract_test as objectives

PARTS = [(kind, name) for kind in ("encoders", "compositors", "objectives") for name in registry.available(kind)]


class Whole(keras.layers.Layer):
    """All that an encoder returns; Keras traces it, which spares JAX to compile every step by itself."""

    def __init__(self, encoder):
        super().__init__(autocast=False)
        self.encoder = encoder

    def call(self, inputs):
        named = self.encoder(inputs)._asdict()
        named |= {f"map_{i}": each for i, each in enumerate(named.pop("maps"))}
        return {key: each for key, each in named.items() if each is not None}


def encoded(name):
    encoder = encoders.make(name)
    inputs = encoders.inputs_of(encoder, name)
    whole = keras.Input(inputs.shape[1:], dtype=str(inputs.dtype))
    model = keras.Model(whole, Whole(encoder)(whole))
    return encoder, lambda: model.predict_on_batch(inputs)


def composed(name):
    reference, text, target = (
        keras.tree.map_structure(lambda x: None if x is None else np.asarray(x), each)
        for each in compositors.features()
    )
    compositor = compositors.make(name)

    def outputs():
        sides = {"query": compositor.compose(reference, text), "target": compositor.project_target(target)}
        return {
            f"{side} {key}": keras.ops.convert_to_numpy(vector)
            for side, named in sides.items()
            for key, vector in named.items()
        }

    return compositor, outputs


def lost(name):
    all_drawn = {"soft_triplet": {"negatives": 12}}  # of fewer, each backend draws others
    objective = registry.create("objectives", name, **all_drawn.get(name, objectives.ARGUMENTS.get(name, {})))
    objective.built = True  # nobody calls it as a layer
    query, target = ({"main": S((6, 5), 0.7, phase).astype("float32")} for phase in (0.1, 0.5))
    target_class = np.array([0, 1, 2, 2, 3, 4], "int32")
    return objective, lambda: {
        "loss": keras.ops.convert_to_numpy(
            objective.loss(objective.views(query, target, target_class), objectives.SEED)
        )
    }


MAKE = {"encoders": encoded, "compositors": composed, "objectives": lost}


def compute(folder, read):
    """Write the outputs of every part; read the weights that lie there first, or write them."""
    for kind, name in PARTS:
        path = folder / f"{kind}_{name}"
        try:
            part, outputs = MAKE[kind](name)
            found = outputs()  # builds it
            if read:
                weights.load(part, path.with_suffix(weights.OURS))
                found = outputs()
            else:
                weights.save(part, path.with_suffix(weights.OURS))
            np.savez(path.with_suffix(f".{keras.backend.backend()}.npz"), **found)
        except Exception:  # one broken part must not hide the others
            path.with_suffix(".txt").write_text(traceback.format_exc())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    pytest.importorskip("jax", reason="JAX is not installed")
    folder = tmp_path_factory.mktemp("jax")
    compute(folder, read=False)
    command = [sys.executable, "-m", "tests.encoders.jax_test", str(folder)]
    quick = {"XLA_FLAGS": "--xla_backend_optimization_level=0"}  # to compile; what is computed is tiny
    environment = {**os.environ, **quick, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    root = Path(__file__).parent.parent.parent
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "name"), PARTS)
def test_outputs_are_those_of_tensorflow(folder, kind, name):
    path = folder / f"{kind}_{name}"
    failure = path.with_suffix(".txt")
    assert not failure.exists(), failure.read_text()
    expected, got = (np.load(path.with_suffix(f".{backend}.npz")) for backend in ("tensorflow", "jax"))
    assert set(expected) == set(got)
    for key in expected:
        np.testing.assert_allclose(got[key], expected[key], atol=1e-5, rtol=1e-5, err_msg=key)


if __name__ == "__main__":
    compute(Path(sys.argv[1]), read=True)
