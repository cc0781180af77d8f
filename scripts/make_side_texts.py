"""Texts that describe pictures, for VAL's first stage: `python scripts/make_side_texts.py shoes --manual_dir=FOLDER`.

Writes JSON {picture's id: text} to --to (default: <dataset>_side_texts.json), which the sampler `stored` takes as
`--config.sampler.side_texts=FILE`. Shoes: the captions of single pictures, captions_shoes.json. FashionIQ: the
attributes of asin2attr.<kind>.train.json, which not every copy has.
"""

import argparse

from cir_tf.config import write_json
from cir_tf.errors import UserError, run_command
from datasets_tfds.fashion_iq import annotations as fashion_iq
from datasets_tfds.shoes import annotations as shoes

READERS = {"shoes": shoes.side_texts, "fashion_iq": fashion_iq.side_texts}


def main(argv):
    """The command line; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", choices=READERS)
    parser.add_argument("--manual_dir", required=True, metavar="FOLDER", help="your copy, as for building the dataset")
    parser.add_argument("--to", default="", metavar="FILE")
    arguments = parser.parse_args(argv)
    try:
        texts = READERS[arguments.dataset](arguments.manual_dir)
    except (FileNotFoundError, ValueError) as error:
        raise UserError(str(error)) from error
    to = arguments.to or f"{arguments.dataset}_side_texts.json"
    write_json(to, texts)
    print(f"{len(texts)} texts written to {to}")
    return 0


if __name__ == "__main__":
    run_command(main)
