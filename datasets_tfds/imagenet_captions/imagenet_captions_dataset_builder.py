"""ImageNet-1K's test pictures, each with a subject and an attribute: what textual inversion learns from."""

import tensorflow_datasets as tfds

from datasets_tfds import schema
from datasets_tfds.imagenet_captions import captions


class Builder(schema.CopyBuilder):
    """Builder of `imagenet_captions`, from the user's copy. There are no queries, hence the gallery view alone."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First version."}
    MANUAL_DOWNLOAD_INSTRUCTIONS = f"""
    Give a folder that holds test/{captions.NAME}<8 digits>.JPEG, the test pictures of ImageNet-1K from
    https://image-net.org, itself or in ImageNet/ or ImageNet1K/; and the captions {captions.FILE} in either place.
    """
    BUILDER_CONFIGS = [
        schema.ViewConfig(
            name="test_gallery", subset="test", view="gallery", description="The test pictures with BLIP's captions."
        )
    ]

    def _info(self):
        text = tfds.features.Text()
        return schema.info(
            self,
            gallery_extras={"subject": text, "attribute": text},
            homepage="https://image-net.org",
            redistribution_info={
                "license": "Pictures: ImageNet's terms, for research and non-commercial use, no redistribution."
            },
            metadata=tfds.core.MetadataDict(protocol="none: for training textual inversion, never for evaluation"),
        )

    def _read(self, manual_dir):
        return schema.Copy(manual_dir, {"train": captions.read(captions.find(manual_dir))}, captions.locations)
