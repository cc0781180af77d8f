"""Who may import whom: down only, never sideways; checked on the source, file by file."""

import ast
from pathlib import Path

import pytest

from cir_tf import registry
from cir_tf.evaluation import protocols

ROOT = Path(__file__).parent.parent
LEVELS = {
    **dict.fromkeys(
        ("types", "registry", "config", "errors", "layers", "transformer", "qformer", "weights", "sheet"), 0
    ),
    **dict.fromkeys(
        ("tokenizers", "bpe", "wordpiece", "glove", "captions", "bert", "cleaning", "lookup", "treebank", "recurrent"),
        0,
    ),
    **dict.fromkeys(("encoders", "compositors", "objectives", "data", "retrieval", "samplers"), 1),
    **dict.fromkeys(("models", "evaluation"), 2),
    "training": 3,
    "assemble": 4,
    **dict.fromkeys(("train", "evaluate", "export", "search", "report", "compare", "submit", "tune_index"), 5),
    "convert": 5,
}
SOURCES = sorted((ROOT / "cir_tf").rglob("*.py"))
TENSORFLOW_FREE = (
    *("encoders", "compositors", "objectives", "models"),
    *("layers", "recurrent", "transformer", "qformer", "types"),
)


def imports(path, top_only=False):
    """(line, module) of each import of a file; `from a import b` gives a and a.b."""
    tree = ast.parse(path.read_text())
    for node in tree.body if top_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, name.name) for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, node.module
            yield from ((node.lineno, f"{node.module}.{name.name}") for name in node.names)


def place(path):
    """The part of the library a file belongs to: "encoders", "train", …; "" for the package itself."""
    parts = path.relative_to(ROOT / "cir_tf").with_suffix("").parts
    return "" if parts == ("__init__",) else parts[0]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_only_go_down(path):
    here = place(path)
    if not here:
        return
    for line, module in imports(path):
        parts = module.split(".")
        assert parts[0] != "datasets_tfds", f"{path}:{line} imports {module}"
        if parts[0] == "cir_tf" and len(parts) > 1 and parts[1] in LEVELS and parts[1] != here:
            # Commands share pieces with each other, and so do the plain tools at the bottom.
            allowed = LEVELS[parts[1]] < LEVELS[here] or LEVELS[parts[1]] == LEVELS[here] in (0, 5)
            assert allowed, f"{path}:{line}: {here} (level {LEVELS[here]}) imports {module}"


@pytest.mark.parametrize("path", [path for path in SOURCES if place(path) in TENSORFLOW_FREE], ids=str)
def test_models_are_free_of_tensorflow(path):
    wrong = [
        f"{path}:{line} imports {module}" for line, module in imports(path) if module.split(".")[0] == "tensorflow"
    ]
    assert not wrong


@pytest.mark.parametrize("package", ["scann", "jinja2"])
def test_optional_or_heavy_packages_enter_in_one_file(package):
    files = {path for path in SOURCES for _, module in imports(path) if module.split(".")[0] == package}
    assert len(files) <= 1, files


def test_datasets_do_not_import_the_library():
    for path in (ROOT / "datasets_tfds").rglob("*.py"):
        assert not [line for line, module in imports(path) if module.split(".")[0] == "cir_tf"], path


def test_configs_import_the_config_module_only():
    for path in (ROOT / "configs").rglob("*.py"):
        assert {module for _, module in imports(path)} <= {"cir_tf.config", "cir_tf.config.base", "cir_tf.config.small"}


def test_no_name_of_a_dataset_or_method_decides_anything():
    """Names of parts and datasets stand in their own files, in configs and in protocols, never in a comparison."""
    kinds = ("encoders", "compositors", "objectives")
    names = {name for kind in kinds for name in registry.available(kind)}
    names |= {protocols.get(name).dataset for name in protocols.available()}
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Compare):
                values = [value.value for value in ast.walk(node) if isinstance(value, ast.Constant)]
                assert not names & {value for value in values if isinstance(value, str)}, f"{path}:{node.lineno}"
