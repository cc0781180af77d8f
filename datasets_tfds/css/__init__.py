"""The TFDS dataset `css`: TIRG's shapes."""
