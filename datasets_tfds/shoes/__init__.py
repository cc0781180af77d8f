"""The TFDS dataset `shoes`: women's shoes and what a shopper would change."""
