"""A small copy of CIRCO."""

import json

from PIL import Image

from datasets_tfds.circo import annotations

IDS = (581929, 101, 7, 303, 202, 40000)  # in the list's order
ROWS = {
    "val": [
        {
            "reference_img_id": 101,
            "target_img_id": 202,
            "relative_caption": " has Two of them, at night ",
            "shared_concept": "a parked bicycle",
            "gt_img_ids": [303, 202, 7],
            "id": 0,
            "semantic_aspects": ["cardinality", "viewpoint"],
        },
        {
            "reference_img_id": 303,
            "target_img_id": 581929,
            "relative_caption": "is greener",
            "shared_concept": "a café",
            "gt_img_ids": [581929],
            "id": 1,
        },
    ],
    "test": [
        {"reference_img_id": 40000, "relative_caption": "is empty", "shared_concept": "a bench", "id": 0},
        {"reference_img_id": 101, "relative_caption": "is blue", "shared_concept": "a bicycle", "id": 1},
        {"reference_img_id": 7, "relative_caption": "is red", "shared_concept": "a car", "id": 2},
    ],
}


def file_name(image_id):
    return f"{image_id:012d}.jpg"


def image_list(ids=IDS):
    """What COCO's file holds, as far as its form matters."""
    images = [
        {
            "license": 4,
            "file_name": file_name(i),
            "coco_url": f"http://images.cocodataset.org/unlabeled2017/{file_name(i)}",
            "height": 427,
            "width": 640,
            "date_captured": "2013-11-14 11:18:45",
            "flickr_url": f"http://farm9.staticflickr.com/8186/{i}_z.jpg",
            "id": i,
        }
        for i in ids
    ]
    categories = [{"supercategory": "person", "id": 1, "name": "person"}]
    return {"info": {"year": 2017}, "images": images, "licenses": [{"id": 4, "name": "by"}], "categories": categories}


def files():
    """Path below the folder -> value."""
    values = {f"annotations/{name}.json": rows for name, rows in ROWS.items()}
    return json.loads(json.dumps(values | {annotations.LIST: image_list()}))


def write_annotations(root, values=None):
    for name, value in (files() if values is None else values).items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")


def picture_path(root, image_id):
    return root / annotations.PICTURE_FOLDER / file_name(image_id)


def size(image_id):
    """Width and height of a picture, by which it is told from the others."""
    return IDS.index(int(image_id)) + 3, 12


def write(root):
    """The annotations and JPEG files, some of them grey."""
    write_annotations(root)
    for image_id in IDS:
        path = picture_path(root, image_id)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size(image_id), (200, 30, 0)).convert("L" if image_id % 2 else "RGB").save(path)
    return root
