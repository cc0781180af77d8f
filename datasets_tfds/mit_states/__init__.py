"""The TFDS dataset `mit_states`: photos of nouns in states, and the state that is wanted instead."""
