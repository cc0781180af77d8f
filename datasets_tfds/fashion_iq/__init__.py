"""The TFDS dataset `fashion_iq`."""
