"""A toy copy of MIT-States."""

from PIL import Image

# Folder -> file names, not in sorted order; fan, fig and tomato are nouns of the test.
FOLDERS = {
    "sliced tomato": ("b.jpg", "a.jpg"),
    "moldy tomato": ("x.jpg",),
    "ripe tomato": ("9.jpg", "10.jpg"),
    "ripe fig": ("a.jpg",),
    "moldy fig": ("a.jpg",),
    "old fan": ("a.jpg", "b.jpg"),  # one adjective: no queries
    "ripe apple": ("a.jpg",),
    "old car": ("c.jpg", "a.jpg", "b.jpg"),
}
IGNORED = ("adj tomato/a.jpg", "tomato/a.jpg", "sliced tomato/notes.txt", "sliced tomato/._a.jpg", ".old fig/a.jpg")
TRAIN = ["old car/a.jpg", "old car/b.jpg", "old car/c.jpg", "ripe apple/a.jpg"]
TEST = [
    "moldy fig/a.jpg",
    "moldy tomato/x.jpg",
    "old fan/a.jpg",
    "old fan/b.jpg",
    "ripe fig/a.jpg",
    "ripe tomato/10.jpg",
    "ripe tomato/9.jpg",
    "sliced tomato/a.jpg",
    "sliced tomato/b.jpg",
]


def width(image_id):
    """How wide a picture is: each has a width of its own."""
    return 3 + (TRAIN + TEST).index(image_id)


def write(root, folder=""):
    """Writes the pictures and what is to be ignored below `root`/`folder`."""
    images = root / folder / "images"
    for name in IGNORED:
        (images / name).parent.mkdir(parents=True, exist_ok=True)
        (images / name).write_text("no picture")
    for state, names in FOLDERS.items():
        (images / state).mkdir(exist_ok=True)
        for name in names:
            Image.new("RGB", (width(f"{state}/{name}"), 2), "tomato").save(images / state / name)
    (root / folder / "adj_ants.csv").write_text("moldy,fresh,\n")
    return root
