"""The TFDS dataset `imagenet_captions`: unlabeled photos with a subject and an attribute, for textual inversion."""
