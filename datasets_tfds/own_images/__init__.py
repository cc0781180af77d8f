"""The TFDS dataset `own_images`: anybody's folder of pictures and a table of queries."""
