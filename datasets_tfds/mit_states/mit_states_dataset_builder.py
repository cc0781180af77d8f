"""MIT-States: photos of things in states, and another state as the query, as TIRG uses them."""

import tensorflow_datasets as tfds

from datasets_tfds import schema
from datasets_tfds.mit_states import listing


class Builder(schema.CopyBuilder):
    """Builder of `mit_states`, from the user's copy."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First version."}
    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    Give the folder that the archive of https://web.mit.edu/phillipi/Public/states_and_transformations/ unpacks to: it
    holds images/<adjective> <noun>/*.jpg, itself or in release_dataset/.
    """
    BUILDER_CONFIGS = schema.view_configs(tirg={"description": "TIRG's split by noun and its test queries."})

    def _info(self):
        return schema.info(
            self,
            {"reference_class": tfds.features.Text()},
            homepage="https://web.mit.edu/phillipi/Public/states_and_transformations/",
            license="None stated. The photos were found by a web search; rights stay with their owners.",
            metadata=tfds.core.MetadataDict(protocol="TIRG: hits by target_class, the reference left out"),
        )

    def _read(self, manual_dir):
        folder = listing.find(manual_dir)
        photos = listing.read(folder)
        if self.builder_config.view == "gallery":
            splits = {split: listing.gallery(of_split) for split, of_split in photos.items()}
        else:
            splits = {"test": listing.rows(photos["test"])}
        return schema.Copy(folder, splits, listing.locate)

    def _keep(self, split, rows, local):
        """Without the queries whose wanted class has no usable picture either."""
        kept = super()._keep(split, rows, local)
        if self.builder_config.view == "gallery":
            return kept
        left = {row["reference_class"] for row in kept}  # every picture that can be wanted is a reference too
        return [row for row in kept if row["target_class"] in left]
