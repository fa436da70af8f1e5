"""Which networks there are, and how to obtain or train them."""

from toolkit_basics import quiet

quiet.quieten_tensorflow()
