"""A toy copy of Fashion200k in any layout."""

from PIL import Image

KINDS = ("dress", "jacket", "pants", "skirt", "top")
# Split -> (kind, path, score, description).
LABELS = {
    "train": [
        ("dress", "women/dresses/mini_dresses/11/11_0.jpeg", "-1.5", "red lace mini dress"),
        ("dress", "women/dresses/mini_dresses/12/12_0.jpeg", "0.25", "black lace mini dress"),
        ("pants", "women/pants/cropped_pants/21/21_0.jpeg", "2", " crêpe pants no. 1 "),
        ("top", "women/tops/blouses/31/31_1.jpeg", "3.5", "black & white *top*"),
    ],
    "test": [
        ("dress", "women/dresses/mini_dresses/41/41_0.jpeg", "1.0", "red embroidered dress"),
        ("dress", "women/dresses/mini_dresses/41/41_3.jpeg", "1.5", "red embroidered dress"),
        ("dress", "women/dresses/mini_dresses/42/42_0.jpeg", "-0.5", "blue embroidered dress"),
        ("jacket", "women/jackets/blazers/51/51_0.jpeg", "0.5", "wool blazer"),
        ("skirt", "women/skirts/midi/61/61_0.jpeg", "0.75", "blazer wool"),
        ("top", "women/tops/shirts/71/71_0.jpeg", "4", "blue embroidered dress "),
    ],
}
QUERIES = [
    "women/dresses/mini_dresses/41/41_0.jpeg women/dresses/mini_dresses/42/42_0.jpeg",
    "women/jackets/blazers/51/51_0.jpeg  women/skirts/midi/61/61_0.jpeg ",
    "women/skirts/midi/61/61_0.jpeg\twomen/dresses/mini_dresses/41/41_3.jpeg",
]


def paths(split):
    """The image ids of a split in the sorted order of the label files."""
    return [path for _, path, _, _ in LABELS[split]]


def width(path):
    """How wide the picture at a path is: each has a width of its own."""
    return 3 + (paths("train") + paths("test")).index(path)


def write(root, strip="", folder=""):
    """Writes labels, queries and pictures; `strip` is taken off the front of the pictures' paths."""
    base = root / folder
    (base / "labels").mkdir(parents=True)
    for split, labels in LABELS.items():
        for kind in KINDS:
            lines = ["\t".join(fields) + "\n" for of_kind, *fields in labels if of_kind == kind]
            (base / f"labels/{kind}_{split}_detect_all.txt").write_text("".join(lines), encoding="utf-8")
        for path in paths(split):
            place = base / path.removeprefix(strip)
            place.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (width(path), 2), "teal").save(place)
    (base / "test_queries.txt").write_text("".join(line + "\n" for line in QUERIES))
    return root


def append(path, line):
    """Adds a line to a file."""
    with path.open("a", encoding="utf-8") as out:
        out.write(line + "\n")
