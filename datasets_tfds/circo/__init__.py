"""The TFDS dataset `circo`: COCO photos, several accepted answers for each query."""
