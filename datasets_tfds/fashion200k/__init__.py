"""The TFDS dataset `fashion200k`: clothes and the words that describe them."""
