"""The TFDS dataset `cirr`: real-life photos, each among five that look alike."""
