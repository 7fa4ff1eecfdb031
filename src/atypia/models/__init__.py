"""Networks: backbones, adapters, heads, and the classifier that joins them."""
