"""CIRCO: a COCO photo, a sentence, and all photos that answer it."""

import tensorflow_datasets as tfds

from datasets_tfds import schema
from datasets_tfds.circo import annotations


class Builder(schema.CopyBuilder):
    """Builder of `circo`, from the user's own copy of the annotations and of COCO 2017's unlabeled pictures."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First version."}
    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    Give a folder that holds annotations/ of https://github.com/miccunifi/CIRCO and COCO2017_unlabeled/, into which
    unlabeled2017.zip and image_info_unlabeled2017.zip of https://cocodataset.org/#download are unpacked.
    """
    BUILDER_CONFIGS = schema.view_configs(
        coco2017_unlabeled={"description": "The 123,403 unlabeled pictures of COCO 2017 as gallery."}
    )

    def _info(self):
        text = tfds.features.Text()
        return schema.info(
            self,
            {"shared_concept": text, "semantic_aspects": tfds.features.Sequence(text)},
            homepage="https://github.com/miccunifi/CIRCO",
            redistribution_info={
                "license": "Annotations: CC BY-NC 4.0, non-commercial. Pictures: each under its own Flickr licence."
            },
            metadata=tfds.core.MetadataDict(protocol="circo"),
        )

    def _read(self, manual_dir):
        is_gallery = self.builder_config.view == "gallery"
        files, rows = annotations.load(manual_dir, with_rows=not is_gallery)
        gallery = [schema.gallery_row(name, relpath=file) for name, file in files.items()]
        return schema.Copy(
            manual_dir,
            {"test": gallery} if is_gallery else rows,
            lambda image_id: [f"{annotations.PICTURE_FOLDER}/{files[image_id]}"],
        )
