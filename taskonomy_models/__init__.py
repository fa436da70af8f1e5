"""Which networks there are, and how to obtain or train them."""
